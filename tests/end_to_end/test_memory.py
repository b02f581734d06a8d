"""The ingress needs no more memory than a fixed part plus the bodies that it admits."""

import asyncio
from pathlib import Path

import callbacks
import pytest
from processes import running
from running_stack import RunningStack
from waiting import until

pytestmark = pytest.mark.alone

REQUESTS = 500
BODY_BYTES = 1024 * 1024
FIXED_BYTES = 150 * 1024 * 1024
ADMITTED_BYTES = 256 * 1024 * 1024  # the default of MAX_ADMITTED_BYTES


def resident_bytes(pid: int) -> int:
    """Return the most that the process ever held (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
async def test_five_hundred_requests_of_one_megabyte_under_way_stay_within_the_fixed_part_and_what_is_admitted(
    running_stack: RunningStack,
) -> None:
    async with running("ingress", running_stack.ingress) as ingress:
        sent = [0]
        stop = asyncio.Event()
        statuses: list[int] = []

        async def one(number: int) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
            head = f"POST /telnyx-webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY_BYTES}\r\n\r\n"
            writer.write(head.encode() + b"x" * (BODY_BYTES - 1))  # all but the last byte: under way
            sent[0] += 1
            await stop.wait()
            try:
                writer.write(b"x")
                statuses.append(int((await reader.readline()).split()[1]))
            except (OSError, IndexError):
                statuses.append(0)  # refused and closed before we had sent all
            writer.close()

        tasks = [asyncio.create_task(one(number)) for number in range(REQUESTS)]
        await until(lambda: sent[0] == REQUESTS, "all under way", seconds=60)
        await until(lambda: _is_full(running_stack, ingress.url), "the admission is full", seconds=60)
        stop.set()
        await asyncio.gather(*tasks)
        peak_bytes = resident_bytes(ingress.process.pid)
        status, _ = await callbacks.phaxio(1).send(running_stack.http, ingress.url)
    assert status == 200, "healthy afterwards"
    assert set(statuses) <= {401, 503, 0}
    assert statuses.count(401) > 100, "those admitted were read whole and judged"
    assert peak_bytes < FIXED_BYTES + ADMITTED_BYTES


async def _is_full(running_stack: RunningStack, url: str) -> bool:
    async with running_stack.http.get(f"{url}/metrics") as response:
        (line,) = [each for each in (await response.text()).splitlines() if each.startswith("faxhook_admitted_bytes ")]
    return float(line.split()[1]) > ADMITTED_BYTES - BODY_BYTES
