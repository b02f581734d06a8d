"""Spans of the ingress, around what it does without them: composed only if traces are on.

A callback that is kept leaves a span, and so does one that we could not keep. One that is refused leaves none: anyone
can send one.
"""

from collections.abc import Collection, Mapping
from typing import Final

from aiohttp import web

from ingress.app import Handle
from ingress.receive import EventPublisher
from shared.callback import origin_form
from shared.tracing.context import TRACE_HEADERS, bounded
from shared.tracing.spans import Tracing

_REFUSED: Final = range(400, 500)
_FAILED: Final = 500


class TracedPublisher:
    """Publishes with the context of the current span."""

    def __init__(self, publisher: EventPublisher, tracing: Tracing) -> None:
        self._publisher = publisher
        self._tracing = tracing

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, str | int]) -> None:
        """Return once a queue holds the message; raise `NotKept` otherwise."""
        self._tracing.note("faxhook.event_id", headers.get("event_id"))
        await self._publisher.publish(exchange, routing_key, body, {**headers, **self._tracing.carrier()})


def traced(handle: Handle, tracing: Tracing, routes: Collection[str]) -> Handle:
    """Return *handle* with a span around each request to one of *routes*, in the trace that the request names."""

    async def handle_traced(request: web.BaseRequest) -> web.StreamResponse:
        route = origin_form(request.raw_path).partition("?")[0]
        if route not in routes:
            return await handle(request)
        attributes = {"http.request.method": request.method, "http.route": route}
        span = tracing.begin(f"POST {route}", "SERVER", _trace_of(request), attributes)
        with tracing.current(span):
            response = await handle(request)
        if response.status in _REFUSED:
            return response
        span.set_attribute("http.response.status_code", response.status)
        if response.status >= _FAILED:
            tracing.fail(span, str(response.status))
        span.end()
        return response

    return handle_traced


def _trace_of(request: web.BaseRequest) -> dict[str, str]:
    """Return the trace context of *request*. A repeated header names no trace; `tracestate` may come in parts."""
    found = {name: request.headers.getall(name, []) for name in TRACE_HEADERS}
    if len(found["traceparent"]) != 1:
        return {}
    return bounded({name: ",".join(values) for name, values in found.items() if values})
