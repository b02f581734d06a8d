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
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import unquote

import msgspec

from shared.settings import BadSetting, Secret, check_url

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

TRACE_HEADERS: Final = ("traceparent", "tracestate")
"""W3C Trace Context. Baggage is not passed on: anything may be in it."""

MOST_BYTES: Final = {"traceparent": 128, "tracestate": 512}
"""A longer header is left out, as the recommendation allows from 512 bytes on; a `traceparent` has 55."""

FLUSH_SECONDS: Final = 2.0
"""For the last spans at the end of the process; a collector that does not answer delays it no longer."""

Kind = Literal["SERVER", "CONSUMER", "CLIENT"]

OtlpEndpoint = Annotated[
    str | None,
    msgspec.Meta(
        description="switches traces on: an OpenTelemetry collector, `http://host:4318`; needs `faxhook[otel]`, whose "
        "SDK reads the other standard variables, such as OTEL_TRACES_SAMPLER"
    ),
]
OtlpHeaders = Annotated[
    Secret | None, msgspec.Meta(description="headers for that collector, `name=value,…`, percent-encoded")
]


def read_trace(headers: Mapping[str, Any]) -> str | None:
    """Return the trace context of a message, as the ledger keeps it; None if it carries none.

    >>> read_trace({"traceparent": "00-…", "event_id": "telnyx:1"})
    '{"traceparent":"00-…"}'
    """
    if "traceparent" not in headers:
        return None
    carrier = bounded({name: headers[name] for name in TRACE_HEADERS if isinstance(headers.get(name), str)})
    return msgspec.json.encode(carrier).decode() if carrier else None


def trace_of(kept: str | None) -> dict[str, str]:
    """Return the trace context that the ledger kept; empty if it kept none that can be read."""
    try:
        return {} if kept is None else msgspec.json.decode(kept, type=dict[str, str])
    except msgspec.DecodeError:
        return {}


def bounded(carrier: Mapping[str, str]) -> dict[str, str]:
    """Return *carrier* without what is too long; nothing of it without its `traceparent`."""
    kept = {name: text for name, text in carrier.items() if len(text) <= MOST_BYTES[name]}
    return kept if "traceparent" in kept else {}


def check_otlp(endpoint: str | None, headers: Secret | None) -> None:
    """Check what OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS say.

    Raises:
        BadSetting: One of them is wrong.
    """
    if endpoint is not None:
        check_url("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint, ("http", "https"))
    _parsed(headers)


def _parsed(headers: Secret | None) -> dict[str, str]:
    """Return the names and values of OTEL_EXPORTER_OTLP_HEADERS."""
    pairs = [] if headers is None else [each.partition("=") for each in headers.reveal().split(",") if each.strip()]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise BadSetting("OTEL_EXPORTER_OTLP_HEADERS is wrong: it must be `name=value,name=value`")
    return {unquote(name.strip()): unquote(value.strip()) for name, _, value in pairs}


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
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", headers=_parsed(headers))
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
