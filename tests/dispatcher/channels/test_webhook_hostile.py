"""A hostile receiver costs no more than its timeout and a little memory, whatever it sends."""

import asyncio
import gzip
import time
import tracemalloc
from collections.abc import AsyncIterator

import pytest
import raw

from dispatcher.channels.outcome import ANSWER_KEPT_BYTES, NotTold, Outcome, Told
from dispatcher.channels.webhook import ANSWER_LIMIT_BYTES, WebhookChannel
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import parse_networks

TIMEOUT_SECONDS = 1.0
MOST_MEMORY_BYTES = 8 * 1024 * 1024


@pytest.fixture
async def channel() -> AsyncIterator[WebhookChannel]:
    way_out = EgressClient(parse_networks(["127.0.0.0/8"]))
    yield WebhookChannel(way_out)
    await way_out.close()


async def answered(channel: WebhookChannel, head: bytes, piece: bytes, pause_seconds: float = 0.0) -> Outcome:
    """POST to a receiver that answers *head* and then *piece* for ever; check what that costs."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while piece:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_seconds)  # how it drips
        await reader.read()

    async with raw.raw_server(handle) as server:
        url = f"http://127.0.0.1:{raw.port_of(server)}/"
        tracemalloc.start()
        started = time.monotonic()
        outcome = await channel.post(url, url, b"x", {}, TIMEOUT_SECONDS)
        seconds = time.monotonic() - started
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert seconds < TIMEOUT_SECONDS + 2.0
    assert peak < MOST_MEMORY_BYTES
    return outcome


@pytest.mark.parametrize(
    ("name", "status", "piece", "pause_seconds"),
    [
        ("a header now and then", b"200 OK", b"X-A: b\r\n", 0.05),
        ("interim answers", b"103 Early Hints", b"\r\nHTTP/1.1 103 Early Hints\r\nX-A: b\r\n", 0.0),
    ],
)
async def test_a_head_that_never_ends_is_not_told(
    channel: WebhookChannel, name: str, status: bytes, piece: bytes, pause_seconds: float
) -> None:
    outcome = await answered(channel, b"HTTP/1.1 %b\r\nX-B: c\r\n" % status, piece, pause_seconds)
    assert isinstance(outcome, NotTold), name


@pytest.mark.parametrize("piece", [b"X-A: b\r\n" * 100, b"x" * 10_000], ids=["many short headers", "one long header"])
@pytest.mark.parametrize("status", [b"200 OK", b"503 Busy"])
async def test_past_the_limit_of_a_head_its_status_decides(
    channel: WebhookChannel, status: bytes, piece: bytes
) -> None:
    outcome = await answered(channel, b"HTTP/1.1 %b\r\nX-B: c\r\n" % status, piece)
    assert outcome.http_status == int(status[:3])
    assert isinstance(outcome, Told) is status.startswith(b"200")


async def test_a_gigabyte_is_not_read_and_a_trickle_is_not_waited_for(channel: WebhookChannel) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    outcome = await answered(channel, chunked, b"%x\r\n" % 65_536 + b"y" * 65_536 + b"\r\n")
    assert isinstance(outcome, Told)
    assert len(outcome.answer) == ANSWER_KEPT_BYTES < ANSWER_LIMIT_BYTES
    trickle = await answered(channel, chunked, b"1\r\ny\r\n", 0.05)
    assert (type(trickle), trickle.error) == (NotTold, "timeout")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_an_answer_that_would_unpack_to_a_gigabyte_is_kept_packed(channel: WebhookChannel, coding: str) -> None:
    bomb = gzip.compress(bytes(32 * 1024 * 1024))
    head = f"HTTP/1.1 500 No\r\nContent-Encoding: {coding}\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    outcome = await answered(channel, head + bomb, b"")
    assert isinstance(outcome, NotTold)
    assert outcome.answer == bomb[:ANSWER_KEPT_BYTES]
