"""One HTTP request from a provider to us, and what an adapter makes of it. Pure data and protocols."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from shared.domain import Event, Provider


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """A callback as it was read.

    Attributes:
        route: The path, e.g. `/phaxio-callback`.
        target: Path and query exactly as received, percent-escapes untouched: what signatures are made over.
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


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A fax's document that came with its callback and is still to be stored."""

    content: bytes
    content_type: str


class SpoolFile(msgspec.Struct, frozen=True, kw_only=True):
    """A document that a callback names by its path inside the spool folder. Reading it is the edge's business."""

    path: Path


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A callback whose sender is established.

    Attributes:
        by: The scheme that verified it, e.g. `phaxio-sha1`; goes into quarantine's record.
        content: What the verifier had to read anyway, for the parser to use; what the signature did not cover
            is not in it.
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
    """A provider's side of the ingress: pure, CPU only. Made from settings; a provider without secrets has none."""

    provider: Provider
    routes: tuple[str, ...]

    def verify(self, callback: Callback) -> Verified:
        """Establish the sender, or raise a `Refused`. Costs no more than the digest; tells nothing by time."""

    def parse(self, callback: Callback, verified: Verified) -> Parsed:
        """Make an event of it, or raise `Unreadable` with a sentence that says what could not be understood."""
