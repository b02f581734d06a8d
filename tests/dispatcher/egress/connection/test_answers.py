"""A whole answer counts, one that has begun is not asked for again, and a request that ends leaves nothing behind."""

import asyncio

import pytest
from raw_hosts import OK, Host, OnLoop, answers, dies_under_the_next, serving

from dispatcher.channels.outcome import Told
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import parse_networks


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


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ],
)
def test_a_host_that_reads_no_body_answers_and_closes_has_answered_however_the_packets_come(
    on_loop: OnLoop, answer: bytes
) -> None:
    """Python's own `http.server` does so; its system resets the connection, and whether we notice it by reading or by
    writing is chance."""

    async def script(_host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    async def test() -> None:
        async with serving(Host(script)) as (host, _):
            client = EgressClient(parse_networks(["127.0.0.0/8"]))
            for _ in range(20):
                for size in (300_000, 3_000_000):
                    outcome = await WebhookChannel(client).post(host.url, host.url, b"x" * size, {}, 5.0)
                    assert isinstance(outcome, Told), outcome
            await client.close()

    on_loop(test)
