"""What the bench shows: figures with their spread, rows beside their goals, as a table and as JSON."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """The median of the rounds, and the least and the most of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Row:
    """One line of the table.

    Attributes:
        goal: For people; empty where a figure is only shown.
        limit: What the median must not exceed, or must reach (*more_is_better*); None where a figure is only shown.
        unit: How a figure is written: `times` a ratio, `µs`, `ms`, `s`, `/s`, `MB`, `B`, `%`, or nothing: a number.
        figures: By the name of what was measured: `now`, `before`, a peer.
        note: What belongs to it, for people.
        part: Of the bench, that added it.
    """

    what: str
    goal: str
    limit: float | None
    unit: str
    figures: dict[str, Figure]
    note: str = ""
    more_is_better: bool = False
    part: str = ""

    def is_reached(self, column: str) -> bool | None:
        """Return whether the goal is reached; None without a goal."""
        if self.limit is None or column not in self.figures:
            return None
        median = self.figures[column].median
        return median >= self.limit if self.more_is_better else median <= self.limit


@dataclass
class Point:
    """One load of the picture: *rate* is what was sent in a second, *cost_seconds*: of CPU, for each event."""

    column: str
    rate: float
    cost_seconds: Figure
    median_seconds: Figure
    p99_seconds: Figure


@dataclass
class Report:
    """All that one run of the bench found."""

    machine: dict[str, Any]
    rows: list[Row] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)


_SCALES = {"µs": 1e6, "ms": 1e3, "MB": 1e-6, "%": 100.0}


def written(value: float, unit: str) -> str:
    """Return *value*, in seconds, bytes or as a share, for people."""
    scaled = value * _SCALES.get(unit, 1.0)
    digits = 2 if abs(scaled) < 10 else 1 if abs(scaled) < 100 else 0
    digits = min(digits, 0 if unit in {"µs", "B", "/s"} else 2)
    return f"{scaled:,.{digits}f}"


def spread(figure: Figure, unit: str) -> str:
    """Return median and spread for people: `2.21 times (2.15-2.40)`."""
    text = f"{written(figure.median, unit)} {unit}".strip()
    if figure.low == figure.high:
        return text
    return f"{text} ({written(figure.low, unit)}-{written(figure.high, unit)})"


def table(report: Report) -> str:
    """Return the rows as a table of Markdown."""
    columns = list(dict.fromkeys(column for row in report.rows for column in row.figures))
    lines = [f"{report.machine.get('what', '')}", ""]
    lines += ["| " + " | ".join(["what", "goal", *columns]) + " |", "|---" * (2 + len(columns)) + "|"]
    for row in report.rows:
        cells = [f"{row.what}{f' ({row.note})' if row.note else ''}", row.goal or "shown"]
        for column in columns:
            figure = row.figures.get(column)
            reached = row.is_reached(column)
            mark = "" if reached is None else " reached" if reached else " **missed**"
            cells.append("" if figure is None else spread(figure, row.unit) + mark)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratios(above: Sequence[float], below: Sequence[float]) -> Figure:
    """Return the figure of the quotients, round by round: what disturbs a round disturbs both."""
    return Figure.of([one / other for one, other in zip(above, below, strict=True)])


def cost_shares(rounds: Sequence[Mapping[str, float]]) -> dict[str, Figure]:
    """Return the figure of each part over the rounds."""
    return {name: Figure.of([each[name] for each in rounds]) for name in rounds[0]}
