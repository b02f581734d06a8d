"""The table of waits before each retry: its grammar, its names, its arithmetic. Pure."""

import re
from collections.abc import Sequence
from typing import Final

DEFAULT_BACKOFF: Final = "5m,10m,20m,30m,6h*12"
"""The retry table of Phaxio and Sinch: 16 retries, the last 73 h 5 min after the first attempt."""

DEFER_WAITS_SECONDS: Final = (15.0, 60.0, 300.0, 900.0)
"""Waits of the `defer.*` queues for deliveries that are held back, not failed; growing to 15 minutes."""

SHORTEST_WAIT_SECONDS: Final = 0.001
LONGEST_WAIT_SECONDS: Final = 30 * 86_400.0
MOST_RETRIES: Final = 100

_ITEM = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>[smh])(?:\*(?P<times>\d+))?", re.ASCII)
_UNIT_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_backoff(text: str) -> tuple[float, ...]:
    """Return the wait before each retry, in seconds; the first is retry 1's.

    Raises:
        ValueError: A sentence that names the item which is wrong.

    >>> parse_backoff("5m,10m,20m,30m,6h*12")[:6]
    (300.0, 600.0, 1200.0, 1800.0, 21600.0, 21600.0)
    >>> len(parse_backoff("5m,10m,20m,30m,6h*12")), sum(parse_backoff("5m,10m,20m,30m,6h*12")) / 3600
    (16, 73.08333333333333)
    """
    waits: list[float] = []
    for item in text.split(","):
        match = _ITEM.fullmatch(item.strip())
        if match is None:
            raise ValueError(f"`{item.strip()}` is not a wait: write numbers with s, m or h, like `5m` or `6h*12`")
        wait = float(match["number"]) * _UNIT_SECONDS[match["unit"]]
        if not SHORTEST_WAIT_SECONDS <= wait <= LONGEST_WAIT_SECONDS:
            raise ValueError(f"`{item.strip()}` is outside 1 ms to 30 days")
        waits.extend([wait] * min(int(match["times"] or 1), MOST_RETRIES + 1))
        if len(waits) > MOST_RETRIES:
            raise ValueError(f"more than {MOST_RETRIES} retries")
    if not waits:
        raise ValueError("there is no wait: `*0` repeats nothing")
    return tuple(waits)


def wait_name(seconds: float) -> str:
    """Return the wait as its queue is named: the largest unit that makes it a whole number, else seconds.

    >>> [wait_name(seconds) for seconds in (300, 600, 21600, 90, 0.3, 5400)]
    ['5m', '10m', '6h', '90s', '0.3s', '90m']
    """
    for unit in ("h", "m"):
        if seconds % _UNIT_SECONDS[unit] == 0:
            return f"{seconds / _UNIT_SECONDS[unit]:.0f}{unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def wait_seconds(
    backoff: Sequence[float], failed_attempt: int, retry_after_seconds: float | None = None
) -> float | None:
    """Return the wait after failed attempt *failed_attempt* (from 1), in seconds; None if the table is used up.

    A `Retry-After` longer than the table's wait takes the smallest wait of the table that covers it, else the
    longest: a floor, never a ceiling.

    >>> fax = parse_backoff("5m,10m,20m,30m,6h*12")
    >>> [wait_seconds(fax, n) for n in (1, 4, 5, 16, 17)]
    [300.0, 1800.0, 21600.0, 21600.0, None]
    >>> [wait_seconds(fax, 1, after) for after in (10, 301, 86400)]
    [300.0, 600.0, 21600.0]
    """
    if failed_attempt > len(backoff):
        return None
    wait = backoff[failed_attempt - 1]
    if retry_after_seconds is None or retry_after_seconds <= wait:
        return wait
    return min((other for other in backoff if other >= retry_after_seconds), default=max(backoff))
