"""The egress proxy: what goes through it, and whether a failure counts against the endpoint."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from dispatchers import SECRETS_KEY
from raw import port_of, raw_server
from receiver import Receiver
from resolving import Answers

from dispatcher.channels.outcome import NotTold, NotTried, Outcome, Told
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import parse_networks
from dispatcher.settings import DispatcherSettings
from shared.settings import BadSetting, load


@dataclass
class Proxy:
    """A proxy that answers every request's head with `answer`; None passes on what it was asked to a receiver."""

    url: str = ""
    heads: list[bytes] = field(default_factory=list)
    answer: bytes | None = None
    pass_on_to: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if self.answer is None:
            await self._pass_on(head, reader, writer)
        else:
            writer.write(self.answer)
            await writer.drain()

    async def _pass_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, version = head.split(b"\r\n")[0].split()
        path = b"/" + target.split(b"/", 3)[3]
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self.pass_on_to)
        rest = head.split(b"\r\n", 1)[1].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        upstream.write(b" ".join((method, path, version)) + b"\r\n" + rest + await reader.readexactly(1))
        writer.write(await upstream_reader.read())
        await writer.drain()
        upstream.close()


@asynccontextmanager
async def proxying(answer: bytes | None = None) -> AsyncIterator[Proxy]:
    proxy = Proxy(answer=answer)
    async with raw_server(proxy.handle) as server:
        proxy.url = f"http://user:p%40ss@127.0.0.1:{port_of(server)}"
        yield proxy


async def post(url: str, proxy_url: str, *, seconds: float = 5, resolver: Answers | None = None) -> Outcome:
    opened = EgressClient(parse_networks([]), proxy_url, resolver)
    try:
        return await WebhookChannel(opened).post(url, url, b"x", {"Content-Type": "text/plain"}, seconds)
    finally:
        await opened.close()


async def test_a_webhook_goes_through_the_proxy_by_name_and_the_proxys_own_address_is_not_checked(
    receiver: Receiver,
) -> None:
    async with proxying() as proxy:
        proxy.pass_on_to = int(receiver.base_url.rpartition(":")[2])
        outcome = await post("http://hook.example/a?b=%7e", proxy.url, resolver=Answers())
    assert isinstance(outcome, Told), outcome
    (head,) = proxy.heads
    assert head.startswith(b"POST http://hook.example/a?b=%7e HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"user:p@ss") in head
    assert (receiver.received[0].target, receiver.received[0].body) == ("/a?b=%7e", b"x")


async def test_an_https_webhook_asks_for_a_tunnel_and_shows_the_password_to_the_proxy_only() -> None:
    async with proxying(b"HTTP/1.1 200 OK\r\n\r\n") as proxy:
        await post("https://hook.example/secret-path", proxy.url)
    (head,) = proxy.heads
    assert head.startswith(b"CONNECT hook.example:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"user:p@ss") in head
    assert b"secret-path" not in head


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:10.0.0.1]", "2130706433", "0x7f.1", "localhost", "%31.0.0.1"])
async def test_a_literal_inner_address_is_refused_before_the_proxy_hears_of_it(host: str) -> None:
    async with proxying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as proxy:
        outcome = await post(f"http://{host}/", proxy.url)
    assert isinstance(outcome, NotTold)
    assert (outcome.error, proxy.heads) == ("egress_refused", [])


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("proxy_host", ["127.0.0.1", "no-such-proxy.invalid"])
async def test_a_proxy_that_is_away_is_our_own_trouble(scheme: str, proxy_host: str, unused_tcp_port: int) -> None:
    outcome = await post(f"{scheme}://hook.example/", f"http://{proxy_host}:{unused_tcp_port}")
    assert outcome == NotTried(error="proxy_away")


ASKS = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_does_not_take_our_password_is_our_own_trouble(scheme: str) -> None:
    async with proxying(ASKS) as proxy:
        assert await post(f"{scheme}://hook.example/", proxy.url) == NotTried(error="proxy_away")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("502 Bad Gateway", "proxy_502"),
        ("503 Unavailable", "proxy_503"),
        ("504 Gateway Timeout", "proxy_504"),
        ("403 Forbidden", "egress_refused"),
        ("407 Request Rejected by Proxy", "egress_refused"),
    ],
)
async def test_a_tunnel_that_is_refused_counts_as_the_endpoints_failure(answer: str, error: str) -> None:
    async with proxying(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode()) as proxy:
        outcome = await post("https://hook.example/", proxy.url)
    assert isinstance(outcome, NotTold)
    assert outcome.error == error


async def test_a_timeout_behind_a_proxy_that_is_there_is_the_endpoints() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(silent) as server:
        outcome = await post("http://hook.example/", f"http://127.0.0.1:{port_of(server)}", seconds=0.3)
        assert isinstance(outcome, NotTold)
        assert outcome.error == "timeout"


async def test_a_proxy_that_dies_under_a_request_is_our_own_trouble() -> None:
    async def dies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        server.close()

    async with raw_server(dies) as server:
        outcome = await post("http://hook.example/", f"http://127.0.0.1:{port_of(server)}")
    assert outcome == NotTried(error="proxy_away")


VARIABLES = {
    "AMQP_URL": "amqp://a",
    "DATABASE_URL": "postgres://a",
    "MEDIA_URL": "file:///tmp",
    "SECRETS_KEY": SECRETS_KEY,
}


@pytest.mark.parametrize(
    "url", ["socks5://a:1", "http://a", "http://:3128", "http://a:1/path", "http://a:99999", "a:1"]
)
def test_a_setting_that_names_no_proxy_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(BadSetting, match=r"^EGRESS_PROXY is ") as refused:
        load(DispatcherSettings, {**VARIABLES, "EGRESS_PROXY": url})
    assert url not in str(refused.value)


def test_the_proxys_password_is_not_shown() -> None:
    settings = load(DispatcherSettings, {**VARIABLES, "EGRESS_PROXY": "http://user:hidden@proxy:3128"})
    assert settings.proxy() == "http://user:hidden@proxy:3128"
    assert "hidden" not in repr(settings)
