"""What may be asked of the lists of faxes, events, deliveries and attempts: their query parameters."""

from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec

from dispatcher.ops.api.cursor import MOST_PER_PAGE, Cursor, Limit
from dispatcher.ops.api.moments import MomentText
from dispatcher.ops.dead.letters import NO_NULL
from dispatcher.ops.faxes.bodies import DeliveryState
from dispatcher.ops.faxes.lists.numbers import Number
from shared.domain import Direction, EventType, Provider

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=400, pattern=NO_NULL)]
FAILED: Final = frozenset({EventType.FAILED, EventType.PARTIALLY_DELIVERED, EventType.RECEIVE_FAILED})
"""The states of a fax that failed, as the index `faxes_failed` has them."""

ENDINGS: Final = {
    EventType.DELIVERED: Direction.SENT,
    EventType.PARTIALLY_DELIVERED: Direction.SENT,
    EventType.FAILED: Direction.SENT,
    EventType.RECEIVED: Direction.RECEIVED,
    EventType.RECEIVE_FAILED: Direction.RECEIVED,
}
"""States that only faxes of one direction reach."""

Webhooks = Literal["failing", "dead"]
Outcome = Literal["told", "not_told"]
"""Of an attempt."""


class FaxQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which faxes. `since` and `until` are of the first event that came."""

    provider: Provider | None = None
    direction: Direction | None = None
    state: Annotated[
        EventType | None,
        msgspec.Meta(description="the type that won; `fax.stalled`: without an ending for too long, whatever else won"),
    ] = None
    failed: Annotated[
        bool | None, msgspec.Meta(description="failed, not received, or delivered in part only; or none of these")
    ] = None
    failure: Annotated[Text | None, msgspec.Meta(description="its type or code, as the provider names it")] = None
    webhooks: Annotated[
        Webhooks | None,
        msgspec.Meta(description="some are dead, or (failing) dead or retried; the latest first"),
    ] = None
    number: Number | None = None
    job_id: Text | None = None
    endpoint_id: Annotated[UUID | None, msgspec.Meta(description="one that is owed an event of the fax, or was")] = None
    conflicting: bool | None = None
    since: MomentText | None = None
    until: MomentText | None = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None


class EventQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events. `since` and `until` are of when they were recorded."""

    provider: Provider | None = None
    fax_id: Text | None = None
    type: EventType | None = None
    endpoint_id: Annotated[UUID | None, msgspec.Meta(description="one that is owed the event, or was")] = None
    number: Number | None = None
    job_id: Text | None = None
    since: MomentText | None = None
    until: MomentText | None = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None


class DeliveryQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries. `since` and `until` are of when they were owed."""

    event_id: Text | None = None
    endpoint_id: UUID | None = None
    state: DeliveryState | None = None
    reason: Annotated[Text | None, msgspec.Meta(description="why it is dead or skipped, like `timeout`")] = None
    type: Annotated[EventType | None, msgspec.Meta(description="of its event")] = None
    number: Number | None = None
    job_id: Text | None = None
    since: MomentText | None = None
    until: MomentText | None = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None


class AttemptQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which attempts. `since` and `until` are of when they began."""

    outcome: Outcome | None = None
    error: Annotated[
        Text | None, msgspec.Meta(description="its code, like `timeout` or `http_503`, or a cause's group: `http_5xx`")
    ] = None
    delivery_id: UUID | None = None
    event_id: Text | None = None
    endpoint_id: UUID | None = None
    provider: Provider | None = None
    fax_id: Text | None = None
    type: Annotated[EventType | None, msgspec.Meta(description="of its event")] = None
    number: Number | None = None
    job_id: Text | None = None
    since: MomentText | None = None
    until: MomentText | None = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None
