"""Simulated years of offices that fax: by seed, with their clock changes, public holidays, vacations and half days.

Written for the tests of silence, from how such offices work, not from the model that is tested: arrivals are bursts on
top of a rate that drifts within the day, and days are closed by the calendar.
"""

import math
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from dispatcher.alerts.silence.judging import Line, Seen, Silence, Told, silent_lines
from dispatcher.alerts.silence.statistic import (
    ALLOWED_FOR,
    HOURS,
    WEEKS,
    Profile,
    day_begins,
    hour_of_week,
    learn,
    log10_bound,
)

HOLIDAYS = {
    date(2025, 11, 1), date(2025, 12, 8), date(2025, 12, 25), date(2025, 12, 26),
    date(2026, 1, 1), date(2026, 1, 6), date(2026, 4, 3), date(2026, 4, 6), date(2026, 5, 1), date(2026, 5, 14),
    date(2026, 5, 25), date(2026, 6, 4), date(2026, 8, 15), date(2026, 10, 26), date(2026, 11, 1), date(2026, 12, 8),
    date(2026, 12, 25), date(2026, 12, 26),
}  # fmt: skip
"""Of Austria: thirteen a year, three of them within three weeks of May."""

HALF_DAYS = {date(2025, 12, 24), date(2025, 12, 31), date(2026, 12, 24), date(2026, 12, 31)}
FIRST = date(2025, 11, 1)
DAYS = 424
SUMMER = (date(2026, 3, 29), date(2026, 10, 25))
"""Clocks are put forward, and back."""


@dataclass(frozen=True)
class Office:
    """How an office faxes.

    Attributes:
        rates: Arrivals an hour by hour of the local day, on Monday to Friday.
        weekend: Of that on Saturday and Sunday.
        holiday: Of that on a public holiday.
        vacation: First and last day, and what is left of the traffic.
        burst: Mean number of faxes that come together.
    """

    rates: tuple[float, ...]
    weekend: tuple[float, float]
    holiday: float
    vacations: tuple[tuple[date, date, float], ...]
    burst: float


def hours(**spans: float) -> tuple[float, ...]:
    """Return a rate for each hour, from spans like `h8_12=9.0`."""
    rates = [0.0] * 24
    for name, rate in spans.items():
        first, _, last = name.removeprefix("h").partition("_")
        for hour in range(int(first), int(last)):
            rates[hour] = rate
    return tuple(rates)


CLINIC = Office(
    hours(h0_6=0.3, h6_8=3.0, h8_12=14.0, h12_13=6.0, h13_17=10.0, h17_20=2.0, h20_24=0.6),
    (0.25, 0.15), 0.15, ((date(2026, 8, 3), date(2026, 8, 9), 0.3),), 1.6,
)  # fmt: skip
LAW_FIRM = Office(
    hours(h8_9=0.4, h9_12=1.6, h12_13=0.4, h13_17=1.4, h17_19=0.3),
    (0.01, 0.0), 0.0,
    ((date(2026, 7, 27), date(2026, 8, 2), 0.0), (date(2025, 12, 29), date(2026, 1, 2), 0.1)), 1.3,
)  # fmt: skip
NIGHTLY_BATCH = Office(
    hours(h2_3=220.0, h9_17=0.15), (0.0, 0.0), 0.0, ((date(2026, 8, 10), date(2026, 8, 16), 0.0),), 8.0
)
BUSY_LINE = Office(hours(h0_6=1.0, h6_20=25.0, h20_24=4.0), (0.5, 0.4), 0.4, (), 1.2)


def arrivals(office: Office, seed: int) -> list[datetime]:
    """Return when faxes of *office* came, sorted, aware UTC."""
    chance = random.Random(seed)
    found: list[datetime] = []
    for number in range(DAYS):
        day = FIRST + timedelta(days=number)
        level = _level(office, day, chance)
        mood = chance.gammavariate(12.0, 1 / 12.0)  # this day is busier or quieter than others
        for hour, rate in enumerate(office.rates):
            if day in HALF_DAYS and hour >= 12:
                break
            drift = chance.gammavariate(6.0, 1 / 6.0)
            wanted = rate * level * mood * drift / office.burst
            at = datetime(day.year, day.month, day.day, hour, tzinfo=UTC) - _ahead(day)
            for _ in range(_poisson(wanted, chance)):
                begins = at + timedelta(seconds=chance.uniform(0, 3600))
                for _ in range(1 + _poisson(office.burst - 1.0, chance)):
                    found.append(begins)
                    begins += timedelta(seconds=chance.expovariate(1 / 40.0))
    return sorted(found)


def _level(office: Office, day: date, chance: random.Random) -> float:
    for first, last, left in office.vacations:
        if first <= day <= last:
            return left
    if day in HOLIDAYS:
        return office.holiday
    if day.weekday() >= 5:
        return office.weekend[day.weekday() - 5]
    season = 1.0 + 0.2 * math.cos(2 * math.pi * day.timetuple().tm_yday / 365)
    return season * (0.7 if day.weekday() == 4 else 1.0) * (0.5 if chance.random() < 0.01 else 1.0)


def _ahead(day: date) -> timedelta:
    return timedelta(hours=2 if SUMMER[0] <= day < SUMMER[1] else 1)


def _poisson(mean: float, chance: random.Random) -> int:
    if mean <= 0:
        return 0
    if mean > 30:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), chance.random(), 0
    while product > limit:
        product *= chance.random()
        count += 1
    return count


def split(times: list[datetime], shares: tuple[float, ...], seed: int) -> list[list[datetime]]:
    """Return *times* dealt to some numbers of ours by their shares."""
    chance = random.Random(seed)
    dealt: list[list[datetime]] = [[] for _ in shares]
    for at in times:
        dealt[chance.choices(range(len(shares)), shares)[0]].append(at)
    return dealt


class Watched:
    """What the check would know of some lines, at any moment: their faxes by the hour, and their usual weeks."""

    def __init__(self, lines: Mapping[Line, list[datetime]]) -> None:
        self._times = dict(lines)
        self._first = min(times[0] for times in lines.values())
        self._next = dict.fromkeys(lines, 0)
        self._slots = {line: _slots(times) for line, times in lines.items()}
        self.profiles: dict[Line, Profile] = {}
        self.bound = 0.0

    def learn(self, now: datetime) -> None:
        end = int(now.timestamp() // 3600)
        start = max(int(self._first.timestamp() // 3600), end - WEEKS * HOURS)
        monday = hour_of_week(datetime.fromtimestamp(start * 3600, UTC))
        found = {}
        for line, slots in self._slots.items():
            totals, squares = [0.0] * HOURS, [0.0] * HOURS
            for number in range(start, end):
                if count := slots.get(number, 0):
                    at = (monday + number - start) % HOURS
                    totals[at] += count
                    squares[at] += count * count
            found[line] = learn(totals, squares, (end - start) / HOURS)
        self.profiles = {line: profile for line, profile in found.items() if profile is not None}
        self.bound = log10_bound(sum(profile.per_week for profile in self.profiles.values()))

    def seen(self, now: datetime) -> dict[Line, Seen]:
        """Return what is known of the lines that have been quiet for an hour; to be asked in the order of time."""
        found = {}
        for line, profile in self.profiles.items():
            times, number = self._times[line], self._next[line]
            while number < len(times) and times[number] <= now:
                number += 1
            self._next[line] = number
            if number and now - times[number - 1] >= timedelta(hours=1):
                last = times[number - 1]
                begins, ends = (int(at.timestamp() // 3600) for at in (day_begins(profile, last), last))
                slots = sum(self._slots[line].get(each, 0) for each in range(begins, ends + 1))
                found[line] = Seen(profile=profile, last_at=last, slots=slots)
        return found


def _slots(times: list[datetime]) -> dict[int, int]:
    found: dict[int, set[int]] = defaultdict(set)
    for at in times:
        second = int(at.timestamp())
        found[second // 3600].add(second // 300)
    return {hour: len(slots) for hour, slots in found.items()}


def lines_of(office: Office, seed: int, shares: tuple[float, ...]) -> dict[Line, list[datetime]]:
    """Return the faxes of *office*: all of its provider, and those of its numbers by their *shares*."""
    times = arrivals(office, seed)
    dealt = split(times, shares, seed)
    return {Line("telnyx"): times} | {
        Line("telnyx", "received", f"+1555{number}"): part for number, part in enumerate(dealt)
    }


def every(start: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    while start < end:
        yield start
        start += step


def alarms(watched: Watched, moments: Iterator[datetime], learn_every: timedelta) -> list[tuple[datetime, Silence]]:
    """Return when which line was said to be silent, as the check would say it."""
    told: list[Told] = []
    found: list[tuple[datetime, Silence]] = []
    learn_at: datetime | None = None
    for now in moments:
        if learn_at is None or now >= learn_at:
            watched.learn(now)
            learn_at = now + learn_every
        told = [each for each in told if each.ended_at is None or now - each.ended_at < ALLOWED_FOR]
        silent = {each.line: each for each in silent_lines(watched.seen(now), told, watched.bound, now)}
        known = {each.line for each in told if each.ended_at is None}
        told = [_later(each, silent.get(each.line), now) for each in told]
        for line, each in silent.items():
            if line not in known:
                found.append((now, each))
                told.append(Told(line=line, since=each.since, ended_at=None, log10=each.log10))
    return found


def _later(told: Told, silence: Silence | None, now: datetime) -> Told:
    if told.ended_at is not None:
        return told
    if silence is None:
        return Told(line=told.line, since=told.since, ended_at=now, log10=told.log10)
    return Told(line=told.line, since=silence.since, ended_at=None, log10=silence.log10)
