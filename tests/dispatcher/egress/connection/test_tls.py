"""TLS is verified, direct and through a proxy's tunnel, and its connection kept like a plain one."""

import asyncio

import pytest
import raw
from mailserver import Authority, make_authority
from raw_hosts import Host, OnLoop, answers, dies_under_the_next
from resolving import Answers

from dispatcher.channels.outcome import NotTold, Told
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import parse_networks


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


@pytest.mark.parametrize(
    ("answer", "is_told"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Le", False),
    ],
)
def test_tls_that_ends_without_a_word_ends_an_answer_as_a_plain_connection_does(
    on_loop: OnLoop, authority: Authority, monkeypatch: pytest.MonkeyPatch, answer: bytes, is_told: bool
) -> None:
    """Python's own `http.server` ends so behind TLS: without a length, and without `close_notify`."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))

    async def ends(host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await host.request(reader)
        writer.write(answer)
        writer.transport.abort()

    async def test() -> None:
        host = Host(ends)
        server = await asyncio.start_server(host.serve, "127.0.0.1", 0, ssl=authority.server)
        async with server:
            client = EgressClient(parse_networks(["127.0.0.0/8"]))
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
            outcome = await WebhookChannel(client).post(url, url, b"x", {}, 5.0)
            await client.close()
        assert isinstance(outcome, Told) == is_told, outcome
        assert is_told or (isinstance(outcome, NotTold) and outcome.error == "reset"), outcome

    on_loop(test)
