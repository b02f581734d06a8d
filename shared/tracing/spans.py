"""Traces by OpenTelemetry, the extra `faxhook[otel]`: off, and not imported, unless OTEL_EXPORTER_OTLP_ENDPOINT is set.

A trace leads from a callback to its webhooks. The W3C trace context comes with the callback, or begins with it, goes on
in the headers of the AMQP message, is kept with the event in the ledger, and goes out with each webhook. Spans carry
our own ids, codes and numbers of attempts: nothing of a fax, no URL, no address.
"""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Final, Literal

from shared.settings import BadSetting, Secret
from shared.tracing.context import bounded
from shared.tracing.settings import parse_headers

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

FLUSH_SECONDS: Final = 2.0
"""For the last spans at the end of the process; a collector that does not answer delays it no longer."""

Kind = Literal["SERVER", "CONSUMER", "CLIENT"]


class Tracing:
    """Makes spans, and carries the context of the current one. One for each process."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace  # noqa: PLC0415 - an extra
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        self._api = trace
        self._tracer = provider.get_tracer("faxhook")
        self._propagator = TraceContextTextMapPropagator()

    def carrier(self) -> dict[str, str]:
        """Return the headers that carry the current span's context; empty outside of a span."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return bounded(carrier)

    def begin(self, name: str, kind: Kind, parent: Mapping[str, str], attributes: Mapping[str, str | int]) -> "Span":
        """Return a span that has begun: below *parent* (headers), or the root of a trace if that names none."""
        from opentelemetry.context import Context  # noqa: PLC0415 - an extra

        # A context that was empty before: what happens to be current has nothing to do with it.
        context = self._propagator.extract(parent, Context())
        return self._tracer.start_span(name, context, self._api.SpanKind[kind], attributes=attributes)

    @contextmanager
    def current(self, span: "Span") -> Iterator[None]:
        """Make *span* the current one; it is not ended. What the body raises is not noted: it may quote a fax."""
        with self._api.use_span(span, record_exception=False, set_status_on_exception=False):
            yield

    def note(self, name: str, value: str | int | None) -> None:
        """Give the current span an attribute; None gives none."""
        if value is not None:
            self._api.get_current_span().set_attribute(name, value)

    def fail(self, span: "Span", code: str) -> None:
        """Note that what *span* stands for failed with *code*."""
        span.set_attribute("error.type", code)
        span.set_status(self._api.StatusCode.ERROR)


@asynccontextmanager
async def open_tracing(service: str, endpoint: str | None, headers: Secret | None) -> AsyncIterator[Tracing | None]:
    """Yield what makes spans for *service* and sends them to *endpoint*; None without an endpoint.

    Raises:
        BadSetting: The libraries are not installed, or OTEL_EXPORTER_OTLP_HEADERS cannot be read.
    """
    if endpoint is None:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise BadSetting(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and its libraries are not installed: "
            f"pip install 'faxhook[otel]' ({error.name} is missing)"
        ) from None
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: f"faxhook-{service}"}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", headers=parse_headers(headers))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    # It warns of each header that it cannot read, and anyone may send one.
    logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)
    try:
        yield Tracing(provider)
    finally:
        await _shut_down(provider)


async def _shut_down(provider: "TracerProvider") -> None:
    """Send the last spans. In a thread that nothing waits for when its time is up."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def shut_down() -> None:
        provider.shutdown()
        with suppress(RuntimeError):  # the loop is closed: the time was up
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=shut_down, daemon=True, name="tracing").start()
    with suppress(TimeoutError):
        async with asyncio.timeout(FLUSH_SECONDS):
            await done.wait()
