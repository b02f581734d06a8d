"""The webhook channel against receivers of every kind: only a complete 2xx in time is told."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
import raw
from aiohttp import web
from receiver import Receiver

from dispatcher.channels.outcome import NotTold, Outcome, Told
from dispatcher.channels.webhook import WebhookChannel, retry_after_seconds
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import parse_networks
from dispatcher.egress.target import public_url


async def post(channel: WebhookChannel, url: str, timeout_seconds: float) -> Outcome:
    return await channel.post(url, public_url(url), b"x", {"Content-Type": "text/plain"}, timeout_seconds)


@pytest.fixture
async def channel() -> AsyncIterator[WebhookChannel]:
    way_out = EgressClient(parse_networks(["127.0.0.0/8"]))
    yield WebhookChannel(way_out)
    await way_out.close()


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_told(channel: WebhookChannel, receiver: Receiver, status: int) -> None:
    receiver.answer = lambda _received: status
    outcome = await post(channel, receiver.url, 5)
    assert isinstance(outcome, Told)
    assert outcome.http_status == status


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 400, 404, 410, 429, 500, 503])
async def test_everything_else_is_not_and_a_redirect_is_never_followed(
    channel: WebhookChannel, receiver: Receiver, status: int
) -> None:
    location = {"Location": f"{receiver.base_url}/elsewhere"}
    receiver.answer = lambda received: web.Response(
        status=200 if "elsewhere" in received.target else status, headers=location
    )
    outcome = await post(channel, receiver.url, 5)
    assert isinstance(outcome, NotTold)
    assert outcome.error == f"http_{status}"
    assert len(receiver.received) == 1


async def test_the_url_is_posted_to_byte_for_byte_and_its_user_becomes_basic(
    channel: WebhookChannel, receiver: Receiver
) -> None:
    url = receiver.base_url.replace("http://", "http://user:p%40ss@") + "/a%2Fb/?q=%7e+x&q=%C3%A9"
    outcome = await post(channel, url, 5)
    (received,) = receiver.received
    assert received.target == "/a%2Fb/?q=%7e+x&q=%C3%A9"
    assert received.headers["Authorization"] == "Basic dXNlcjpwQHNz"
    assert isinstance(outcome, Told)
    assert "p@ss" not in str(outcome)
    assert "p%40ss" not in str(outcome)


async def test_a_receiver_that_hangs_costs_its_timeout_and_no_more(channel: WebhookChannel, receiver: Receiver) -> None:
    receiver.answer = lambda _received: asyncio.Event().wait()
    started = time.monotonic()
    outcome = await post(channel, receiver.url, 0.3)
    assert isinstance(outcome, NotTold)
    assert outcome.error == "timeout"
    assert 0.25 < time.monotonic() - started < 1.5


async def raw_server(answer: bytes, then: asyncio.Event | None) -> tuple[asyncio.Server, str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if then is not None:
            await then.wait()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("name", "answer", "stays_open", "error"),
    [
        ("drips", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\na", True, "timeout"),
        ("breaks off", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\na", False, "reset"),
        ("closes at once", b"", False, "reset"),
        ("says nothing", b"", True, "timeout"),
        ("speaks no HTTP", b"220 smtp ready\r\n\r\n", False, "bad_answer"),
    ],
)
async def test_an_answer_that_is_not_complete_in_time_is_not_told(
    channel: WebhookChannel, name: str, answer: bytes, stays_open: bool, error: str
) -> None:
    release = asyncio.Event()
    server, url = await raw_server(answer, release if stays_open else None)
    async with server:
        outcome = await post(channel, url, 0.5)
        release.set()
    assert isinstance(outcome, NotTold)
    assert outcome.error == error, name


async def test_of_an_endless_answer_only_the_beginning_is_read_and_it_is_told(channel: WebhookChannel) -> None:
    release = asyncio.Event()
    server, url = await raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"a" * 100_000, release)
    async with server:
        outcome = await post(channel, url, 5)
        release.set()
    assert isinstance(outcome, Told)
    assert outcome.answer == b"a" * 2048


async def test_a_closed_port_an_unknown_name_and_a_receiver_without_tls_have_their_own_codes(
    channel: WebhookChannel, receiver: Receiver, unused_tcp_port: int
) -> None:
    for url, error in (
        (f"http://127.0.0.1:{unused_tcp_port}/", "refused"),
        ("http://no-such-host.invalid/", "host_not_found"),
        (receiver.url.replace("http://", "https://"), "tls"),
    ):
        outcome = await post(channel, url, 5)
        assert isinstance(outcome, NotTold)
        assert outcome.error == error, url


NOW = datetime(2026, 10, 3, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        ("120.1", 121),
        ("-5", 0),
        (format_datetime(NOW.replace(minute=2), usegmt=True), 120),
        ("Sat, 03 Oct 2026 07:00:00 GMT", 0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e308", 1e308),
        ("1e999", None),
        ("9" * 400, None),
        ("", None),
        ("  7  ", 7),
        ("0x10", None),
        ("5, 6", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Saturday, 03-Oct-26 08:02:00 GMT", 120),
        ("Sat Oct  3 08:02:00 2026", 120),
        ("Sat, 03 Oct 2026 10:02:00 +0200", 120),
        ("Sat, 03 Oct 2026 08:02:00", 120),
        ("Sat, 31 Feb 2026 08:02:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - NOW).total_seconds()),
        ("Sat, 03 Oct 99999999999 08:00:00 GMT", None),
        ("\udce9", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_rounded_up(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/a?b=c@d", "https://example.com/a?b=c@d"),
        ("https://u:p@example.com/a", "https://example.com/a"),
        ("https://u:p@example.com", "https://example.com"),
        ("https://u@example.com?x=@", "https://example.com?x=@"),
    ],
)
def test_the_public_url_is_the_url_without_user_and_password(url: str, shown: str) -> None:
    assert public_url(url) == shown


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("200 OK", Told), ("204 No Content", Told), ("413 Too Large", NotTold), ("503 Busy", NotTold)],
)
@pytest.mark.parametrize("closes", [True, False])
async def test_an_answer_before_our_body_was_read_counts_as_that_answer(
    channel: WebhookChannel, status: str, outcome: type[Outcome], closes: bool
) -> None:
    """The body is larger than what fits into the buffers on the way: most of it is never sent."""
    release = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        if not closes:
            await release.wait()
        writer.close()

    async with raw.raw_server(handle) as server:
        url = f"http://127.0.0.1:{raw.port_of(server)}/"
        started = time.monotonic()
        found = await channel.post(url, url, b"x" * 20_000_000, {"Content-Type": "text/plain"}, 5.0)
        seconds = time.monotonic() - started
        release.set()
    assert isinstance(found, outcome), found
    assert found.http_status == int(status[:3])
    assert seconds < 4.0
