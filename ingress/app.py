"""The ingress over HTTP: routes, reading, answering.

A plain `web.Server` rather than an `Application`: a few fixed paths need no router, and each callback would pay for it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import msgspec
from aiohttp import web

from ingress.admission import Admission, BodyReader
from ingress.metrics import (
    ACCEPTED,
    ADMITTED,
    ADMITTED_LIMIT,
    CRASHED,
    OK,
    QUARANTINED,
    UNDER_WAY,
    Metrics,
)
from ingress.receive import Quarantined, Received, Receiver
from shared.amqp.publisher import Publisher
from shared.callback import Adapter, Callback, origin_form, read_query
from shared.domain import Provider, utc_now
from shared.errors import CredentialsInvalid, Malformed, MethodNotAllowed, NotFound, Refused, Unavailable
from shared.log import get_logger
from shared.metrics import BROKER_CONNECTED, READY, UNCONFIRMED
from shared.runtime.http_server import BAD_REQUEST, HEAD_LIMIT_BYTES, HttpServer, JsonAnswer
from shared.runtime.port import open_port

RETRY_AFTER_SECONDS: Final = 5
"""With every 503; providers that honour it come back soon."""

SHUTDOWN_SECONDS: Final = 15.0
"""For requests under way at SIGTERM: reading may take 10 s, keeping 2."""

READ_BUFFER_BYTES: Final = 16 * 1024
"""aiohttp reads ahead twice as much of a body that is not admitted yet, for each connection."""

_JSON: Final = "application/json"


Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every answer that is not 200."""

    error: str
    detail: str


class IngressApp:
    """Answers the platform and the providers."""

    def __init__(
        self,
        adapters: Mapping[str, Adapter],
        receiver: Receiver,
        publisher: Publisher,
        admission: Admission,
        metrics: Metrics,
        *,
        body_limit_bytes: int,
        media_is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._media_is_ready = media_is_ready
        self._adapters = adapters
        self._receiver = receiver
        self._publisher = publisher
        self._admission = admission
        self._metrics = metrics
        self._body_limit_bytes = body_limit_bytes
        self._log = get_logger()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.is_draining = False
        metrics.bind_gauges(
            {
                READY.name: lambda: self._problem() is None,
                BROKER_CONNECTED.name: lambda: publisher.is_ready,
                UNCONFIRMED.name: lambda: publisher.unconfirmed,
                UNDER_WAY.name: lambda: self._under_way,
                ADMITTED.name: lambda: admission.admitted_bytes,
                ADMITTED_LIMIT.name: lambda: admission.limit_bytes,
            }
        )
        self._platform = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._render_metrics}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Never raises: a client must not see a traceback."""
        self._under_way += 1
        self._idle.clear()
        try:
            target = origin_form(request.raw_path)
            route = target.partition("?")[0]
            adapter = self._adapters.get(route)
            if adapter is not None:
                response: web.StreamResponse = await self._callback(request, adapter, target)
            else:
                response = self._answer(request, route)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()
        if self.is_draining:
            response.force_close()
        return response

    async def drain(self) -> None:
        """Wait until every request under way has its answer."""
        self.is_draining = True
        await self._idle.wait()

    def refuse_malformed(self, reason: str) -> web.Response:
        """Answer what is not HTTP; *reason* is the name of the error."""
        self._metrics.malformed()
        self._log.info("callback.refused", code=Malformed.code, reason=reason, http_status=BAD_REQUEST)
        return _refusal(Malformed("the request is not HTTP that can be read"))

    def _answer(self, request: web.BaseRequest, route: str) -> web.StreamResponse:
        """Answer what is no callback."""
        platform = self._platform.get(route)
        if platform is None:
            self._metrics.not_found()
            return _refusal(NotFound("no such path here, or its provider is not configured"))
        if request.method not in {"GET", "HEAD"}:
            return _refusal(MethodNotAllowed("only GET"), {"Allow": "GET, HEAD"})
        return platform()

    async def _callback(self, request: web.BaseRequest, adapter: Adapter, target: str) -> web.StreamResponse:
        started = time.perf_counter()
        route, _, query = target.partition("?")
        provider = adapter.provider
        reader = BodyReader(self._admission, self._body_limit_bytes)
        try:
            if request.method != "POST":
                raise MethodNotAllowed("callbacks are POSTed")  # noqa: TRY301 - one place turns refusals into answers
            if request.headers.get("Expect", "").lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0  # the answer proper has not begun
            body = reader.begin(request)
            if body is None:
                body = await reader.rest(request)
            callback = Callback(
                route=route,
                target=target,
                query=read_query(query),
                headers=request.headers,
                body=body,
                received_at=utc_now(),
            )
            received = await self._receiver.receive(adapter, callback)
        except Refused as refusal:
            seconds = time.perf_counter() - started
            self._metrics.answered(provider, refusal.code, seconds)
            self._log.info(
                "callback.refused",
                provider=provider,
                route=route,
                code=refusal.code,
                reason=str(refusal),
                http_status=refusal.status,
                bytes=request.content_length,
                seconds=round(seconds, 6),
            )
            return _refusal(refusal, {"Allow": "POST"} if isinstance(refusal, MethodNotAllowed) else None)
        except ConnectionError:
            # The provider closed the connection while we read: no one gets this answer.
            return _refusal(Unavailable("the connection was lost"))
        except Exception:  # noqa: BLE001 - the outermost edge: we log the traceback, the provider repeats
            seconds = time.perf_counter() - started
            self._metrics.answered(provider, CRASHED, seconds)
            self._log.exception("callback.crashed", provider=provider, route=route, seconds=round(seconds, 6))
            return _refusal(Unavailable("the callback could not be kept, try again"))
        finally:
            reader.close()
        seconds = time.perf_counter() - started
        self._report(callback, provider, received, seconds)
        return JsonAnswer(msgspec.json.encode(received.answer))

    def _report(self, callback: Callback, provider: Provider, received: Received, seconds: float) -> None:
        event, size = received.event, len(callback.body)
        if event is not None:
            self._metrics.answered(provider, ACCEPTED, seconds, size)
            self._log.info(
                "callback.accepted",
                provider=provider,
                route=callback.route,
                event_id=event.id,
                fax_id=event.fax_id,
                type=event.type,
                http_status=OK,
                bytes=size,
                media_bytes=None if event.media is None else event.media.bytes,
                seconds=round(seconds, 6),
            )
        elif isinstance(received.answer, Quarantined):
            self._metrics.answered(provider, QUARANTINED, seconds, size)
            self._log.warning(
                "callback.quarantined",
                provider=provider,
                route=callback.route,
                callback_id=received.answer.callback_id,
                code=received.cause,
                reason=received.reason,
                http_status=OK,
                bytes=size,
                seconds=round(seconds, 6),
            )

    def _livez(self) -> web.Response:
        return web.Response(body=b'{"status":"alive"}', content_type=_JSON)

    def _readyz(self) -> web.Response:
        if (problem := self._problem()) is not None:
            return _refusal(Unavailable(problem))
        return web.Response(body=b'{"status":"ready"}', content_type=_JSON)

    def _problem(self) -> str | None:
        if self.is_draining:
            return "the service is stopping"
        if not self._publisher.is_ready:
            return "the broker is away or takes no messages"
        return None if self._media_is_ready() else "the media store keeps nothing"

    def _render_metrics(self) -> web.Response:
        return web.Response(body=self._metrics.render(), content_type="text/plain", charset="utf-8")


def _refusal(refusal: Refused, headers: dict[str, str] | None = None) -> web.Response:
    if refusal.status == Unavailable.status:
        headers = {**(headers or {}), "Retry-After": str(RETRY_AFTER_SECONDS)}
    elif isinstance(refusal, CredentialsInvalid):
        headers = {**(headers or {}), "WWW-Authenticate": "Basic"}
    body = msgspec.json.encode(ErrorBody(refusal.code, str(refusal)))
    return web.Response(status=refusal.status, body=body, content_type=_JSON, headers=headers)


_CONNECTION_OPTIONS: Final[dict[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,  # signatures are over the bytes as they came
    "keepalive_timeout": 75.0,
    "read_bufsize": READ_BUFFER_BYTES,
    # A mesh adds headers of 9 kB and more, and a callback refused for them is lost. HttpServer bounds the whole.
    "max_line_size": HEAD_LIMIT_BYTES,
    "max_field_size": HEAD_LIMIT_BYTES,
    "max_headers": 1_000,
}


@asynccontextmanager
async def listening(app: IngressApp, host: str, port: int, handle: Handle | None = None) -> AsyncIterator[int]:
    """Listen on *host*:*port* (0: any free port) and yield the port; afterwards finish what is under way.

    *handle* answers requests instead of the app's own: something around that.
    """
    server = HttpServer(handle or app.handle, app.refuse_malformed, one_task=True, **_CONNECTION_OPTIONS)
    runner = web.ServerRunner(server, shutdown_timeout=1.0)
    await runner.setup()
    try:
        yield await open_port(runner, "INGRESS", host, port, backlog=1024)
    finally:
        # The port is closed first. aiohttp's own shutdown comes after the last answer, because it would stop reading
        # bodies of which a part has arrived.
        for site in tuple(runner.sites):
            await site.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await app.drain()
        await runner.cleanup()
