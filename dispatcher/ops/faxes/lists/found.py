"""What belongs to the faxes of a number or a job, found by the indexes of faxes, for the lists of other tables.

The planner knows neither how many faxes a number has nor how many rows belong to one, and may read a whole table for
it. So each step looks up the rows of one row of the step before.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from dispatcher.ledger.pool import Pool
from dispatcher.ops.faxes.lists.numbers import numbers_meant, reversed_digits
from dispatcher.ops.faxes.lists.walk import Walk

MOST_FAXES: Final = 5_000
MOST_ROWS: Final = 10_000
"""That are looked up. Where there are more, they are frequent, and the newest rows are searched for them."""

TO, FROM = reversed_digits("to_number"), reversed_digits("from_number")
HAS_NUMBER: Final = f"(coalesce({TO} = ANY({{0}}::text[]), false) OR coalesce({FROM} = ANY({{0}}::text[]), false))"

_FOUND: Final = """
WITH found AS MATERIALIZED ({faxes} LIMIT $2)
SELECT (SELECT count(*) FROM found) AS faxes, ARRAY({rows} WHERE (SELECT count(*) FROM found) < $2 LIMIT $3) AS rows
"""
"""A fax of two numbers is found twice and counted twice: what was cut at $2 never passes for all of them."""

_OF_NUMBERS: Final = f"""
SELECT faxes.* FROM unnest($1::text[]) AS digits CROSS JOIN LATERAL (
    (SELECT provider, fax_id FROM faxes WHERE {TO} = digits LIMIT $2)
    UNION ALL (SELECT provider, fax_id FROM faxes WHERE {FROM} = digits LIMIT $2)
) AS faxes
"""  # noqa: S608 - columns of ours
_OF_JOB: Final = "SELECT provider, fax_id FROM faxes WHERE job_id = $1"

_EVENTS: Final = """
SELECT o.id FROM found
CROSS JOIN LATERAL (SELECT id FROM events WHERE (provider, fax_id) = (found.provider, found.fax_id) OFFSET 0) AS o
"""
_DELIVERIES: Final = f"""
SELECT d.id FROM ({_EVENTS}) AS o CROSS JOIN LATERAL (SELECT id FROM deliveries WHERE event_id = o.id OFFSET 0) AS d
"""  # noqa: S608 - SQL of ours

# Not EXISTS: the planner may answer that for all rows of the table at once, by reading all faxes.
_IS_OF: Final = """
coalesce((SELECT {condition} FROM events o JOIN faxes USING (provider, fax_id) WHERE o.id = {event_id}), false)
"""


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """A table whose rows belong to faxes.

    Attributes:
        column: Its column by which its rows are looked up, of the SQL type *kind*.
        rows: SQL of that column's values for the faxes `found`.
        event_id: SQL of the event of a row.
    """

    column: str
    kind: str
    rows: str
    event_id: str


EVENTS: Final = Owned(column="id", kind="text", rows=_EVENTS, event_id="events.id")
DELIVERIES: Final = Owned(column="id", kind="uuid", rows=_DELIVERIES, event_id="deliveries.event_id")
ATTEMPTS: Final = Owned(
    column="delivery_id",
    kind="uuid",
    rows=_DELIVERIES,
    event_id="(SELECT d.event_id FROM deliveries d WHERE d.id = attempts.delivery_id)",
)


async def narrow_to_faxes(pool: Pool, walk: Walk, owned: Owned, query: Any, also: Iterable[set[Any]] = ()) -> bool:
    """Narrow *walk* to the rows of the faxes of the query's `job_id` and `number`; return whether an index serves it.

    *also*: sets of values of the column that were found otherwise.

    Raises:
        BadNumber: The number cannot be read.
    """
    found = list(also)
    wanted = [] if query.job_id is None else [(_OF_JOB, "job_id = {0}", query.job_id)]
    if query.number is not None:
        wanted.append((_OF_NUMBERS, HAS_NUMBER, list(await numbers_meant(pool, query.number))))
    for faxes, condition, value in wanted:
        statement = _FOUND.format(faxes=faxes, rows=owned.rows)
        (row,) = await pool.fetch(statement, value, MOST_FAXES + 1, MOST_ROWS + 1)
        if row["faxes"] <= MOST_FAXES and len(row["rows"]) <= MOST_ROWS:
            found.append(set(row["rows"]))
        else:
            walk.looking_into(_IS_OF.format(condition=condition, event_id=owned.event_id), value)
    if found:
        walk.within_any(owned.column, set.intersection(*found), kind=owned.kind)
    return bool(found)
