"""Spans of time as people give them: `since` and `until`. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec

from shared.errors import FaxhookError

TIMES: Final = (
    "a time with its zone like 2026-10-03T08:00:00Z, a day like 2026-10-03, today or yesterday (in UTC), "
    "or an age like 90s, 30m, 6h, 2d"
)

Moment = Annotated[str, msgspec.Meta(min_length=1, max_length=40, description=TIMES)]
"""A time as a person gives it; `read_span` reads it."""

_AGE: Final = re.compile(r"([0-9]{1,9})([smhd])")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BadSpan(FaxhookError):
    """A `since` or `until` that is no time, or both in the wrong order."""

    code = "bad_time"
    status = 422

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """From `since` on and before `until`, aware UTC; None: without that bound."""

    since: datetime | None = None
    until: datetime | None = None


def read_span(since: str | None, until: str | None, now: datetime) -> Span:
    """Return the span between two times as people give them.

    Raises:
        BadSpan: One is not a time, or `since` is not before `until`.

    >>> now = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)
    >>> span = read_span("yesterday", "2h", now)
    >>> span.since.isoformat(), span.until.isoformat()
    ('2026-11-28T00:00:00+00:00', '2026-11-29T06:30:00+00:00')
    """
    span = Span(
        since=None if since is None else read_moment("since", since, now),
        until=None if until is None else read_moment("until", until, now),
    )
    if span.since is not None and span.until is not None and span.since >= span.until:
        raise BadSpan("since", f"`{since}` is not before until, `{until}`: nothing lies between them")
    return span


def read_moment(field: str, text: str, now: datetime) -> datetime:
    """Return the time that a person gave in *field*.

    Raises:
        BadSpan: It is none.
    """
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if text in {"now", "today", "yesterday"}:
        return {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}[text]
    try:
        if age := _AGE.fullmatch(text):
            seconds = min(int(age[1]) * _SECONDS[age[2]], (now - _EPOCH).total_seconds())
            return now - timedelta(seconds=seconds)
        # A plus that a browser or shell turned into a space is the zone's sign.
        found = datetime.fromisoformat(text.replace(" ", "+") if text.count(" ") == 1 and "T" in text else text)
        if _DAY.fullmatch(text):
            found = found.replace(tzinfo=UTC)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise BadSpan(field, f"`{text}` is not {TIMES}")
