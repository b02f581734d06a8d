"""Small charts of the last hour, as the numbers of an SVG; the template draws them. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from dispatcher.ops.console import words
from dispatcher.ops.words import clock

WIDTH: Final = 300.0
HEIGHT: Final = 64.0
TOP: Final = 4.0
SPAN_SECONDS: Final = 3_600.0
GAP_SECONDS: Final = 45.0
"""Samples come every 10 s; where four are missing, nothing is drawn."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A line with the area under it.

    Attributes:
        lines: SVG path of the line, one stretch for each gap between.
        area: SVG path of the area.
        most: The peak, the top of the chart.
        now: The latest value; None if nothing is known.
        words: The same for screen readers.
    """

    lines: str
    area: str
    most: int
    now: int | None
    words: str


class Point(msgspec.Struct, frozen=True):
    """A value at a time."""

    at: datetime
    value: int


def points(samples: Sequence[tuple[datetime, Mapping[str, int]]], belongs: Callable[[str], bool]) -> list[Point]:
    """Return the sum of the queues that belong together, at each time that any of them was read."""
    summed = []
    for at, messages in samples:
        values = [count for name, count in messages.items() if belongs(name)]
        if values:
            summed.append(Point(at, sum(values)))
    return summed


def chart(name: str, values: Sequence[Point], now: datetime) -> Chart:
    """Return the chart of *values* (oldest first) over the hour before *now*."""
    known = [point for point in values if 0 <= (now - point.at).total_seconds() <= SPAN_SECONDS]
    if not known:
        return Chart(lines="", area="", most=0, now=None, words=f"{name}: no samples yet.")
    most = max(point.value for point in known)
    top = max(most, 1)
    stretches: list[list[tuple[float, float]]] = []
    before: Point | None = None
    for point in known:
        if before is None or (point.at - before.at).total_seconds() > GAP_SECONDS:
            stretches.append([])
        stretches[-1].append(_place(point, now, top))
        before = point
    peak = max(known, key=lambda point: point.value)
    return Chart(
        lines=" ".join(_line(stretch) for stretch in stretches),
        area=" ".join(_area(stretch) for stretch in stretches),
        most=most,
        now=known[-1].value,
        words=(
            f"{name}: {words.number(known[-1].value)} now; in the last hour at most {words.number(most)}"
            + (f", at {clock(peak.at)}." if most else ".")
        ),
    )


def _place(point: Point, now: datetime, top: int) -> tuple[float, float]:
    x = WIDTH * (1 - (now - point.at).total_seconds() / SPAN_SECONDS)
    y = HEIGHT - (HEIGHT - TOP) * point.value / top
    return round(x, 1), round(y, 1)


def _line(stretch: Sequence[tuple[float, float]]) -> str:
    if len(stretch) == 1:  # a lone sample: as wide as a sample is long, or it would not be seen
        ((x, y),) = stretch
        stretch = [(x - 1, y), (x, y)]
    return "M" + " L".join(f"{x:g} {y:g}" for x, y in stretch)


def _area(stretch: Sequence[tuple[float, float]]) -> str:
    return f"{_line(stretch)} L{stretch[-1][0]:g} {HEIGHT:g} L{stretch[0][0]:g} {HEIGHT:g} Z"
