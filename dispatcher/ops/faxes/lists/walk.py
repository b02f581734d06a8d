"""Pages of a table, the newest first: one index is walked from its newest end, over a bounded number of rows.

A condition that no index serves is tested on the rows walked over; the last of them comes along, so that the next page
goes on behind it. So a page costs the same however rarely its filter matches, and however large the ledger is.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.cursor import CursorOf

WALKED_AT_MOST: Final = 20_000
"""Rows that one page looks at."""

LOOKED_INTO_AT_MOST: Final = 5_000
"""Rows that one page looks at where each costs much: an event's body is read, or numbers are compared."""


class Walk:
    """A walk over *table*, by the columns *key* in descending order; the last of them makes the order unique.

    *cursors* are of these keys. All text is SQL of ours; values go in as `{0}`, `{1}`.
    """

    def __init__(self, table: str, key: tuple[str, ...], cursors: CursorOf[Any]) -> None:
        self._table = table
        self._key = key
        self._cursors = cursors
        self._within: list[str] = []
        self._branches: list[tuple[str, str]] = []
        self._matching: list[str] = []
        self._values: list[Any] = []
        self._most = WALKED_AT_MOST

    def within(self, condition: str, *values: Any) -> None:
        """Add a condition that an index serves."""
        self._within.append(self._filled(condition, values))

    def within_any(self, column: str, values: Iterable[Any], *, kind: str = "text", unless: str | None = None) -> None:
        """Walk over the rows of each of *values* in *column*, by its index, instead of once over all.

        Called again, the rows of another column come along; *unless*: but for those that have a value in this one.
        *kind* is the SQL type of the column.
        """
        self._values.append(list(values))
        place = f"${len(self._values)}::{kind}[]"
        other = "" if unless is None else f" AND ({unless} = ANY({place})) IS NOT TRUE"
        self._branches.append((f"unnest({place}) AS value", f"{column} = value{other}"))

    def within_pairs(self, columns: tuple[str, str], pairs: Sequence[tuple[str, str]]) -> None:
        """Walk over the rows of each of *pairs* in two *columns*, both text, as `within_any` does of one."""
        self._values += ([each for each, _ in pairs], [each for _, each in pairs])
        first, second = (f"${len(self._values) - back}::text[]" for back in (1, 0))
        condition = f"({columns[0]}, {columns[1]}) = (pair.first, pair.second)"
        self._branches.append((f"unnest({first}, {second}) AS pair (first, second)", condition))

    def matching(self, condition: str, *values: Any) -> None:
        """Add a condition that is tested on each row walked over; none where a value is None."""
        if None not in values:
            self._matching.append(f"({self._filled(condition, values)})")

    def looking_into(self, condition: str, *values: Any) -> None:
        """Add a condition as `matching` does, whose test costs much."""
        self.matching(condition, *values)
        if None not in values:
            self._most = min(self._most, LOOKED_INTO_AT_MOST)

    def _filled(self, condition: str, values: Sequence[Any]) -> str:
        start = len(self._values) + 1
        self._values += values
        return condition.format(*(f"${start + index}" for index in range(len(values))))

    async def page(self, pool: Pool, limit: int, after: str | None) -> tuple[list[Any], str | None]:
        """Return at most *limit* rows behind the cursor *after*, and the cursor behind them; None if there is no more.

        Raises:
            BadCursor: *after* is not a cursor of this table.
        """
        if after is not None:
            places = ", ".join(f"{{{index}}}" for index in range(len(self._key)))
            self.within(f"({', '.join(self._key)}) < ({places})", *self._cursors.read(after))
        rows = await pool.fetch(self._statement(limit), *self._values)
        matching = [row for row in rows if row["matches"]]
        if len(matching) > limit:
            return matching[:limit], self._cursor(matching[limit - 1])
        if rows and rows[-1]["walked"] == self._most:
            return matching, self._cursor(rows[-1])
        return matching, None

    def _statement(self, limit: int) -> str:
        order = ", ".join(f"{column} DESC" for column in self._key)
        return f"""
            SELECT * FROM (
                SELECT *, row_number() OVER (ORDER BY {order}) AS walked,
                       ({" AND ".join(self._matching) or "true"}) AS matches
                FROM {self._source(order, limit)} ORDER BY {order} LIMIT {self._most}
            ) AS newest
            WHERE matches OR walked = {self._most} ORDER BY {order} LIMIT {limit + 1}
        """  # noqa: S608 - columns and conditions of ours

    def _source(self, order: str, limit: int) -> str:
        if not self._branches:
            return f"{self._table} WHERE {' AND '.join(self._within) or 'true'}"
        # Of each value no more than can be shown: where every row matches, that is a page.
        most = self._most if self._matching else limit + 1
        walks = [
            f"SELECT found.* FROM {values} CROSS JOIN LATERAL (SELECT * FROM {self._table} "  # noqa: S608 - as above
            f"WHERE {' AND '.join([condition, *self._within])} ORDER BY {order} LIMIT {most}) AS found"
            for values, condition in self._branches
        ]
        return f"({' UNION ALL '.join(walks)}) AS {self._table}"

    def _cursor(self, row: Any) -> str:
        return self._cursors.write(*(row[column] for column in self._key))
