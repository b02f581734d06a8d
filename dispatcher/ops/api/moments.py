"""Moments as people give them to lists: a time, a date, how long ago, `today`, `yesterday`. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec

from shared.errors import FaxhookError

HOW: Final = (
    "a time with its zone (2026-11-29T08:00:00Z), a date (2026-11-29, from 00:00 UTC), how long ago (30m, 24h, 7d), "
    "a day (`today`, `yesterday`, `monday`), a time of it in UTC (`monday 08:00`, or `08:00` of today)"
)
MomentText = Annotated[str, msgspec.Meta(min_length=1, max_length=60, description=HOW)]

UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION: Final = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_OF_DAY: Final = re.compile(r"(?:([a-z]+) ?)?(?:\b(\d{1,2}):(\d\d))?", re.ASCII)
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class BadMoment(FaxhookError):
    """A text that is no moment; `field` names the parameter."""

    code = "bad_moment"
    status = 422

    def __init__(self, field: str, text: str, reason: str = f"is not one of: {HOW}") -> None:
        super().__init__(f"{field}: `{text[:60]}` {reason}")
        self.field = field


def read_duration(text: str) -> timedelta | None:
    """Return how long *text* says; None if it is no duration.

    >>> str(read_duration("36h")), read_duration("soon")
    ('1 day, 12:00:00', None)
    """
    found = _DURATION.fullmatch(text)
    return None if found is None else timedelta(**{UNITS[found[2]]: int(found[1])})


def read_moment(field: str, text: str, now: datetime) -> datetime:
    """Return the moment that *text* means at *now*, aware UTC. *field* is what the error names.

    Raises:
        BadMoment: It is no moment, or lies before the year 1.

    >>> at = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)
    >>> for text in ("2026-11-28T10:00:00+01:00", "2026-11-28", "24h", "today", "yesterday"):
    ...     print(read_moment("since", text, at).isoformat())
    2026-11-28T09:00:00+00:00
    2026-11-28T00:00:00+00:00
    2026-11-28T08:30:00+00:00
    2026-11-29T00:00:00+00:00
    2026-11-28T00:00:00+00:00
    """
    word = text.strip().lower()
    if word == "now":
        return now
    try:
        if (of_day := _of_day(word, now)) is not None:
            return of_day
        if (ago := read_duration(word)) is not None:
            return now - ago
        if _DATE.fullmatch(word):
            return datetime.fromisoformat(word).replace(tzinfo=UTC)
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise BadMoment(field, text) from None
    if moment.tzinfo is None:
        raise BadMoment(field, text, "has no time zone: add Z for UTC, or an offset like +01:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise BadMoment(field, text) from None


def _of_day(word: str, now: datetime) -> datetime | None:
    """Return a time of a day that is named: its beginning, unless the word says the time. A weekday is the last one.

    Raises:
        ValueError: There is no such time.

    >>> at = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)  # a Sunday
    >>> for word in ("monday 8:00", "sunday", "mon", "yesterday 18:30", "07:15", "09:00"):
    ...     print(word, _of_day(word, at))
    monday 8:00 2026-11-23 08:00:00+00:00
    sunday 2026-11-29 00:00:00+00:00
    mon 2026-11-23 00:00:00+00:00
    yesterday 18:30 2026-11-28 18:30:00+00:00
    07:15 2026-11-29 07:15:00+00:00
    09:00 2026-11-29 09:00:00+00:00
    """
    found = _OF_DAY.fullmatch(word)
    if found is None or not any(found.groups()):
        return None
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    day = found[1] or "today"
    if day in {"today", "yesterday"}:
        ago = int(day == "yesterday")
    else:
        weekday = next((i for i, name in enumerate(_WEEKDAYS) if day in {name, name[:3]}), None)
        if weekday is None:
            return None
        ago = (midnight.weekday() - weekday) % 7
    hour, minute = int(found[2] or 0), int(found[3] or 0)
    return (midnight - timedelta(days=ago)).replace(hour=hour, minute=minute)


def read_span(since: str | None, until: str | None, now: datetime) -> tuple[datetime | None, datetime | None]:
    """Return *since* (included) and *until* (not included).

    Raises:
        BadMoment: One is no moment, or nothing lies between them.
    """
    start = None if since is None else read_moment("since", since, now)
    end = None if until is None else read_moment("until", until, now)
    if since is not None and until is not None and start is not None and end is not None and start >= end:
        raise BadMoment("until", until, f"is not after since, `{since[:60]}`")
    return start, end
