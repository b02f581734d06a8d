"""One HTTP request from a provider to us, and what an adapter makes of it. Pure data and protocols."""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl

import msgspec

from shared.domain import Event, Provider

_AUTHORITY = re.compile(r"[^/?#]*")


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """A callback as it was read.

    Attributes:
        route: The path, e.g. `/phaxio-callback`.
        target: Path and query exactly as received, percent-escapes untouched: what signatures are made over. See
            `origin_form`.
        query: The decoded query; of a name that occurs twice, the first value.
        headers: Case-insensitive.
        body: The raw bytes.
        received_at: Aware UTC.
    """

    route: str
    target: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


def origin_form(target: str) -> str:
    """Return path and query of a request's target. A proxy may send it in absolute form (RFC 9112, section 3.2.2).

    >>> [origin_form(each) for each in ("/a?b", "http://fax.example.com/a?b", "HTTPS://h:8443?b", "http://h")]
    ['/a?b', '/a?b', '/?b', '/']
    """
    if target.startswith("/"):
        return target
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        return target
    authority = _AUTHORITY.match(rest)
    path = rest[authority.end() :] if authority else rest
    return path if path.startswith("/") else f"/{path}"


def read_query(query: str) -> dict[str, str]:
    """Return the decoded names and values of *query*, the part of a target after its question mark.

    >>> read_query("job_id=a&job_id=b&x")
    {'x': '', 'job_id': 'a'}
    """
    return dict(reversed(parse_qsl(query, keep_blank_values=True))) if query else {}


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A fax's document that came with its callback and is still to be stored."""

    content: bytes
    content_type: str


class SpoolFile(msgspec.Struct, frozen=True, kw_only=True):
    """A document that a callback names by its path inside the spool folder; the ingress reads it."""

    path: Path


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A callback that was verified.

    Attributes:
        by: The scheme that verified it, e.g. `phaxio-sha1`; kept with a quarantined callback.
        content: What the verifier had to read, for the parser; without what the signature does not cover.
    """

    by: str
    content: Any = None


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """What a callback says: an event, and the document that came with it.

    The event's `media` is None while `document` is still to be stored; the ingress fills it in.
    """

    event: Event
    document: Document | SpoolFile | None = None


class Adapter(Protocol):
    """Verifies and reads one provider's callbacks. Pure, CPU only. A provider without secrets has no adapter."""

    provider: Provider
    routes: tuple[str, ...]

    def verify(self, callback: Callback) -> Verified:
        """Verify the sender, or raise a `Refused`. Costs no more than the digest; its time tells nothing."""

    def parse(self, callback: Callback, verified: Verified) -> Parsed:
        """Make an event of it, or raise `Unreadable` with a sentence that says what could not be understood."""
