"""What becomes of deliveries that somebody wants replayed or discarded, and the change itself. One function each.

`FATE` says it in one place, whether it is asked for a preview or while the change is made.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from dispatcher.ops.dead.jobs.bodies import What
from dispatcher.ops.dead.letters import DeadFilter
from dispatcher.ops.dead.store import IS_READY, Wanted, wanted_of

FATE: Final = f"""
CASE WHEN d.state = 'told' THEN 'told'
     WHEN d.state <> 'dead' THEN 'gone'
     WHEN $1 = 'dead.replay' AND NOT {IS_READY} THEN 'endpoint'
     ELSE 'waiting' END
"""
"""Of a delivery, as a job's item has it; `$1` is what is to be done."""

TAKEN: Final = """
EXISTS (SELECT FROM job_items JOIN jobs ON jobs.id = job_items.job_id
        WHERE job_items.letter_id = d.id::text AND job_items.state IN ('waiting', 'moved')
        AND jobs.finished_at IS NULL AND jobs.lease_until > now() - interval '5 s')
"""
"""Is somebody else's job at it, alive or just begun?"""


async def fates_of_ids(connection: Any, what: What, delivery_ids: Sequence[UUID]) -> list[tuple[UUID, UUID, str]]:
    """Return (id, endpoint, fate) of those that the ledger knows."""
    rows = await connection.fetch(
        f"""
        SELECT d.id, d.endpoint_id, CASE WHEN d.state = 'dead' AND {TAKEN} THEN 'taken' ELSE {FATE} END AS fate
        FROM deliveries d LEFT JOIN endpoints ON endpoints.id = d.endpoint_id
        WHERE d.id = ANY($2::uuid[])
        """,  # noqa: S608 - what is inserted is ours
        what,
        list(delivery_ids),
    )
    return [(row["id"], row["endpoint_id"], row["fate"]) for row in rows]


def _fates(sql: Wanted) -> str:
    events = "JOIN events ON events.id = d.event_id" if sql.of_events else ""
    return f"""
        SELECT d.id, d.endpoint_id, CASE WHEN {TAKEN} THEN 'taken' ELSE {FATE} END AS fate
        FROM deliveries d LEFT JOIN endpoints ON endpoints.id = d.endpoint_id {events}
        WHERE {sql.conditions}
    """  # noqa: S608 - what is inserted is ours


async def count_fates(connection: Any, what: What, wanted: DeadFilter) -> list[tuple[UUID, str, int]]:
    """Return (endpoint, fate, how many) of what matches."""
    sql = wanted_of(wanted, first=2)
    if sql is None:
        return []
    rows = await connection.fetch(
        f"SELECT endpoint_id, fate, count(*) AS count FROM ({_fates(sql)}) AS matched GROUP BY 1, 2",  # noqa: S608 - what is inserted is ours
        what,
        *sql.arguments,
    )
    return [(row["endpoint_id"], row["fate"], row["count"]) for row in rows]


async def write_items(connection: Any, job_id: UUID, what: What, wanted: DeadFilter) -> None:
    """Write what matches as the items of a job."""
    sql = wanted_of(wanted, first=3)
    if sql is not None:
        await connection.execute(
            f"""
            INSERT INTO job_items (job_id, letter_id, kind, delivery_id, state)
            SELECT $2::uuid, id::text, 'delivery', id, fate FROM ({_fates(sql)}) AS matched
            """,  # noqa: S608 - what is inserted is ours
            what,
            job_id,
            *sql.arguments,
        )


REPLAY: Final = """
UPDATE deliveries d
SET state = 'retrying', reason = NULL, due_at = now(), lease_until = NULL, sweeps = 0, settled_at = NULL,
    budget_from = d.attempts, replayed_at = now(), crashes = 0, crash_place = NULL
WHERE d.id = ANY($1::uuid[]) AND d.state = 'dead'
"""

DISCARD: Final = """
UPDATE deliveries d SET state = 'skipped', reason = 'discarded', settled_at = now(), lease_until = NULL
WHERE d.id = ANY($1::uuid[]) AND d.state = 'dead'
"""

DISCARD_OWED: Final = """
UPDATE deliveries SET state = 'skipped', reason = 'discarded', settled_at = now(), lease_until = NULL
WHERE id = $1 AND state IN ('pending', 'retrying') AND (lease_until IS NULL OR lease_until < now())
RETURNING id
"""

UNDER_WAY: Final = """
SELECT id FROM deliveries
WHERE id = ANY($1::uuid[]) AND state = 'retrying' AND attempts = budget_from
AND (lease_until > now() OR lease_until IS NULL AND due_at <= now())
"""
"""Replayed, and neither attempted nor put off since: what the replay has standing in line before live traffic."""


async def under_way(connection: Any, delivery_ids: Sequence[UUID]) -> list[UUID]:
    """Return those of the replayed deliveries that wait for their first attempt, or are at it."""
    return [row["id"] for row in await connection.fetch(UNDER_WAY, list(delivery_ids))]
