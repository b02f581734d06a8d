"""Codes, durations, times and counts as people read them: the same in terminal, API and console. Pure."""

import math
from datetime import UTC, datetime
from typing import Final

SKIPPED: Final[dict[str, str]] = {
    "overtaken": "a later event of the fax was known already",
    "no_equivalent": "the endpoint's format has no such event",
    "endpoint_disabled": "the endpoint was disabled",
    "superseded": "the endpoint was disabled, and the fax's own endpoint got it",
}
"""Why an event was recorded for an endpoint but not sent."""

SUCCESSOR: Final = "successor:"
"""The reason of a dead letter that was sent to a successor of its endpoint: this, and the successor's id."""

STATES: Final[dict[str, str]] = {
    "pending": "pending",
    "retrying": "retrying",
    "told": "delivered",
    "dead": "dead",
    "skipped": "skipped",
}
"""The states of a delivery, as people call them."""

STATE_VALUES: Final[dict[str, str]] = {shown: value for value, shown in STATES.items()}
"""The API's value by what people call it; a command takes either."""

_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400


def duration(seconds: float) -> str:
    """Return a duration at a glance: two units at most.

    >>> [duration(each) for each in (0.0004, 0.123, 12.34, 59.9, 300, 3900, 7200, 90_000, 266_700)]
    ['0 s', '0.12 s', '12.3 s', '1 min', '5 min', '1 h 5 min', '2 h', '1 d 1 h', '3 d 2 h']
    """
    seconds = abs(seconds)
    if seconds < 10:  # noqa: PLR2004 - what people read
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + " s"
    if seconds < _MINUTE - 0.5:
        return f"{seconds:.1f}".rstrip("0").rstrip(".") + " s"
    whole = math.floor(seconds + 0.5)
    for unit, name, part, part_name in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= unit:
            rest = whole % unit // part
            return f"{whole // unit} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{whole} s"


def clock(at: datetime) -> str:
    """Return *at* for people: with its date, in UTC everywhere, so that console, terminal and log can be compared.

    >>> clock(datetime.fromisoformat("2026-11-29T10:00:00.5+01:00"))
    '2026-11-29 09:00:00 UTC'
    """
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def moment(at: datetime, now: datetime) -> str:
    """Return when something is or was, seen from *now*, in whole seconds: `in 5 min`, `12 s ago`."""
    seconds = round((at - now).total_seconds())
    if seconds == 0:
        return "now" if at > now else "just now"
    return f"in {duration(seconds)}" if seconds > 0 else f"{duration(seconds)} ago"


def printable(content: bytes | str) -> str:
    r"""Return text from outside so that it can be shown: control characters and the like escaped.

    >>> printable(b"caf\xc3\xa9 \x1b[31m\xff\r\nsecond line\t!")
    'café \\x1b[31m\ufffd\nsecond line\t!'
    """
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
    return "".join(
        each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode()
        for each in text.replace("\r\n", "\n")
    )


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun.

    >>> counted(1, "attempt"), counted(3000, "attempt"), counted(2, "delivery"), counted(2, "fax")
    ('1 attempt', '3,000 attempts', '2 deliveries', '2 faxes')
    """
    ending = "es" if one.endswith("x") else "s"
    regular = one[:-1] + "ies" if one.endswith("y") else one + ending
    return f"{number:,} {one if number == 1 else many or regular}"
