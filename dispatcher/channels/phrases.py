"""What an event's type says of a fax, in plain English: in mails, on the console and in `faxhook listen`. Pure."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from shared.domain import Direction, Event, EventType

Tone = Literal["good", "partly", "bad", "underway"]


class Phrase(msgspec.Struct, frozen=True):
    """What happened.

    Attributes:
        short: The rest of a sentence that begins with the fax.
        title: A heading.
        subject: A mail's subject, with a place for the number of the other side.
    """

    tone: Tone
    short: str
    title: str
    subject: str


PHRASES: Final[Mapping[str, Phrase]] = {
    EventType.RECEIVED: Phrase("good", "received", "Fax received", "Fax received from {number}"),
    EventType.RECEIVE_FAILED: Phrase("bad", "not received", "Fax not received", "Fax from {number} not received"),
    EventType.DELIVERED: Phrase("good", "delivered", "Fax sent", "Fax sent to {number}"),
    EventType.PARTIALLY_DELIVERED: Phrase(
        "partly", "partially delivered", "Fax partially delivered", "Fax to {number} partially delivered"
    ),
    EventType.FAILED: Phrase("bad", "failed", "Fax failed", "Fax to {number} failed"),
    EventType.QUEUED: Phrase("underway", "queued", "Fax queued", "Fax to {number} queued"),
    EventType.MEDIA_PROCESSED: Phrase(
        "underway", "ready to be sent", "Fax ready to be sent", "Fax to {number} ready to be sent"
    ),
    EventType.SENDING: Phrase("underway", "being sent", "Fax is being sent", "Fax to {number} is being sent"),
    EventType.PAGE_SENT: Phrase(
        "underway", "page sent", "A page of the fax was sent", "Fax to {number}: a page was sent"
    ),
    EventType.RETRY_SCHEDULED: Phrase(
        "underway", "will be tried again", "Fax will be tried again", "Fax to {number} will be tried again"
    ),
    EventType.RECEIVING: Phrase(
        "underway", "being received", "Fax is being received", "Fax from {number} is being received"
    ),
    EventType.STALLED: Phrase(
        "partly", "stalled: no ending came", "Fax stalled: no ending came", "Fax stalled, no ending came: {number}"
    ),
    EventType.UNKNOWN: Phrase("underway", "unknown event", "News of a fax", "News of a fax: {number}"),
}

PARTIALLY_RECEIVED: Final = Phrase(
    "partly", "partially received", "Fax received in part", "Fax received in part from {number}"
)


def phrase_of(event: Event) -> Phrase:
    """Return what happened."""
    if event.partial and event.direction is Direction.RECEIVED:
        return PARTIALLY_RECEIVED
    return PHRASES[event.type]


def in_short(event_type: str) -> str:
    """Return what happened to the fax, as the rest of a sentence; the type itself where it is not one of ours.

    >>> in_short("fax.retry_scheduled"), in_short("fax.folded")
    ('will be tried again', 'fax.folded')
    """
    return PHRASES[event_type].short if event_type in PHRASES else event_type
