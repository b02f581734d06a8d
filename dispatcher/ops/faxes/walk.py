"""Pages of a table, the newest first: one index is walked from its newest end, over a bounded number of rows.

A condition that no index serves is tested on the rows walked over; the last of them comes along, so that the next page
goes on behind it. So a page costs the same however rarely its filter matches, and however large the ledger is.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from dispatcher.ops.api.cursor import write_cursor

WALKED_AT_MOST: Final = 20_000
"""Rows that one page looks at."""


class Values:
    """The parameters of a statement."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    def __call__(self, value: Any) -> str:
        """Add one and return its placeholder."""
        self.all.append(value)
        return f"${len(self.all)}"


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """What to walk over. All text is SQL of ours; values go through `Values`.

    Attributes:
        key: The columns that make the order, all descending; the last one makes them unique.
        within: Conditions that an index serves.
        matching: Conditions tested on each row walked over.
    """

    table: str
    key: Sequence[str]
    within: Sequence[str]
    matching: Sequence[str]
    limit: int
    walked_at_most: int = WALKED_AT_MOST

    def statement(self) -> str:
        """Return the statement; its rows have `matches`, and `walked` from 1."""
        order = ", ".join(f"{column} DESC" for column in self.key)
        within = " AND ".join(self.within) or "true"
        return f"""
            SELECT * FROM (
                SELECT *, row_number() OVER (ORDER BY {order}) AS walked,
                       ({" AND ".join(self.matching) or "true"}) AS matches
                FROM {self.table} WHERE {within} ORDER BY {order} LIMIT {self.walked_at_most}
            ) AS newest
            WHERE matches OR walked = {self.walked_at_most} ORDER BY {order} LIMIT {self.limit + 1}
        """  # noqa: S608 - columns and conditions of ours

    def cut(self, rows: Sequence[Any]) -> tuple[list[Any], str | None]:
        """Return the page's rows and the cursor behind them; None if there is no more."""
        matching = [row for row in rows if row["matches"]]
        if len(matching) > self.limit:
            return matching[: self.limit], self._cursor(matching[self.limit - 1])
        if rows and rows[-1]["walked"] == self.walked_at_most:
            return matching, self._cursor(rows[-1])
        return matching, None

    def _cursor(self, row: Any) -> str:
        return write_cursor([row[column] for column in self.key])


def behind(key: Sequence[str], values: Sequence[Any], ask: Values) -> str:
    """Return the condition that a row comes after *values* in the order of *key*."""
    return f"({', '.join(key)}) < ({', '.join(ask(value) for value in values)})"
