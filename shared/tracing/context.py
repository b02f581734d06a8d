"""The trace context of a callback, in headers and in the ledger. Pure: needs no library of traces."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

TRACE_HEADERS: Final = ("traceparent", "tracestate")
"""W3C Trace Context. Baggage is not passed on: anything may be in it."""

MOST_BYTES: Final = {"traceparent": 128, "tracestate": 512}
"""A longer header is left out, as the recommendation allows from 512 bytes on; a `traceparent` has 55."""


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
