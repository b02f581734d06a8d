"""The fast answer is byte for byte aiohttp's own: to HTTP/1.1 and 1.0, kept, closing and pipelined connections."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

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
async def serving(
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], *, one_task: bool = False
) -> AsyncIterator[int]:
    server = HttpServer(handler, lambda _reason: web.Response(status=400), one_task=one_task, access_log=None)
    runner = web.ServerRunner(server)
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
@pytest.mark.parametrize("one_task", [True, False])
async def test_the_fast_answer_is_aiohttps_own(
    sent: bytes, handlers: tuple[Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], ...], one_task: bool
) -> None:
    if handlers[0] is fast_and_last and sent == POST * 3:
        sent = POST  # the connection is closed behind the first answer
    async with serving(handlers[0], one_task=one_task) as ours, serving(handlers[1]) as theirs:
        answer, closed = await answer_of(ours, sent)
        assert (answer, closed) == await answer_of(theirs, sent)
        assert BODY in answer


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="aiohttp makes tasks there that begin at once")
async def test_in_one_task_a_request_is_handled_by_the_task_of_its_connection() -> None:
    tasks: list[asyncio.Task[Any] | None] = []

    async def noted(request: web.BaseRequest) -> web.StreamResponse:
        tasks.append(asyncio.current_task())
        return await fast(request)

    async with serving(noted, one_task=True) as port:
        await answer_of(port, POST)
    assert len(tasks) == 2
    assert tasks[0] is tasks[1]


async def test_others_have_their_turn_between_pipelined_requests() -> None:
    """The handler waits for nothing, as where a callback is refused."""
    happened: list[str] = []

    async def noted(request: web.BaseRequest) -> web.StreamResponse:
        happened.append("request")
        asyncio.get_running_loop().call_soon(happened.append, "turn")
        return await fast(request)

    async with serving(noted, one_task=True) as port:
        await answer_of(port, POST * 3)
    assert happened[:6] == ["request", "turn"] * 3


@pytest.mark.parametrize("one_task", [True, False])
async def test_a_handler_that_fails_is_answered_500_and_the_next_request_is_handled(one_task: bool) -> None:
    async def failing(request: web.BaseRequest) -> web.StreamResponse:
        if request.content_length:
            raise RuntimeError("as a fault of ours")
        return await fast(request)

    async with serving(failing, one_task=one_task) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        assert (await reader.readline()).startswith(b"HTTP/1.1 500")
        writer.close()
        answer, _ = await answer_of(port, POST)
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
