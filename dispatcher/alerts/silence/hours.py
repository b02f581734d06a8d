"""How many slots of each hour had a fax, by line: a small table, so that no million of faxes is read again and again.

Only what a callback told is counted: a fax that the provider's list told says nothing about its callbacks.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from dispatcher.alerts.silence.judging import Line, Seen
from dispatcher.alerts.silence.statistic import HOURS, SLOT_SECONDS, WEEKS, Profile, day_begins, learn

LEARNED: Final = timedelta(weeks=WEEKS)
MOST_LINES: Final = 100
"""The busiest; whole providers first."""

COUNTED_AT_ONCE: Final = timedelta(hours=6)
COUNTED_AGAIN: Final = timedelta(hours=2)
"""The latest hours, on every look: faxes of them may still come out of the broker."""

COUNTED_HOURLY: Final = timedelta(hours=24)
"""The same once an hour, for what waited longer."""

COUNT: Final = f"""
INSERT INTO line_hours AS old (provider, direction, number, hour, slots, last_at)
SELECT provider, direction, number, date_trunc('hour', at, 'UTC'),
       count(DISTINCT floor(extract(epoch FROM at) / {SLOT_SECONDS})), max(at)
FROM (
    SELECT provider, line.direction, line.number, first_received_at AS at FROM faxes CROSS JOIN LATERAL (VALUES
        ('any', ''), (direction, CASE direction WHEN 'received' THEN to_number ELSE from_number END)
    ) AS line (direction, number)
    WHERE first_received_at >= $1 AND first_received_at < $2 AND listed = 0
) AS faxes_of_lines
WHERE number IS NOT NULL GROUP BY 1, 2, 3, 4
ON CONFLICT ON CONSTRAINT line_hours_key DO UPDATE SET slots = EXCLUDED.slots, last_at = EXCLUDED.last_at
WHERE (old.slots, old.last_at) IS DISTINCT FROM (EXCLUDED.slots, EXCLUDED.last_at)
"""  # noqa: S608 - a constant
NEWEST: Final = "SELECT max(hour) FROM line_hours"
PRUNE: Final = "DELETE FROM line_hours WHERE hour < $1"
USUAL: Final = """
WITH busiest AS (
    SELECT provider, direction, number, min(hour) AS first FROM line_hours WHERE hour >= $1 AND hour < $2
    GROUP BY 1, 2, 3 ORDER BY direction = 'any' DESC, sum(slots) DESC LIMIT $3
)
SELECT provider, direction, number, first, (floor(extract(epoch FROM hour - $4) / 3600)::bigint % 168)::integer AS at,
       sum(slots)::float8 AS total, sum(slots * slots)::float8 AS squares
FROM line_hours JOIN busiest USING (provider, direction, number)
WHERE hour >= $1 AND hour < $2 GROUP BY 1, 2, 3, 4, 5
"""
LAST: Final = """
SELECT number_of, latest.last_at
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS wanted (provider, direction, number, number_of)
CROSS JOIN LATERAL (
    SELECT last_at FROM line_hours
    WHERE (provider, direction, number) = (wanted.provider, wanted.direction, wanted.number) ORDER BY hour DESC LIMIT 1
) AS latest
"""
SLOTS: Final = """
SELECT coalesce(sum(slots), 0)::float8 FROM line_hours
WHERE provider = $1 AND direction = $2 AND number = $3 AND hour >= $4 AND hour <= $5
"""
LAG: Final = """
SELECT coalesce(max(extract(epoch FROM recorded_at - received_at)), 0)::float8 FROM (
    SELECT recorded_at, received_at FROM events WHERE recorded_at > now() - interval '5 minutes'
    ORDER BY recorded_at DESC LIMIT 100
) AS newest
"""
_MONDAY: Final = datetime(2024, 1, 1, tzinfo=UTC)


async def count_hours(
    connection: Any, counted_until: datetime | None, now: datetime, again: timedelta = COUNTED_AGAIN, most: int = 8
) -> datetime:
    """Count the faxes of the hours since *counted_until*, and those of *again* before it; return until when that is.

    At the first time, with None, the weeks before are counted; a few hours in each call, until it returns *now*.
    """
    newest: datetime | None = await connection.fetchval(NEWEST)
    known = [each - again for each in (counted_until, newest) if each is not None]
    # An hour without a fax has no row: only *counted_until* gets over a week without any.
    start = max([now - LEARNED, *(min(each, now - again) for each in known)]).replace(minute=0, second=0, microsecond=0)
    for _ in range(most):
        end = start + COUNTED_AT_ONCE
        await connection.execute(COUNT, start, end)
        if end > now:
            return now
        start = end
    return start


async def prune_hours(connection: Any, now: datetime) -> None:
    """Forget hours that nothing is learnt from any more."""
    await connection.execute(PRUNE, now - LEARNED - timedelta(days=1))


async def learn_lines(connection: Any, now: datetime) -> dict[Line, Profile]:
    """Return the usual week of each of the busiest lines that have one."""
    until = now.replace(minute=0, second=0, microsecond=0)
    since = until - LEARNED
    found: dict[Line, tuple[list[float], list[float], datetime]] = {}
    for row in await connection.fetch(USUAL, since, until, MOST_LINES, _MONDAY):
        line = Line(row["provider"], row["direction"], row["number"])
        totals, squares, _ = found.setdefault(line, ([0.0] * HOURS, [0.0] * HOURS, row["first"]))
        totals[row["at"]], squares[row["at"]] = row["total"], row["squares"]
    profiles = {
        line: learn(totals, squares, (until - max(first, since)) / timedelta(weeks=1))
        for line, (totals, squares, first) in found.items()
    }
    return {line: profile for line, profile in profiles.items() if profile is not None}


async def read_lines(connection: Any, profiles: dict[Line, Profile], now: datetime) -> dict[Line, Seen]:
    """Return what is known of the lines now."""
    lines = list(profiles)
    columns = ([each.provider for each in lines], [each.direction for each in lines], [each.number for each in lines])
    found = {}
    for row in await connection.fetch(LAST, *columns):
        line = lines[row["number_of"] - 1]
        last_at = min(row["last_at"], now)  # another process's clock may be ahead
        begins = day_begins(profiles[line], last_at)
        slots = await connection.fetchval(SLOTS, line.provider, line.direction, line.number, begins, last_at)
        found[line] = Seen(profile=profiles[line], last_at=last_at, slots=slots)
    return found


async def read_lag_seconds(connection: Any) -> float:
    """Return how late the newest events were taken into the ledger."""
    return float(await connection.fetchval(LAG))
