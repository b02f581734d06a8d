"""An application in a process of its own, so that its work does not count as work of the test process."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class ReceiverProcess:
    """Answers 200 to every webhook. `delivery_ids`: those it was told, in order, repetitions included."""

    url: str
    delivery_ids: list[str] = field(default_factory=list)


@asynccontextmanager
async def receiver_process() -> AsyncIterator[ReceiverProcess]:
    """Run one until the body ends."""
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    application = ReceiverProcess(f"http://127.0.0.1:{port}/")
    reading = asyncio.create_task(_read(process.stdout, application.delivery_ids))
    try:
        yield application
    finally:
        process.kill()
        await process.wait()
        await reading


async def _read(lines: asyncio.StreamReader, delivery_ids: list[str]) -> None:
    async for line in lines:
        delivery_ids.append(line.decode().strip())  # noqa: PERF401 - each as it comes


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            fields = {}
            for line in (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                fields[name.lower()] = value.strip()
            await reader.readexactly(int(fields[b"content-length"]))
            _say(fields[b"x-faxhook-delivery-id"].decode())
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    _say(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
