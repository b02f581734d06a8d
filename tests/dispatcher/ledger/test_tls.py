"""A ledger with a wrong certificate counts as away: no event is dead-lettered, and work goes on when it is right."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from dispatchers import DispatcherHarness, an_event
from mailserver import Authority, make_authority
from stores import count
from waiting import until

from shared.broker import WORK_EVENTS
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


class TlsFront:
    """Speaks TLS for the PostgreSQL behind it, with whatever certificate it is given; None: it has no TLS."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self.context: ssl.SSLContext | None = None
        self.refused = 0
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readexactly(8)  # SSLRequest
            if self.context is None:
                self.refused += 1
                writer.write(b"N")
                await writer.drain()
                writer.close()
                return
            writer.write(b"S")
            await writer.drain()
            try:
                await writer.start_tls(self.context)
            except (ssl.SSLError, ConnectionError):
                self.refused += 1
                raise
            there_reader, there_writer = await asyncio.open_connection(*self._target)
            self._writers |= {writer, there_writer}
            try:
                await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
            finally:
                self._writers -= {writer, there_writer}
        writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def fronted(url: str, ca_file: Path) -> AsyncIterator[tuple[TlsFront, str]]:
    """Yield a front of the server of *url*, and the URL that leads through it with every check on."""
    front = TlsFront(url)
    server = await asyncio.start_server(front.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    parts = urlsplit(url)
    query = f"sslmode=verify-full&sslrootcert={ca_file}"
    through = urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}", query=query))
    try:
        yield front, through
    finally:
        server.close()
        front.cut()


async def test_a_ledger_without_tls_or_with_a_strangers_certificate_is_away_and_no_event_is_to_blame(
    harness: DispatcherHarness, dispatching: Dispatching, tmp_path: Path
) -> None:
    await harness.endpoint()
    ours, theirs = _authority(tmp_path / "ours"), _authority(tmp_path / "theirs")
    url = harness.environment["DATABASE_URL"]
    async with fronted(url, ours.ca_file) as (front, through):
        front.context = ours.server
        async with dispatching(DATABASE_URL=through):
            await harness.publish(an_event(1))
            await harness.settled(1)
            number = 1
            for context in (theirs.server, None):
                front.context = context
                front.cut()
                refused = front.refused
                number += 1
                await harness.publish(an_event(number))
                await until(lambda refused=refused: front.refused >= refused + 3, "tried in vain")
                assert await count(harness.amqp_url, "dead.events") == 0
                front.context = ours.server
                await harness.settled(number)
    assert await count(harness.amqp_url, "dead.events") == 0
    assert await count(harness.amqp_url, WORK_EVENTS) == 0
    assert len(harness.receiver.received) == number


def _authority(folder: Path) -> Authority:
    folder.mkdir()
    return make_authority(folder)
