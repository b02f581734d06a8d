"""How improbable a quiet stretch is. Pure.

A line is a provider, or one of our numbers at it. What is counted are *slots*: stretches of five minutes in which at
least one fax of the line began, so that a batch of hundreds counts as the few minutes that it takes.

1. **The usual week.** For each hour of the week, the mean of the slots of that hour over the last eight weeks, as if
   there had been one empty week more: an hour that was busy once is not expected to be busy.
2. **Days differ.** Within a day, the slots so far say how busy this one is: a gamma prior of mean 1 and shape
   `DAY_SHAPE`, or with probability `CLOSED` one of the levels of a day on which people do not work. A day begins in
   the line's quietest hour.
3. **Faxes come in bunches.** All counts are divided by the line's dispersion, at least 1: the variance of the slots of
   an hour over their mean.
4. **How probable is silence?** The product, over the days that the quiet stretch touches, of the probability of no slot
   in it. A day that was quiet from its beginning may be a holiday, so it alone proves little; three of them do.

The clock is UTC. Where people change theirs, their day moves by an hour: of the stretch as it is, an hour earlier and
an hour later, the most probable counts.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

HOURS: Final = 168
WEEKS: Final = 8
FEWEST_WEEKS: Final = 3
FEWEST_SLOTS: Final = 5.0
"""A week; a line with fewer has no usual week."""

SLOT_SECONDS: Final = 300
DAY_SHAPE: Final = 4.0
CLOSED: Final = 0.05
CLOSED_LEVELS: Final = (0.0, 0.05, 0.2)
MOST_DISPERSION: Final = 6.0

FALSE_ALARMS: Final = 0.1
"""Expected in a month over all lines, were the model the truth. It is not, so this is a tenth of what is promised."""

LEAST_BOUND, MOST_BOUND = 1e-7, 1e-4
ALLOWED_FOR: Final = timedelta(days=31)
"""After a silence that ended by itself, only one that is less probable is told for so long."""

_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR
_WEEK: Final = 7 * _DAY
_MONDAY: Final = datetime(2024, 1, 1, tzinfo=UTC).timestamp()


class Profile(msgspec.Struct, frozen=True):
    """The usual week of a line.

    Attributes:
        rates: Slots expected in each hour of the week, from Monday 00:00 UTC.
        sums: Of the rates before each hour, and of all.
        dispersion: At least 1.
        day_begins_hour: UTC, 0 to 23.
    """

    rates: tuple[float, ...]
    sums: tuple[float, ...]
    dispersion: float
    day_begins_hour: int

    @property
    def per_week(self) -> float:
        """Slots in a week."""
        return self.sums[-1]


def hour_of_week(at: datetime) -> int:
    """Return the hour of the week, 0 to 167, from Monday 00:00 UTC.

    >>> hour_of_week(datetime(2026, 11, 29, 12, 30, tzinfo=UTC))
    156
    """
    return int((at.timestamp() - _MONDAY) // _HOUR) % HOURS


def learn(totals: Sequence[float], squares: Sequence[float], weeks: float) -> Profile | None:
    """Return the usual week, or None while it is not known.

    Args:
        totals: Of each hour of the week, its slots over all weeks.
        squares: The same of their squares.
        weeks: How many there are, at most `WEEKS`.
    """
    if weeks < FEWEST_WEEKS or sum(totals) / weeks < FEWEST_SLOTS:
        return None
    rates = tuple(total / (weeks + 1) for total in totals)
    spread = sum(square - total * total / weeks for total, square in zip(totals, squares, strict=True))
    dispersion = spread / (weeks - 1) / (sum(totals) / weeks)
    sums = [0.0]
    for rate in rates:
        sums.append(sums[-1] + rate)
    by_hour = [sum(rates[hour::24]) for hour in range(24)]
    quietest = min(range(24), key=lambda hour: (sum(by_hour[(hour + each) % 24] for each in (-1, 0, 1)), hour))
    return Profile(rates, tuple(sums), min(max(1.0, dispersion), MOST_DISPERSION), quietest)


def expected_slots(profile: Profile, start: float, end: float) -> float:
    """Return how many slots are usual between two moments, in unix seconds."""
    return _before(profile, end) - _before(profile, start)


def _before(profile: Profile, at: float) -> float:
    week, rest = divmod(at - _MONDAY, _WEEK)
    hour, part = divmod(rest, _HOUR)
    return week * profile.per_week + profile.sums[int(hour)] + profile.rates[int(hour)] * part / _HOUR


def day_begins(profile: Profile, at: datetime) -> datetime:
    """Return when the line's day began that *at* lies in."""
    begins = at.astimezone(UTC).replace(hour=profile.day_begins_hour, minute=0, second=0, microsecond=0)
    return begins if begins <= at else begins - timedelta(days=1)


def log10_quiet(profile: Profile, last_at: datetime, slots: float, now: datetime) -> float:
    """Return log10 of the probability that no fax came since *last_at*.

    Args:
        profile: The usual week.
        last_at: When the last fax came.
        slots: Of the line's day that *last_at* lies in, until then.
        now: Not before *last_at*.
    """
    return max(_log10_quiet(profile, last_at, slots, now, shift) for shift in (-_HOUR, 0.0, _HOUR))


def _log10_quiet(profile: Profile, last_at: datetime, slots: float, now: datetime, shift: float) -> float:
    begins, last, end = day_begins(profile, last_at).timestamp(), last_at.timestamp(), now.timestamp()
    seen, usual = slots / profile.dispersion, expected_slots(profile, begins + shift, last + shift) / profile.dispersion
    found, start = 0.0, last
    while start < end:
        stop = min(end, begins + _DAY)
        quiet = expected_slots(profile, start + shift, stop + shift) / profile.dispersion
        found += math.log10(none_probability(seen, usual, quiet))
        start, begins, seen, usual = stop, begins + _DAY, 0.0, 0.0
    return found


def none_probability(seen: float, usual: float, quiet: float) -> float:
    """Return the probability of none where *quiet* are usual, on a day of *seen* slots where *usual* ones are so far.

    >>> [round(none_probability(0, 0, each), 3) for each in (0.0, 1.0, 10.0, 50.0)]
    [1.0, 0.435, 0.035, 0.018]
    >>> [f"{none_probability(30, 30, each):.0e}" for each in (1, 5, 10, 20)]
    ['4e-01', '9e-03', '2e-04', '1e-07']
    """
    # How probable is what was seen, on an ordinary day and on each kind of closed one? Up to the same factor.
    shape = DAY_SHAPE
    ordinary = shape * math.log(shape / (shape + usual)) + _log_rising(shape, seen) - seen * math.log(shape + usual)
    weights = [
        (math.log(1.0 - CLOSED) + ordinary, (shape + seen) * math.log((shape + usual) / (shape + usual + quiet)))
    ]
    for level in CLOSED_LEVELS:
        if level == 0.0 and seen > 0.0:
            continue
        weight = -level * usual + (seen * math.log(level) if seen > 0.0 else 0.0)
        weights.append((math.log(CLOSED / len(CLOSED_LEVELS)) + weight, -level * quiet))
    most = max(weight for weight, _ in weights)
    scaled = [(math.exp(weight - most), none) for weight, none in weights]
    total = sum(weight for weight, _ in scaled)
    return max(sum(weight * math.exp(none) for weight, none in scaled) / total, 1e-300)


def _log_rising(shape: float, count: float) -> float:
    return math.lgamma(shape + count) - math.lgamma(shape)


def log10_bound(slots_per_week: float) -> float:
    """Return the log10 below which a quiet stretch is told, with so many slots in a week over all lines.

    Each slot begins a quiet stretch, so the bound is `FALSE_ALARMS` over their number in a month, within limits.
    """
    bound = FALSE_ALARMS / max(1.0, slots_per_week * 52.0 / 12.0)
    return math.log10(min(max(bound, LEAST_BOUND), MOST_BOUND))
