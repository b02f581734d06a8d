"""What a format is given and what it makes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from shared.domain import Event

RENDERING: Final = 1
"""The version of all that formats and mails write, recorded with each attempt. What was sent is not stored: it is
rendered again when a person asks. So a change of a single byte needs a new number, and the old code for the old one."""


def boundary_of(delivery_id: UUID, attempt: int) -> str:
    """Return the unique part of the boundaries of an attempt's parts.

    Derived, so that the request can be written again. The id has 74 random bits, and is made after the event is fixed:
    the content that is sent cannot hold the boundary.
    """
    return f"{delivery_id.hex}n{attempt}"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a signature may need of one attempt.

    Attributes:
        url: The URL that is posted to, without user and password.
        tokens: The endpoint's, in order.
        attempt: From 1.
        now: Aware UTC, the time of the attempt.
    """

    url: str
    tokens: Sequence[str]
    delivery_id: UUID
    attempt: int
    now: datetime


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A rendered and signed request."""

    body: bytes
    headers: dict[str, str]


class Format(Protocol):
    """A webhook version."""

    def has_word_for(self, event: Event) -> bool:
        """Can the format say this event at all? If not, the delivery is recorded as `skipped: no_equivalent`."""

    def wants_document(self, event: Event) -> bool:
        """Does the webhook carry the fax's document, if there is one?"""

    def render(self, event: Event, document: bytes | None, facts: Facts) -> Webhook:
        """Return the request. Invents nothing: what the event lacks is null or absent, as the format allows."""
