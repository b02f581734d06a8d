"""Hosts that answer, end and reset as a test says, and a client's requests to them on either loop."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import raw

from dispatcher.channels.outcome import Outcome
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import parse_networks

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EARLY = b"HTTP/1.1 408 Request Time-out\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Host:
    """A raw host: *script* of each connection in turn (the last one stays) handles it; counts what came."""

    def __init__(
        self, *scripts: Callable[["Host", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> None:
        self.scripts = scripts
        self.connections = 0
        self.requests: list[bytes] = []
        self.url = ""
        self.event = asyncio.Event()

    async def request(self, reader: asyncio.StreamReader) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head + await reader.readexactly(1))

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await self.scripts[min(self.connections, len(self.scripts)) - 1](self, reader, writer)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle it, and close it."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await self.handle(reader, writer)
        writer.close()


async def answers(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A good host."""
    while True:
        await host.request(reader)
        writer.write(OK)


def then(*sent: bytes, reset: bool = False) -> Any:
    """Answer one request, then, when the test says so, send each of *sent* at once and close."""

    async def script(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await host.request(reader)
        writer.write(OK)
        await host.event.wait()
        for each in sent:
            writer.write(each)
        if reset:
            reset_on_close(writer)

    return script


def dies_under_the_next(*sent: bytes, reset: bool = False) -> Any:
    """Answer one request; of the next one read all, send *sent*, and close."""

    async def script(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await host.request(reader)
        writer.write(OK)
        await host.request(reader)
        for each in sent:
            writer.write(each)
        if reset:
            reset_on_close(writer)

    return script


def reset_on_close(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@asynccontextmanager
async def serving(host: Host) -> AsyncIterator[tuple[Host, Callable[[], Awaitable[Outcome]]]]:
    client = EgressClient(parse_networks(["127.0.0.0/8"]))
    channel = WebhookChannel(client)
    async with raw.raw_server(host.handle) as server:
        host.url = f"http://127.0.0.1:{raw.port_of(server)}/hook"
        try:
            yield host, lambda: channel.post(host.url, host.url, b"x", {}, 5.0)
        finally:
            await client.close()


Test = Callable[[], Coroutine[Any, Any, None]]
OnLoop = Callable[[Test], None]
