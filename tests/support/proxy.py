"""A TCP proxy between a service and a store, that can be cut, stalled and restored."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

CONNECT_SECONDS = 1.0
"""A target that does not answer for so long is passed over."""


class Proxy:
    """Passes bytes on while it is open.

    `cut` resets what is connected and refuses what comes; `stall` keeps connections but passes nothing on (the
    answers only, or both ways) and stops reading, so that buffers fill. `restore` ends both for new connections.

    *targets*: where it leads to; of several, one that answers, in random order.
    """

    def __init__(self, host: str, port: int) -> None:
        self.targets: Sequence[tuple[str, int]] = [(host, port)]
        self._writers: set[asyncio.StreamWriter] = set()
        self._handling: set[asyncio.Task[None]] = set()
        """Handlers that stall: without a reference they would be garbage-collected, and their sockets closed."""
        self._is_cut = False
        self._passing = [asyncio.Event(), asyncio.Event()]
        for passing in self._passing:
            passing.set()
        self.port = 0

    def cut(self) -> None:
        self._is_cut = True
        for writer in list(self._writers):
            writer.transport.abort()

    def stall(self, *, both: bool = True) -> None:
        there, back = self._passing
        back.clear()
        if both:
            there.clear()

    def restore(self) -> None:
        self._is_cut = False
        self._passing = [asyncio.Event(), asyncio.Event()]
        for passing in self._passing:
            passing.set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handling = asyncio.ensure_future(self._handle(reader, writer))
        self._handling.add(handling)
        handling.add_done_callback(self._handling.discard)
        # At the loop's end Python 3.11 reports every cancelled handler of a stream as an error.
        with suppress(asyncio.CancelledError):
            await handling

    async def close(self) -> None:
        """End every connection."""
        self.cut()
        for handling in list(self._handling):
            handling.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for target in random.sample(self.targets, len(self.targets)):
            with suppress(OSError):
                return await asyncio.wait_for(asyncio.open_connection(*target), CONNECT_SECONDS)
        return None

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        there = await self._connect()
        if there is None:
            writer.transport.abort()
            return
        there_reader, there_writer = there
        self._writers |= {writer, there_writer}
        try:
            await asyncio.gather(
                _pump(reader, there_writer, self._passing[0]), _pump(there_reader, writer, self._passing[1])
            )
        finally:
            self._writers -= {writer, there_writer}
            writer.transport.abort()
            there_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passing: asyncio.Event) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            await passing.wait()
            writer.write(data)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Yield a proxy to the host of *url*, and *url* leading through it."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = Proxy(parts.hostname, parts.port)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    user_info = parts.netloc.rpartition("@")[0]
    through = urlunsplit(parts._replace(netloc=f"{user_info}@127.0.0.1:{proxy.port}"))
    try:
        yield proxy, through
    finally:
        server.close()
        await proxy.close()
