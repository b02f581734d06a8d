"""What a channel is given, and what a channel is."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from dispatcher.channels.outcome import Outcome
from dispatcher.channels.static_headers import Headers
from shared.domain import Event


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at telling an application about an event.

    Attributes:
        url: The endpoint's, or its failover's, as stored: user and password included.
        tokens: The endpoint's, in order.
        headers: The endpoint's own; a mail has none.
        command_id: See `shared.ids.command_id`.
        number: From 1.
        now: Aware UTC.
        document: The fax's document, if the endpoint's format or channel carries it.
    """

    event: Event
    document: bytes | None
    url: str
    format: str
    tokens: Sequence[str]
    headers: Headers = ()
    timeout_seconds: float
    delivery_id: UUID
    command_id: str
    number: int
    now: datetime


class Channel(Protocol):
    """Sends to one kind of endpoint."""

    def wants_document(self, event: Event, format_name: str) -> bool:
        """Does what is sent carry the fax's document, if there is one?"""

    async def attempt(self, attempt: Attempt) -> Outcome:
        """Make one try; raises nothing but cancellation."""
