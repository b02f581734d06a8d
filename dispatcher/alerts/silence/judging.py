"""Which lines are silent now. Pure.

One provider that is silent is one matter, whichever of its lines are: its numbers are looked at only while it speaks,
and their stretches do not reach back before it spoke again.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from dispatcher.alerts.silence.statistic import Profile, expected_slots, log10_quiet

EVERY: Final = "any"
"""Direction of the line of a whole provider."""

MARGIN: Final = 2.0
"""A silence that comes while another one of its provider lasts, or within `ALLOWED_FOR` after it ended by itself, is
told only if it is a hundred times less probable: a holiday, a half day or an empty week is told once."""


class Line(msgspec.Struct, frozen=True, order=True):
    """A provider, or the faxes one of our numbers got (`received`) or sent (`sent`) by it."""

    provider: str
    direction: str = EVERY
    number: str = ""

    @property
    def is_whole(self) -> bool:
        """Is it all of a provider?"""
        return self.direction == EVERY

    @property
    def subject(self) -> str:
        """What the alert's subject is."""
        return self.provider if self.is_whole else f"{self.provider} {self.direction} {self.number}"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a line.

    Attributes:
        last_at: When its last fax came.
        slots: Of its day that `last_at` lies in, until then.
    """

    profile: Profile
    last_at: datetime
    slots: float


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A silence that was told: how improbable it was at last, and when a fax ended it; None if it lasts."""

    line: Line
    since: datetime
    ended_at: datetime | None
    log10: float


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """A line that is silent. *usual*: in how many slots of the time since then faxes usually come."""

    line: Line
    since: datetime
    log10: float
    usual: float


def silent_lines(
    lines: Mapping[Line, Seen],
    told: Iterable[Told],
    bound: float,
    now: datetime,
) -> list[Silence]:
    """Return the lines that are silent.

    Args:
        lines: Those that have a usual week.
        told: What was told of silences: those that last, and those that ended within `ALLOWED_FOR`.
        bound: Log10 of the probability below which a stretch is told.
        now: The time.
    """
    told = list(told)
    open_since = {each.line: each.since for each in told if each.ended_at is None}
    found: list[Silence] = []
    for line in _whole_first(lines):
        seen = lines[line]
        since = seen.last_at if line.is_whole else max(seen.last_at, _spoke_at(told, line.provider, seen.last_at))
        slots = seen.slots if since == seen.last_at else 0.0
        log10 = log10_quiet(seen.profile, since, slots, now) if since < now else 0.0
        # What is told already lasts until a fax comes, though the bound moves a little; or until no more are usual.
        lasts = open_since.get(line) == seen.last_at and log10 < bound + 1.0
        is_part = any(each.line == Line(line.provider) for each in found)
        if lasts or (not is_part and log10 < _bound_of(told, line, bound)):
            usual = expected_slots(seen.profile, seen.last_at.timestamp(), now.timestamp())
            found.append(Silence(line=line, since=seen.last_at, log10=log10, usual=usual))
    return found


def _bound_of(told: Iterable[Told], line: Line, bound: float) -> float:
    """Return what a new silence of *line* must be less probable than: by far than what its provider came back from."""
    others = [each.log10 - MARGIN for each in told if each.line.provider == line.provider and each.line != line]
    own = [each.log10 - MARGIN for each in told if each.line == line and each.ended_at is not None]
    return min([bound, *others, *own])


def _spoke_at(told: Iterable[Told], provider: str, otherwise: datetime) -> datetime:
    ends = [each.ended_at for each in told if each.line == Line(provider) and each.ended_at is not None]
    return max([otherwise, *ends])


def _whole_first(lines: Iterable[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: (not line.is_whole, line))
