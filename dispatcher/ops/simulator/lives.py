"""A fax's whole life as sample callbacks: everything that its provider says of it on the way to one ending.

Sinch and Asterisk tell of the ending only; so their lives are one callback long.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec

from dispatcher.ops.simulator.fields import Change
from dispatcher.ops.simulator.samples import UnknownSample, events_of, find
from shared.domain import Phase

STEP_SECONDS: Final = 1.0
"""Between two events of a life, as their `occurred_at` says."""

ENDINGS: Final = {"phaxio": "sent-success", "telnyx": "sent-success", "sinch": "sent-success", "asterisk": "received"}
"""How a life ends unless it is said."""

_BEFORE_SENT: Final = {
    "phaxio": ("queued", "sending", "page-sent"),
    "telnyx": ("queued", "media-processed", "sending"),
}
_BEFORE_RECEIVED: Final = {"telnyx": ("receiving", "media-processing")}

Value = TypeVar("Value")


class Step(msgspec.Struct, frozen=True):
    """One event of a life: its sample's name, when it happened, and what tells it from others of that name."""

    event: str
    occurred_at: datetime
    changes: tuple[Change, ...] = ()


def life_of(provider: str, ending: str, *, pages: int, ends_at: datetime) -> list[Step]:
    """Return the events of a fax that ends with *ending*, in order; the ending happens at *ends_at*.

    Raises:
        UnknownSample: No such provider or event, or one that is no ending.
    """
    name, event_type = find(provider, ending)
    if event_type.phase is not Phase.POSTFLIGHT:
        endings = [each for each in events_of(provider) if find(provider, each)[1].phase is Phase.POSTFLIGHT]
        raise UnknownSample(f"no life of a fax ends with {name!r}; {provider}'s end with {', '.join(endings)}")
    steps = [*_steps_before(provider, name, pages), (name, ())]
    return [
        Step(event, ends_at - timedelta(seconds=STEP_SECONDS * (len(steps) - number)), changes)
        for number, (event, changes) in enumerate(steps, start=1)
    ]


def repeat_and_shuffle(callbacks: Sequence[Value], *, repeat: int, shuffle: bool, seed: int) -> list[Value]:
    """Return each callback *repeat* times; shuffled, the same way for the same *seed*, or in order."""
    several = [each for each in callbacks for _ in range(repeat)]
    if shuffle:
        random.Random(seed).shuffle(several)  # noqa: S311 - a test's order, no secret
    return several


def _steps_before(provider: str, ending: str, pages: int) -> Iterator[tuple[str, tuple[Change, ...]]]:
    before = (_BEFORE_RECEIVED if ending.startswith("received") else _BEFORE_SENT).get(provider, ())
    for event in before:
        if event == "page-sent":
            for page in range(1, pages + 1):
                yield event, (Change("page", str(page)),)
        else:
            yield event, ()
    if provider == "phaxio" and ending == "sent-failure":
        yield "retry-scheduled", ()
