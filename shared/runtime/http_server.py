"""aiohttp's server with our own answer to what is not HTTP: aiohttp's would quote the garbage back to its sender."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

BAD_REQUEST: Final = 400
CRASHED: Final = 500

Refuse = Callable[[str], web.Response]
"""Returns the answer to what is not HTTP; its argument is the name of the error, which quotes nothing."""


class HttpServer(web.Server):
    """A server that answers what is not HTTP by *refuse*; *options* are those of aiohttp's connections."""

    def __init__(self, handler: Any, refuse: Refuse, *, request_factory: Any = None, **options: Any) -> None:
        super().__init__(handler, request_factory=request_factory)
        self._refuse = refuse
        self._options = options

    def __call__(self) -> RequestHandler:
        """Return the handler of a new connection."""
        return _Connection(self, self._refuse, self._options)


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
    __slots__ = ("_refuse",)

    def __init__(self, server: HttpServer, refuse: Refuse, options: dict[str, Any]) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._refuse = refuse

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
