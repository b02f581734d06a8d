"""The ingress needs no more memory than a fixed part plus the bodies that it admits."""

import asyncio
from contextlib import suppress
from pathlib import Path

import callbacks
import pytest
from processes import running
from running_stack import RunningStack
from waiting import until

pytestmark = pytest.mark.alone

PIECE_SECONDS = 0.01
"""How long a slow client waits after a small piece."""
MEBIBYTE = 1024 * 1024
BODY_BYTES = MEBIBYTE


def resident_bytes(pid: int) -> int:
    """Return the most that the process ever held (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024


@pytest.mark.parametrize(
    ("requests", "piece_bytes", "fixed_bytes", "admitted_bytes"),
    [
        pytest.param(500, BODY_BYTES, 150 * MEBIBYTE, 256 * MEBIBYTE, id="at once, with the default bound"),
        pytest.param(120, 12_000, 110 * MEBIBYTE, 64 * MEBIBYTE, id="slowly, in small pieces"),
    ],
)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
async def test_many_requests_of_one_megabyte_under_way_stay_within_the_fixed_part_and_what_is_admitted(
    running_stack: RunningStack, requests: int, piece_bytes: int, fixed_bytes: int, admitted_bytes: int
) -> None:
    async with running("ingress", {**running_stack.ingress, "MAX_ADMITTED_BYTES": str(admitted_bytes)}) as ingress:
        sent = [0]
        stop = asyncio.Event()
        statuses: list[int] = []

        async def one(number: int) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
            head = f"POST /telnyx-webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
            writer.write(head.encode())
            for begin in range(0, BODY_BYTES - 1, piece_bytes):  # all but the last byte: under way
                writer.write(b"x" * min(piece_bytes, BODY_BYTES - 1 - begin))
                if piece_bytes < BODY_BYTES:
                    with suppress(ConnectionError):  # refused meanwhile
                        await writer.drain()
                    await asyncio.sleep(PIECE_SECONDS)  # the pace of a slow client
            sent[0] += 1
            await stop.wait()
            try:
                writer.write(b"x")
                statuses.append(int((await reader.readline()).split()[1]))
            except (OSError, IndexError):
                statuses.append(0)  # refused and closed before we had sent all
            writer.close()

        tasks = [asyncio.create_task(one(number)) for number in range(requests)]
        await until(lambda: sent[0] == requests, "all under way", seconds=60)
        await until(lambda: _is_full(running_stack, ingress.url, admitted_bytes), "the admission is full", seconds=60)
        stop.set()
        await asyncio.gather(*tasks)
        peak_bytes = resident_bytes(ingress.process.pid)
        status, _ = await callbacks.phaxio(1).send(running_stack.http, ingress.url)
    assert status == 200, "healthy afterwards"
    assert set(statuses) <= {401, 503, 0}
    assert statuses.count(401) > admitted_bytes / BODY_BYTES / 2, "those admitted were read whole and judged"
    assert peak_bytes < fixed_bytes + admitted_bytes


async def _is_full(running_stack: RunningStack, url: str, admitted_bytes: int) -> bool:
    async with running_stack.http.get(f"{url}/metrics") as response:
        (line,) = [each for each in (await response.text()).splitlines() if each.startswith("faxhook_admitted_bytes ")]
    return float(line.split()[1]) > admitted_bytes - 2 * BODY_BYTES
