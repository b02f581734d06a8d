"""Reads faxes, events and deliveries out of the ledger. Only reads; bounded, however large the ledger is."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from dispatcher.ops.faxes.bodies import (
    DeliveryPage,
    DeliveryState,
    DeliveryWithAttempts,
    EventPage,
    EventWithContent,
    FaxPage,
    FaxStory,
)
from dispatcher.pool import Pool
from shared.domain import Direction, EventType, Provider

MOST_PER_PAGE = 200
Limit = Annotated[int, msgspec.Meta(ge=1, le=MOST_PER_PAGE, description="how many items at most")]
Cursor = Annotated[str, msgspec.Meta(max_length=1_000, description="`next` of the page before")]


class FaxQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which faxes. `number` is either side's."""

    provider: Provider | None = None
    direction: Direction | None = None
    state: EventType | None = None
    number: str | None = None
    conflicting: bool | None = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None


class EventQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events."""

    provider: Provider | None = None
    fax_id: str | None = None
    type: EventType | None = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None


class DeliveryQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries."""

    event_id: str | None = None
    endpoint_id: UUID | None = None
    state: DeliveryState | None = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None


class FaxReader:
    """What people ask of the ledger. `BadCursor` is raised for an `after` that is none of ours."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def faxes(self, query: FaxQuery) -> FaxPage:
        """Return a page of faxes."""
        raise NotImplementedError

    async def events(self, query: EventQuery) -> EventPage:
        """Return a page of events."""
        raise NotImplementedError

    async def deliveries(self, query: DeliveryQuery) -> DeliveryPage:
        """Return a page of deliveries."""
        raise NotImplementedError

    async def event(self, event_id: str) -> EventWithContent | None:
        """Return one event; None if there is none."""
        raise NotImplementedError

    async def delivery(self, delivery_id: UUID) -> DeliveryWithAttempts | None:
        """Return one delivery with its attempts; None if there is none."""
        raise NotImplementedError

    async def story(self, provider: Provider, fax_id: str, now: datetime | None = None) -> FaxStory | None:
        """Return everything that is known of a fax; None if nothing is."""
        raise NotImplementedError

    async def find(self, text: str) -> list[tuple[Provider, str]]:
        """Return the faxes that *text* may mean: `provider:fax_id`, or the bare id of a fax, event, delivery or job."""
        raise NotImplementedError
