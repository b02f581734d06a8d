"""A kept connection never gives one webhook another's answer, and its end costs no attempt."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from raw import port_of, raw_server
from waiting import until

from dispatcher.channels.outcome import NotTold, Outcome, Told
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.egress import pool
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import parse_networks

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Host:
    """A host whose connections are handled in turn, each by its function; the last one stays."""

    handles: list[Handle]
    url: str = ""
    connections: int = 0
    requests: int = 0
    signal: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handle = self.handles[min(self.connections, len(self.handles) - 1)]
        self.connections += 1
        await handle(reader, writer)

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(length)
        self.requests += 1
        return head

    async def answering(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await self.request(reader)
            writer.write(OK)


@asynccontextmanager
async def hosting(
    *names: str | Callable[[Host], Handle],
) -> AsyncIterator[tuple[Host, Callable[[], Awaitable[Outcome]]]]:
    """Yield a host, and what posts to it once."""
    host = Host([])
    host.handles = [host.answering if isinstance(each, str) else each(host) for each in names]
    client = EgressClient(parse_networks(["127.0.0.0/8"]))
    channel = WebhookChannel(client)
    async with raw_server(host.handle) as server:
        host.url = f"http://127.0.0.1:{port_of(server)}/"
        try:
            yield host, lambda: channel.post(host.url, host.url, b"{}", {}, 3.0)
        finally:
            await client.close()


def code(outcome: Outcome) -> str:
    return "told" if isinstance(outcome, Told) else str(outcome.error)


async def test_one_connection_serves_many_webhooks() -> None:
    async with hosting("answering") as (host, post):
        assert [code(await post()) for _ in range(20)] == ["told"] * 20
    assert (host.connections, host.requests) == (1, 20)


UNASKED = [
    b"HTTP/1.1 408 Request Time-out\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
    b"\r\n",
    b"x",
]


@pytest.mark.parametrize("unasked", UNASKED)
@pytest.mark.parametrize("is_read", [True, False], ids=["read by the loop", "still in the socket"])
async def test_what_came_on_an_idle_connection_is_the_answer_of_no_webhook(unasked: bytes, is_read: bool) -> None:
    def speaks(host: Host) -> Handle:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await host.request(reader)
            writer.write(OK)
            await host.signal.wait()
            writer.write(unasked)
            await writer.drain()
            host.done.set()
            await reader.read()

        return handle

    async with hosting(speaks, "answering") as (host, post):
        assert code(await post()) == "told"
        host.signal.set()
        await host.done.wait()
        if is_read:
            await asyncio.sleep(0.05)  # for the loop to read it, which nothing tells
        assert code(await post()) == "told"
        assert (host.connections, host.requests) == (2, 2)


async def test_an_answer_before_the_first_request_of_a_connection_is_not_told() -> None:
    def hasty(host: Host) -> Handle:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(OK)
            await host.request(reader)

        return handle

    async with hosting(hasty) as (_, post):
        # Whether it comes before our request is written, is the machine's; that it is never kept for a second one, ours.
        first, second = code(await post()), code(await post())
        assert {first, second} <= {"bad_answer", "told"}


def resets(writer: asyncio.StreamWriter) -> None:
    """End the connection by a RST."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_kept_connection_that_ends_instead_of_answering_costs_no_attempt(how: str) -> None:
    def ends(host: Host) -> Handle:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await host.request(reader)
            writer.write(OK)
            await host.request(reader)
            if how == "resets":
                resets(writer)

        return handle

    async with hosting(ends, "answering") as (host, post):
        assert [code(await post()) for _ in range(2)] == ["told", "told"]
        assert host.connections == 2


async def test_a_408_on_a_kept_connection_costs_no_attempt_and_on_a_new_one_does() -> None:
    timed_out = b"HTTP/1.1 408 Request Time-out\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def gives_up(host: Host) -> Handle:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await host.request(reader)
            writer.write(OK)
            await host.request(reader)
            writer.write(timed_out)
            await writer.drain()

        return handle

    def always(host: Host) -> Handle:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await host.request(reader)
            writer.write(timed_out)
            await writer.drain()

        return handle

    async with hosting(gives_up, "answering") as (_, post):
        assert [code(await post()) for _ in range(2)] == ["told", "told"]
    async with hosting(always) as (host, post):
        assert code(await post()) == "http_408"
        assert host.connections == 1


@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_new_connection_that_ends_is_a_failed_attempt_and_is_not_tried_again(how: str) -> None:
    def dies(host: Host) -> Handle:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await host.request(reader)
            if how == "resets":
                resets(writer)

        return handle

    async with hosting(dies) as (host, post):
        assert code(await post()) == "reset"
        assert (host.connections, host.requests) == (1, 1)


async def test_the_second_try_is_on_a_new_connection_and_is_the_last() -> None:
    def once(host: Host) -> Handle:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await host.request(reader)
            writer.write(OK)
            await writer.drain()
            await host.signal.wait()

        return handle

    def dies(host: Host) -> Handle:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await host.request(reader)

        return handle

    async with hosting(once, once, dies) as (host, post):
        assert [code(each) for each in await asyncio.gather(post(), post())] == ["told", "told"]
        # Both kept ones end when the third request has been written on one of them.
        posting = asyncio.ensure_future(post())
        host.signal.set()
        assert code(await posting) == "reset"
        assert host.connections == 3


async def test_a_kept_connection_that_ends_within_its_answer_is_a_failed_attempt() -> None:
    def breaks_off(host: Host) -> Handle:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await host.request(reader)
            writer.write(OK)
            await host.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
            await writer.drain()

        return handle

    async with hosting(breaks_off, "answering") as (host, post):
        assert [code(await post()) for _ in range(2)] == ["told", "reset"]
        assert host.connections == 1


STRAY = [
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n", b"null"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ay then"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"\r\n"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", b"null"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
]


@pytest.mark.parametrize(("answer", "stray"), STRAY)
@pytest.mark.parametrize("is_together", [True, False], ids=["in one segment", "later"])
async def test_stray_bytes_behind_an_answer_change_no_outcome(answer: bytes, stray: bytes, is_together: bool) -> None:
    def strays(host: Host) -> Handle:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await host.request(reader)
            writer.write(answer + (stray if is_together else b""))
            await writer.drain()
            if not is_together:
                await host.signal.wait()
                writer.write(stray)
                await writer.drain()
            host.done.set()
            await reader.read()

        return handle

    async with hosting(strays) as (host, post):
        for connection in range(1, 4):
            host.signal.clear()
            host.done.clear()
            assert code(await post()) == "told"
            host.signal.set()
            await host.done.wait()
            assert host.connections == connection, "none of them is used again"


async def test_the_host_says_for_how_long_it_keeps_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def keeps(host: Host) -> Handle:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await host.request(reader)
                writer.write(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n")

        return handle

    async with hosting(keeps) as (host, post):
        assert [code(await post()) for _ in range(3)] == ["told"] * 3
        assert host.connections == 3, "a second is no longer than our margin"
    monkeypatch.setattr(pool, "MARGIN_SECONDS", 0.5)
    async with hosting(keeps) as (host, post):
        assert [code(await post()) for _ in range(3)] == ["told"] * 3
        assert host.connections == 1


async def test_an_idle_connection_is_ended_before_servers_commonly_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pool.KEPT_SECONDS < 5.0, "Node, Apache and uvicorn end it after 5 s"
    monkeypatch.setattr(pool, "KEPT_SECONDS", 0.3)
    monkeypatch.setattr(pool, "SWEEP_SECONDS", 0.1)

    def watched(host: Host) -> Handle:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await host.request(reader)
            writer.write(OK)
            await reader.read()
            host.done.set()

        return handle

    async with hosting(watched) as (host, post):
        assert code(await post()) == "told"
        await until(host.done.is_set, "the connection is closed", 5.0)
        assert code(await post()) == "told"
        assert host.connections == 2


async def test_a_reset_while_connecting_or_answering_is_a_reset() -> None:
    def at_once(_host: Host) -> Handle:
        async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            resets(writer)

        return handle

    def within(host: Host) -> Handle:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await host.request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
            await writer.drain()
            resets(writer)

        return handle

    for kind in (at_once, within):
        async with hosting(kind) as (_, post):
            outcome = await post()
            assert isinstance(outcome, NotTold)
            assert outcome.error == "reset", kind
