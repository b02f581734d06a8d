"""The fast answer is byte for byte aiohttp's own: to HTTP/1.1 and 1.0, kept, closing and pipelined connections."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from shared.runtime.http_server import HttpServer, JsonAnswer

BODY = b'{"status":"accepted","event_id":"phaxio:1"}'
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


async def fast(_request: web.BaseRequest) -> web.StreamResponse:
    return JsonAnswer(BODY)


async def whole(_request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=BODY, content_type="application/json")


async def fast_and_last(_request: web.BaseRequest) -> web.StreamResponse:
    answer = JsonAnswer(BODY)
    answer.force_close()
    return answer


async def whole_and_last(_request: web.BaseRequest) -> web.StreamResponse:
    answer = web.Response(body=BODY, content_type="application/json")
    answer.force_close()
    return answer


@asynccontextmanager
async def serving(handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> AsyncIterator[int]:
    runner = web.ServerRunner(HttpServer(handler, lambda _reason: web.Response(status=400), access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def answer_of(port: int, sent: bytes) -> tuple[bytes, bool]:
    """Return what comes for *sent* until it says nothing for a while or closes, and whether it closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    answer = b""
    closed = False
    wanted = sent.count(b"POST ")
    try:
        async with asyncio.timeout(5):
            while answer.count(BODY) < wanted:
                chunk = await reader.read(65536)
                if not chunk:
                    break
                answer += chunk
            # A closed connection is at its end at once; on a kept one the next request has its answer.
            writer.write(POST)
            closed = not await reader.read(65536)
    except ConnectionError:
        closed = True
    writer.close()
    return re.sub(rb"Date: [^\r]+", b"Date: now", answer), closed


@pytest.mark.parametrize(
    "sent",
    [
        POST,
        POST * 3,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("handlers", [(fast, whole), (fast_and_last, whole_and_last)], ids=["kept", "closing"])
async def test_the_fast_answer_is_aiohttps_own(
    sent: bytes, handlers: tuple[Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], ...]
) -> None:
    if handlers[0] is fast_and_last and sent == POST * 3:
        sent = POST  # the connection is closed behind the first answer
    async with serving(handlers[0]) as ours, serving(handlers[1]) as theirs:
        answer, closed = await answer_of(ours, sent)
        assert (answer, closed) == await answer_of(theirs, sent)
        assert BODY in answer


async def test_a_client_that_reads_no_answers_is_not_answered_without_end() -> None:
    answered = 0

    async def counted(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal answered
        answered += 1
        return await fast(request)

    async with serving(counted) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        reading: asyncio.ReadTransport = writer.transport  # type: ignore[assignment]
        reading.pause_reading()
        total = 60_000
        sending = asyncio.create_task(_send(writer, total))
        last = -1
        async with asyncio.timeout(30):
            while answered != last:
                last = answered
                await asyncio.sleep(0.5)  # long enough for thousands of answers, if they were written
        assert answered < total
        sending.cancel()
        writer.transport.abort()
        del reader


async def _send(writer: asyncio.StreamWriter, total: int) -> None:
    for _ in range(total // 100):
        writer.write(POST * 100)
        await writer.drain()
