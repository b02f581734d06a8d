"""The words of faxhook as types: event, phase, fax, failure, media.

Pure data. `shared.providers` makes events of callbacks; `dispatcher.policy.lifecycle` makes a fax's state of events.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

FROM_LIST: Final = "list"
"""The origin of an event that was made of a provider's list."""

SCHEMA_VERSION: Final = 1
"""The `schema` header of a published event; counted up when readers must change."""


class Provider(StrEnum):
    """A fax service that calls us."""

    PHAXIO = "phaxio"
    TELNYX = "telnyx"
    SINCH = "sinch"
    ASTERISK = "asterisk"


class Direction(StrEnum):
    """Seen from our side: a fax that we sent, or one that we received."""

    SENT = "sent"
    RECEIVED = "received"


class Phase(StrEnum):
    """Of an event: is the fax that it reports on still under way, or finished?

    Not about work in hand: unfinished deliveries are *leased*, messages are *unacked*.
    """

    INFLIGHT = "inflight"
    POSTFLIGHT = "postflight"


class EventType(StrEnum):
    """What happened to a fax. Phase and rank belong to the type (see `RANKS`)."""

    UNKNOWN = "fax.unknown"
    STALLED = "fax.stalled"
    """Ours: no ending came for too long. It changes no state, and is told only to endpoints that name it."""

    QUEUED = "fax.queued"
    RECEIVING = "fax.receiving"
    MEDIA_PROCESSED = "fax.media_processed"
    SENDING = "fax.sending"
    PAGE_SENT = "fax.page_sent"
    RETRY_SCHEDULED = "fax.retry_scheduled"
    FAILED = "fax.failed"
    RECEIVE_FAILED = "fax.receive_failed"
    PARTIALLY_DELIVERED = "fax.partially_delivered"
    DELIVERED = "fax.delivered"
    RECEIVED = "fax.received"

    @property
    def rank(self) -> int:
        """How far the fax has come: 0 (unknown) to 100 (finished)."""
        return RANKS[self]

    @property
    def phase(self) -> Phase:
        """Postflight for the endings, inflight for all else."""
        return Phase.POSTFLIGHT if RANKS[self] == FINISHED_RANK else Phase.INFLIGHT

    @property
    def order(self) -> int:
        """Position among the types, from -1: settles ties of rank and time. The better ending wins."""
        return ORDER[self]


FINISHED_RANK: Final = 100

RANKS: Final[dict[EventType, int]] = {
    EventType.UNKNOWN: 0,
    EventType.STALLED: 0,
    EventType.QUEUED: 10,
    EventType.RECEIVING: 10,
    EventType.MEDIA_PROCESSED: 20,
    EventType.SENDING: 30,
    EventType.PAGE_SENT: 40,
    EventType.RETRY_SCHEDULED: 40,
    EventType.FAILED: FINISHED_RANK,
    EventType.RECEIVE_FAILED: FINISHED_RANK,
    EventType.PARTIALLY_DELIVERED: FINISHED_RANK,
    EventType.DELIVERED: FINISHED_RANK,
    EventType.RECEIVED: FINISHED_RANK,
}

ORDER: Final[dict[EventType, int]] = {
    EventType.STALLED: -1,  # below all, also below an event of which nothing is known
    **{each: position for position, each in enumerate(each for each in EventType if each is not EventType.STALLED)},
}
"""The ledger keeps endings as bits by these numbers: they do not change."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a fax failed, as the provider said it.

    Attributes:
        type: The provider's own family of errors, e.g. Phaxio's `lineError`; None where it has none.
        code: The provider's own code, as text.
        message: A sentence or word for people.
        permanent: True if trying the same again cannot help; None if that is not known.
    """

    type: str | None = None
    code: str | None = None
    message: str | None = None
    permanent: bool | None = None


class Media(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fax's document: stored by us (`key`, `sha256`, `bytes`, `content_type`), or only named by `url`.

    What was fetched from its `url` has both.
    """

    key: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    content_type: str | None = None
    url: str | None = None


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a fax; immutable, with one id however often the provider repeats it.

    Attributes:
        id: `<provider>:<…>`, stable over every repetition.
        fax_id: The provider's id of the fax, as text.
        occurred_at: Aware UTC; None where the provider gives no time.
        received_at: Aware UTC, our clock. Not part of the event's identity.
        from_number: E.164, or what the provider sent where that is not a number (a SIP URI).
        pages: Pages of the fax as far as known.
        status: The provider's own word, unchanged.
        attempt: The provider's own attempt at this callback, from 1, where it says.
        origin: `list` if no callback told it: it was made of what the provider's list says. None for a callback's.
        fields: Everything else that the provider sent, unchanged.
    """

    id: str
    provider: Provider
    type: EventType
    phase: Phase
    direction: Direction
    fax_id: str
    occurred_at: datetime | None = None
    received_at: datetime
    from_number: str | None = None
    to_number: str | None = None
    pages: int | None = None
    status: str | None = None
    failure: Failure | None = None
    job_id: str | None = None
    client_state: str | None = None
    is_test: bool = False
    media: Media | None = None
    partial: bool = False
    attempt: int | None = None
    origin: str | None = None
    fields: dict[str, Any] = {}

    @property
    def routing_key(self) -> str:
        """`<provider>.<type>`, the key it is published to `fax.in` with."""
        return f"{self.provider}.{self.type}"


def utc_now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


encode_event = msgspec.json.Encoder().encode
decode_event = msgspec.json.Decoder(Event).decode
