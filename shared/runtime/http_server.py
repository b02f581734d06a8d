"""aiohttp's server with our own answer to what is not HTTP, and a fast one for the callbacks.

aiohttp's own answer would quote the garbage back to its sender.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from typing import Any, Final, cast

from aiohttp import HttpVersion11, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler, _ErrInfo

BAD_REQUEST: Final = 400
CRASHED: Final = 500

HEAD_LIMIT_BYTES: Final = 256 * 1024
"""For a request's line and headers together; more is answered as what is not HTTP."""

_HAS_EAGER_TASKS: Final = sys.version_info >= (3, 12)
"""aiohttp's own tasks then begin where they are made."""

Refuse = Callable[[str], web.Response]
"""Returns the answer to what is not HTTP; its argument is the name of the error, which quotes nothing."""


class HttpServer(web.Server):
    """A server that answers what is not HTTP by *refuse*; *options* are those of aiohttp's connections.

    With *one_task* a connection's requests are handled in its own task, not each in one more: for a handler that leaves
    no context variable behind.
    """

    def __init__(
        self, handler: Any, refuse: Refuse, *, request_factory: Any = None, one_task: bool = False, **options: Any
    ) -> None:
        super().__init__(handler, request_factory=request_factory)
        self._refuse = refuse
        self._options = options
        self._one_task = one_task

    def __call__(self) -> RequestHandler:
        """Return the handler of a new connection."""
        return _Connection(self, self._refuse, self._options, one_task=self._one_task)


class AppRunner(web.AppRunner):
    """aiohttp's runner of an application, on an `HttpServer`."""

    def __init__(self, app: web.Application, refuse: Refuse, **options: Any) -> None:
        super().__init__(app)
        self._refuse = refuse
        self._options = options

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return HttpServer(made.request_handler, self._refuse, request_factory=made.request_factory, **self._options)


class _Connection(RequestHandler):
    __slots__ = ("_head_bytes", "_one_task", "_refuse")

    def __init__(self, server: HttpServer, refuse: Refuse, options: dict[str, Any], *, one_task: bool) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._refuse = refuse
        self._one_task = one_task
        self._head_bytes = 0

    if _HAS_EAGER_TASKS:

        def _handle_request(self, *handling: Any) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
            """Give other connections their turn between two pipelined requests: what begins at once gives none."""
            handle = super()._handle_request
            return _after_a_turn(handle, handling) if self.is_pipelined else handle(*handling)

    async def start(self) -> None:
        """Handle the connection's requests, one after the other."""
        if self._one_task and not _HAS_EAGER_TASKS:
            self._loop = cast("asyncio.AbstractEventLoop", _OneTask(self._loop, self))
        await super().start()

    @property
    def is_pipelined(self) -> bool:
        """Has the next request come before the answer to this one?"""
        return bool(self._messages)

    def data_received(self, data: bytes) -> None:
        """Parse it, and bound a head as a whole: aiohttp bounds each of its fields only."""
        count = self._request_count
        is_head = self._is_between_requests()
        super().data_received(data)
        if self._request_count != count or not is_head:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._head_bytes = 0
            self._refuse_head()

    def _is_between_requests(self) -> bool:
        """Has every request so far its whole body?"""
        if self._messages:
            return bool(self._messages[-1][1].is_eof())
        return self._current_request is None or self._current_request.content.is_eof()

    def _refuse_head(self) -> None:
        error = HttpProcessingError(code=BAD_REQUEST, message="the head is too large")
        self._messages.append((_ErrInfo(status=BAD_REQUEST, exc=error, message=error.message), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = CRASHED,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request
    ) -> web.StreamResponse:
        if status == CRASHED:  # the application, whose handler raised
            return super().handle_error(request, status, exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        response = self._refuse(type(exc).__name__)
        response.force_close()
        return response


async def _after_a_turn(
    handle: Callable[..., Coroutine[Any, Any, tuple[web.StreamResponse, bool]]], handling: tuple[Any, ...]
) -> tuple[web.StreamResponse, bool]:
    await asyncio.sleep(0)
    return await handle(*handling)


class _OneTask:
    """The event loop as aiohttp's `start` sees it: what it would run as a task and wait for is awaited where it stands.

    A task for each request takes two turns of the loop more. Pipelined requests keep theirs, so that other connections
    have their turn between two of them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: _Connection) -> None:
        self._loop = loop
        self._connection = connection
        self.create_future = loop.create_future
        self.time = loop.time
        self.call_at = loop.call_at

    def create_task(self, handling: Coroutine[Any, Any, Any]) -> Awaitable[Any]:
        return self._loop.create_task(handling) if self._connection.is_pipelined else handling

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


class JsonAnswer(web.StreamResponse):
    """The answer 200 to a POST, with *body* as JSON: the same bytes as `web.Response` gives, four times as fast.

    On a kept HTTP/1.1 connection it is written in one piece; in every other case aiohttp writes it. Only what aiohttp's
    connection asks of an answer is there: no headers can be added.
    """

    _status = 200

    def __init__(self, body: bytes) -> None:  # aiohttp's own makes headers and state that are not used
        self._json = body

    async def prepare(self, request: web.BaseRequest) -> Any:
        """Write all of it."""
        if self._keep_alive is False or not request.keep_alive or request.version != HttpVersion11:
            return await self._prepare_with_aiohttp(request)
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        self._keep_alive = True
        transport.write(b"%b%d\r\n%b%b" % (_HEAD, len(self._json), _tail(rfc822_formatted_time()), self._json))
        if request.protocol.writing_paused:
            await request.writer.drain()  # a client that does not read its answers gets no more of them
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: all is written."""

    async def _prepare_with_aiohttp(self, request: web.BaseRequest) -> Any:
        response = web.Response(body=self._json, content_type="application/json")
        if self._keep_alive is False:
            response.force_close()
        writer = await response.prepare(request)
        await response.write_eof()
        self._keep_alive = response.keep_alive
        return writer


_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "


@lru_cache(maxsize=2)
def _tail(date: str) -> bytes:
    return f"Date: {date}\r\nServer: {SERVER_SOFTWARE}\r\n\r\n".encode()
