"""A fax's story as one list in time order: what happened when, to whom, with what outcome, in plain words. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from dispatcher.ops.faxes.bodies import FaxStory

MomentKind = Literal["event", "owed", "skipped", "attempt", "dead", "due"]
Tone = Literal["plain", "good", "bad", "waiting", "faint"]


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a timeline.

    Attributes:
        seconds: Since the fax's first event was received.
        what: In plain words.
        endpoint_id: To whom, if it is about an endpoint.
        detail: What the receiver answered, or what the event said; may be empty, may hold several lines.
        tone: How it should look.
    """

    at: datetime
    seconds: float
    kind: MomentKind
    what: str
    to: str | None = None
    endpoint_id: UUID | None = None
    event_id: str | None = None
    delivery_id: UUID | None = None
    attempt: int | None = None
    detail: str = ""
    tone: Tone = "plain"


def timeline(story: FaxStory, now: datetime) -> Sequence[Moment]:
    """Return what happened to a fax, and what is due next, in time order."""
    raise NotImplementedError
