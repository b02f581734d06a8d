"""What may be asked of the lists: the query parameters of `/v1/faxes`, `/v1/events` and `/v1/deliveries`."""

from typing import Annotated
from uuid import UUID

import msgspec

from dispatcher.ops.api.cursor import MOST_PER_PAGE, Cursor, Limit
from dispatcher.ops.faxes.bodies import DeliveryState
from shared.domain import Direction, EventType, Provider

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]


class FaxQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which faxes."""

    provider: Provider | None = None
    direction: Direction | None = None
    state: EventType | None = None
    number: Annotated[Text | None, msgspec.Meta(description="of either side, as the fax shows it")] = None
    conflicting: bool | None = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None


class EventQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events."""

    provider: Provider | None = None
    fax_id: Text | None = None
    type: EventType | None = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None


class DeliveryQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries."""

    event_id: Text | None = None
    endpoint_id: UUID | None = None
    state: DeliveryState | None = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None
