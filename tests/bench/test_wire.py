"""The bench's provider keeps its pace, waits for a free lane, and refuses to count what was not answered 200."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from callback_load import json_callback, next_number
from raw import port_of, raw_server
from wire import MOST_REPEATED, applying, post_all


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[int]:
    """Answer with one after the other, and with the last from then on."""
    left = list(answers)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            head = await reader.readuntil(b"\r\n\r\n")
            (length,) = (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            await reader.readexactly(length)
            writer.write(left.pop(0) if len(left) > 1 else left[0])

    async with raw_server(handle) as server:
        yield port_of(server)


async def test_requests_are_due_at_their_pace_and_each_is_told_once() -> None:
    numbers = [next_number() for _ in range(20)]
    async with applying() as application:
        sent = await post_all(application.port, [json_callback(number) for number in numbers], 4, 100.0)
    assert sent.elapsed_seconds >= 0.19
    assert sorted(number for number, _ in application.arrivals) == numbers
    gaps = [later - earlier for earlier, later in zip(sent.due_at, sent.due_at[1:], strict=False)]
    assert sum(gaps) == pytest.approx(0.19, abs=0.001)


async def test_with_one_lane_a_slow_answer_delays_what_is_due_and_the_wait_counts() -> None:
    requests = [json_callback(next_number()) for _ in range(4)]
    async with applying(answer_seconds=0.03) as application:
        sent = await post_all(application.port, requests, 1, 1_000.0)
    assert sent.seconds[-1] >= 0.1  # it was due after 3 ms and waited for three answers


async def test_a_refusal_and_a_closed_connection_are_errors() -> None:
    requests = [json_callback(next_number())]
    async with answering(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n") as port:
        with pytest.raises(AssertionError, match="401"):
            await post_all(port, requests, 1)
    async with raw_server(_close) as server:
        with pytest.raises(ConnectionError):
            await post_all(port_of(server), requests, 1)


async def test_a_503_is_sent_again_as_providers_do_but_not_for_ever() -> None:
    refused, taken = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with answering(refused, refused, taken) as port:
        sent = await post_all(port, [json_callback(next_number())], 1)
    assert len(sent.seconds) == 1
    async with answering(*[refused] * (MOST_REPEATED + 1), taken) as port:
        with pytest.raises(AssertionError, match="503"):
            await post_all(port, [json_callback(next_number())], 1)


async def _close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()
