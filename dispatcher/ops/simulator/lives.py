"""The whole life of a fax as sample callbacks: everything that its provider reports until one ending.

Sinch and Asterisk report the ending only, so their lives are one callback long.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec

from dispatcher.ops.simulator.fields import Change
from dispatcher.ops.simulator.samples import UnknownSample, find, samples_of
from shared.domain import Phase

STEP_SECONDS: Final = 1.0
"""Between the `occurred_at` of two events of a life."""

ENDINGS: Final = {"phaxio": "sent-success", "telnyx": "sent-success", "sinch": "sent-success", "asterisk": "received"}
"""The ending of a life if none is asked for."""

_BEFORE_SENT: Final = {
    "phaxio": ("queued", "sending", "page-sent"),
    "telnyx": ("queued", "media-processed", "sending"),
}
_BEFORE_RECEIVED: Final = {"telnyx": ("receiving", "media-processing")}

Value = TypeVar("Value")


class Step(msgspec.Struct, frozen=True):
    """One event of a life: its sample's name, when it happened, and changes that distinguish samples of one name."""

    event: str
    occurred_at: datetime
    changes: tuple[Change, ...] = ()


def life_of(provider: str, ending: str, *, pages: int, ends_at: datetime) -> list[Step]:
    """Return the events of a fax that ends with *ending*, in order; the ending happens at *ends_at*.

    Raises:
        UnknownSample: No such provider or event, or one that is not an ending.
    """
    name, sample = find(provider, ending)
    if sample.type.phase is not Phase.POSTFLIGHT:
        endings = [each for each, other in samples_of(provider).items() if other.type.phase is Phase.POSTFLIGHT]
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
    for event in (_BEFORE_RECEIVED if ending.startswith("received") else _BEFORE_SENT).get(provider, ()):
        if event == "page-sent":
            yield from ((event, (Change("page", str(page)),)) for page in range(1, pages + 1))
        else:
            yield event, ()
    if provider == "phaxio" and ending == "sent-failure":
        yield "retry-scheduled", ()
