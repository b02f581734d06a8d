"""A kept connection: no answer of it counts for another request, and its end costs no attempt; on both event loops."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import raw
import uvloop
from mailserver import Authority, make_authority
from resolving import Answers

from dispatcher.channels.outcome import NotTold, Outcome, Told
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.egress import pool
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


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def on_loop(request: pytest.FixtureRequest) -> Callable[[Test], None]:
    """Run a test on the loop of the standard library, and on the one that the services use."""

    def run(test: Test) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(test(), 30))

    return run


OnLoop = Callable[[Test], None]


def test_a_connection_is_used_again(on_loop: OnLoop) -> None:
    async def test() -> None:
        async with serving(Host(answers)) as (host, post):
            for _ in range(5):
                assert isinstance(await post(), Told)
            assert (host.connections, len(host.requests)) == (1, 5)

    on_loop(test)


@pytest.mark.parametrize("sent", [EARLY, EARLY[:9], b"\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"\0"])
@pytest.mark.parametrize("is_seen", [True, False], ids=["the loop had its turn", "still in the socket"])
def test_what_came_while_idle_is_no_answer(on_loop: OnLoop, sent: bytes, is_seen: bool) -> None:
    async def test() -> None:
        arrived = asyncio.Event()

        async def script(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await host.request(reader)
            writer.write(OK)
            await host.event.wait()
            writer.write(sent)
            arrived.set()
            await reader.read()

        async with serving(Host(script, answers)) as (host, post):
            assert isinstance(await post(), Told)
            host.event.set()
            await arrived.wait()
            for _ in range(20 if is_seen else 0):
                await asyncio.sleep(0)
            outcome = await post()
            assert (type(outcome), outcome.http_status, outcome.answer) == (Told, 200, b"ok")
            assert (host.connections, len(host.requests)) == (2, 2)

    on_loop(test)


@pytest.mark.parametrize(
    "script",
    [then(), then(reset=True), then(EARLY), dies_under_the_next(), dies_under_the_next(reset=True), dies_under_the_next(EARLY)],
    ids=["closed", "reset", "farewell", "closes under it", "resets under it", "farewell crosses it"],
)  # fmt: skip
def test_a_kept_connection_that_ends_before_an_answer_costs_no_attempt(on_loop: OnLoop, script: Any) -> None:
    async def test() -> None:
        async with serving(Host(script, answers)) as (host, post):
            assert isinstance(await post(), Told)
            host.event.set()
            assert isinstance(await post(), Told)
            assert host.connections == 2

    on_loop(test)


@pytest.mark.parametrize("reset", [False, True])
def test_once_more_is_once_and_a_new_connection_that_dies_is_a_failure(on_loop: OnLoop, reset: bool) -> None:
    async def dies(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await host.request(reader)
        if reset:
            reset_on_close(writer)

    async def test() -> None:
        async with serving(Host(dies_under_the_next(), dies)) as (host, post):
            assert isinstance(await post(), Told)
            outcome = await post()
            assert (type(outcome), outcome.error) == (NotTold, "reset")
            assert (host.connections, len(host.requests)) == (2, 3)
            assert (await post()).error == "reset"
            assert host.connections == 3

    on_loop(test)


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 100 Continue\r\n\r\n", OK[:-1]])
@pytest.mark.parametrize("reset", [False, True])
def test_an_answer_that_has_begun_is_not_asked_for_again(on_loop: OnLoop, begun: bytes, reset: bool) -> None:
    async def test() -> None:
        async with serving(Host(dies_under_the_next(begun, reset=reset), answers)) as (host, post):
            assert isinstance(await post(), Told)
            assert (await post()).error == "reset"
            assert host.connections == 1

    on_loop(test)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nnull",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=1\r\n\r\nok",
        b"HTTP/1.1 200 " + b"r" * 9_000 + b"\r\nContent-Length: 0\r\n" + b"X: y\r\n" * 129 + b"Y: " + b"a" * 8_191 + b"\r\n\r\n ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("pieces", ["one", "bytes"])
def test_a_whole_answer_is_told_and_such_a_connection_not_used_again(
    on_loop: OnLoop, answer: bytes, pieces: str
) -> None:
    async def script(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await host.request(reader)
        for piece in [answer] if pieces == "one" else [answer[:-1], answer[-1:]]:
            writer.write(piece)
            await asyncio.sleep(0)
        await reader.read()

    async def test() -> None:
        async with serving(Host(script)) as (host, post):
            for _ in range(2):
                assert isinstance(await post(), Told)
            assert host.connections == 2

    on_loop(test)


def test_an_idle_connection_is_closed_before_hosts_commonly_do(
    on_loop: OnLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pool.KEPT_SECONDS < 5.0
    monkeypatch.setattr(pool, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(pool, "KEPT_SECONDS", 0.1)

    async def script(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await host.request(reader)
        writer.write(OK)
        assert await reader.read() == b""
        host.event.set()

    async def test() -> None:
        async with serving(Host(script)) as (host, post):
            assert isinstance(await post(), Told)
            await asyncio.wait_for(host.event.wait(), 5)

    on_loop(test)


def test_a_request_that_is_cancelled_leaves_no_connection_for_the_next(on_loop: OnLoop) -> None:
    async def late(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await host.request(reader)
        host.event.set()
        await reader.read()

    async def test() -> None:
        async with serving(Host(late, answers)) as (host, post):
            first = asyncio.ensure_future(post())
            await host.event.wait()
            first.cancel()
            await asyncio.wait({first})
            assert first.cancelled()
            assert isinstance(await post(), Told)
            assert host.connections == 2

    on_loop(test)


def test_an_answer_before_the_body_was_read_counts_even_if_the_connection_is_reset(on_loop: OnLoop) -> None:
    async def script(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    async def test() -> None:
        async with serving(Host(script)) as (host, _):
            client = EgressClient(parse_networks(["127.0.0.0/8"]))
            for _ in range(10):
                outcome = await WebhookChannel(client).post(host.url, host.url, b"x" * 8_000_000, {}, 5.0)
                assert outcome.http_status == 413, outcome
            await client.close()

    on_loop(test)


# ---- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


class Tunnel:
    """A proxy that takes CONNECT and passes bytes on to *port*, whatever host was asked for."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heads: list[bytes] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pass_on(reader, upstream), _pass_on(upstream_reader, writer))
        finally:
            upstream.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize("is_proxied", [False, True], ids=["direct", "tunnel"])
@pytest.mark.parametrize("is_trusted", [False, True])
def test_tls_is_verified_and_its_connection_kept_like_a_plain_one(
    on_loop: OnLoop, authority: Authority, monkeypatch: pytest.MonkeyPatch, is_proxied: bool, is_trusted: bool
) -> None:
    """The operator's own authority comes by `SSL_CERT_FILE`, as OpenSSL reads it."""
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))

    async def test() -> None:
        host = Host(dies_under_the_next(), answers)
        server = await asyncio.start_server(host.serve, "127.0.0.1", 0, ssl=authority.server)
        port = server.sockets[0].getsockname()[1]
        tunnel = Tunnel(port)
        async with server, raw.raw_server(tunnel.handle) as proxy:
            proxy_url = f"http://127.0.0.1:{raw.port_of(proxy)}" if is_proxied else None
            client = EgressClient(parse_networks(["127.0.0.0/8"]), proxy_url)
            url = f"https://127.0.0.1:{port}/hook"
            outcomes = [await WebhookChannel(client).post(url, url, b"x", {}, 5.0) for _ in range(4)]
            await client.close()
            if is_trusted:
                assert [type(each) for each in outcomes] == [Told] * 4, outcomes
                assert (host.connections, len(host.requests)) == (2, 5)
            else:
                assert [each.error for each in outcomes] == ["tls"] * 4
                assert host.requests == []
            assert len(tunnel.heads) == (0 if not is_proxied else 2 if is_trusted else 4)

    on_loop(test)


@pytest.mark.parametrize("name", ["localhost.example", "other.example"])
def test_a_certificate_for_another_name_is_refused(
    on_loop: OnLoop, authority: Authority, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))

    async def test() -> None:
        host = Host(answers)
        server = await asyncio.start_server(host.serve, "127.0.0.1", 0, ssl=authority.server)
        async with server:
            client = EgressClient(parse_networks(["127.0.0.0/8"]), resolver=Answers(**{name: [["127.0.0.1"]]}))
            url = f"https://{name}:{server.sockets[0].getsockname()[1]}/hook"
            outcome = await WebhookChannel(client).post(url, url, b"x", {}, 5.0)
            await client.close()
        assert (type(outcome), outcome.error, host.requests) == (NotTold, "tls", [])

    on_loop(test)


def test_a_stalled_handshake_costs_the_timeout_and_no_more(on_loop: OnLoop) -> None:
    async def stalls(_host: Host, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await asyncio.Event().wait()

    async def test() -> None:
        client = EgressClient(parse_networks(["127.0.0.0/8"]))
        host = Host(stalls)
        async with raw.raw_server(host.handle) as server:
            url = f"https://127.0.0.1:{raw.port_of(server)}/"
            outcome = await WebhookChannel(client).post(url, url, b"x", {}, 0.3)
            assert (type(outcome), outcome.error) == (NotTold, "timeout")
            await client.close()

    on_loop(test)
