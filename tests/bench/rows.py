"""A line of the bench's table."""

from dataclasses import dataclass


@dataclass
class Row:
    """One line of the table. *ratio* is measured to goal: 1.0 or less is reached."""

    what: str
    goal: str
    measured: str
    ratio: float


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} µs"
