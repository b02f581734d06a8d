"""The bodies of `/v1/faxes`, `/v1/events` and `/v1/deliveries`; `--json` of the command line prints the same."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from shared.domain import Direction, Event, EventType, Failure, Media, Phase, Provider

DeliveryState = Literal["pending", "retrying", "told", "dead", "skipped"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at a delivery.

    Attributes:
        number: From 1.
        seconds: How long it took, the answer included.
        outcome: `told` or `not_told`.
        url: Where it was posted to, without user and password: the endpoint's, or its failover's.
        error: A stable code such as `timeout` or `http_503`; None where it was told.
        answer: The first 2 KiB of what the receiver answered, unprintable characters escaped.
        resent_by: The person or token that asked to send it again; None where it was due by itself.
    """

    number: int
    started_at: datetime
    seconds: float
    outcome: str
    url: str | None
    http_status: int | None
    error: str | None
    answer: str
    resent_by: str | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event owed to one endpoint.

    Attributes:
        endpoint_name: Its description, else host and path; None as the URL.
        endpoint_url: As it is now, its password masked; None if the endpoint was deleted with its history.
        state: `told`, `dead` and `skipped` are settled.
        reason: Why it is dead (the cause) or skipped; None otherwise.
        attempts_made: How many attempts were counted.
        due_at: When the next attempt is due, or when a live lease ends; None once it is settled, and while its endpoint
            is paused.
        is_leased: A process holds it now: it is being attempted, or waits its turn there.
        explanation: In a sentence, how it stands and what comes next.
    """

    id: UUID
    event_id: str
    endpoint_id: UUID
    endpoint_name: str | None
    endpoint_url: str | None
    state: DeliveryState
    reason: str | None
    attempts_made: int
    created_at: datetime
    settled_at: datetime | None
    due_at: datetime | None
    is_leased: bool
    explanation: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a person had done with a delivery.

    Attributes:
        what: `dead.replay`, `dead.discard`, `endpoint.recover` or `delivery.resend`.
        was: The state of the delivery before.
        attempts: How many attempts were made before.
    """

    at: datetime
    what: str
    who: str
    reason: str | None
    was: DeliveryState
    attempts: int
    job_id: UUID


class DeliveryWithAttempts(Delivery, frozen=True, kw_only=True):
    """A delivery, every attempt at it and every decision on it, the first one first."""

    attempts: tuple[Attempt, ...]
    decisions: tuple[Decision, ...] = ()


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the ledger keeps it.

    Attributes:
        occurred_at: By the provider's clock; None where it gives no time.
        received_at: When the ingress took the callback that brought it first.
        recorded_at: When the dispatcher took it into the ledger.
        is_overtaken: A later stage of the fax is known.
        is_pruned: Its content was removed after RETENTION_DAYS; what stands here is what is kept longer.
        owed: To how many endpoints, those included that it was skipped for.
        repeated_by_list: It tells an ending under a second id: one of the provider's callback and its list told it
            before. So it is owed to no endpoint.
    """

    id: str
    provider: Provider
    fax_id: str
    type: EventType
    phase: Phase
    occurred_at: datetime | None
    received_at: datetime
    recorded_at: datetime
    is_overtaken: bool
    is_pruned: bool
    owed: int
    repeated_by_list: bool = False


class EventWithContent(RecordedEvent, frozen=True, kw_only=True):
    """An event with what it said.

    Attributes:
        content: The event as it was published; None once it is pruned.
        document: The document that is kept of it, also where it was fetched later; read it by its `key`.
    """

    content: Event | None
    document: Media | None = None


class Fax(msgspec.Struct, frozen=True, kw_only=True):
    """A fax as its events tell it so far.

    Attributes:
        state: The type of the event that won.
        conflicting: Different endings were reported.
        first_received_at: When its first event came.
        last_received_at: When its latest event came.
        stalled_at: Since when it has been without an ending for too long; None if it is not, or has ended since.
    """

    provider: Provider
    fax_id: str
    direction: Direction
    state: EventType
    conflicting: bool
    from_number: str | None
    to_number: str | None
    job_id: str | None
    pages: int | None
    first_received_at: datetime
    last_received_at: datetime
    stalled_at: datetime | None = None


class WebhookCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many deliveries of a fax's events are in each state."""

    pending: int = 0
    retrying: int = 0
    told: int = 0
    dead: int = 0
    skipped: int = 0


class FaxInList(Fax, frozen=True, kw_only=True):
    """A fax, why it failed, and how its webhooks stand.

    Attributes:
        failure: What the provider said; None if the fax did not fail, or its content was pruned.
    """

    failure: Failure | None
    webhooks: WebhookCounts


class Untold(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that is owed nothing of a fax, and why, as endpoints are set now."""

    endpoint_id: UUID
    endpoint_name: str
    endpoint_url: str
    why: str


class FaxStory(Fax, frozen=True, kw_only=True):
    """A fax with everything that is known of it.

    Attributes:
        summary: In a sentence, its state and what became of its deliveries.
        events: In the order in which they were received.
        deliveries: In the order in which they were owed, with their attempts.
        untold: Endpoints that could have been meant but are owed nothing of this fax.
        is_cut: There are more events, deliveries or attempts than are shown here.
    """

    summary: str
    events: tuple[EventWithContent, ...]
    deliveries: tuple[DeliveryWithAttempts, ...]
    untold: tuple[Untold, ...]
    is_cut: bool


class FaxPage(msgspec.Struct, frozen=True, kw_only=True):
    """Faxes, the newest first. A page may be short, even empty, while `next` is not null: follow it."""

    items: tuple[FaxInList, ...]
    next: str | None


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """Events, the newest first. A page may be short, even empty, while `next` is not null: follow it."""

    items: tuple[RecordedEvent, ...]
    next: str | None


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Deliveries, the newest first. A page may be short, even empty, while `next` is not null: follow it."""

    items: tuple[Delivery, ...]
    next: str | None


def documents_of(story: FaxStory) -> dict[str, tuple[str, Media]]:
    """Return the stored documents of a fax by key, each with the id of the first event that came with it."""
    found: dict[str, tuple[str, Media]] = {}
    for event in story.events:
        if event.document is not None and event.document.key is not None:
            found.setdefault(event.document.key, (event.id, event.document))
    return found
