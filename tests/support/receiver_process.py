"""An application in a process of its own, so that its work does not count as work of the test process."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class ReceiverProcess:
    """Answers 200 to every webhook.

    `delivery_ids`: those it was told, in order, repetitions included. `arrivals`: when each event's webhook first
    came, in seconds of the monotonic clock, which is one for all processes.
    """

    url: str
    delivery_ids: list[str] = field(default_factory=list)
    arrivals: dict[str, float] = field(default_factory=dict)


@asynccontextmanager
async def receiver_process() -> AsyncIterator[ReceiverProcess]:
    """Run one until the body ends."""
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    application = ReceiverProcess(f"http://127.0.0.1:{port}/")
    reading = asyncio.create_task(_read(process.stdout, application))
    try:
        yield application
    finally:
        process.kill()
        await process.wait()
        await reading


async def _read(lines: asyncio.StreamReader, application: ReceiverProcess) -> None:
    async for line in lines:
        delivery_id, event_id, at = line.decode().split()
        application.delivery_ids.append(delivery_id)
        application.arrivals.setdefault(event_id, float(at))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            at = time.monotonic()
            fields = {}
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                fields[name.lower()] = value.strip()
            await reader.readexactly(int(fields[b"content-length"]))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            _say(f"{fields[b'x-faxhook-delivery-id'].decode()} {fields[b'x-faxhook-event-id'].decode()} {at}")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    _say(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
