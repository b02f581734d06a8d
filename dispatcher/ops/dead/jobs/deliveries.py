"""Deliveries of the ledger that are to be replayed or discarded: what becomes of each, and the change itself.

`FATE` decides it in one place, for a preview and for the change.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.ops.dead.jobs import items as job_items
from dispatcher.ops.dead.jobs.bodies import What
from dispatcher.ops.dead.jobs.items import IS_TAKEN, Item
from dispatcher.ops.dead.letters import DeadFilter
from dispatcher.ops.dead.store import IS_READY, where

FATE: Final = f"""
CASE WHEN d.state = 'told' THEN 'told'
     WHEN d.state <> 'dead' THEN 'gone'
     WHEN $1 = 'dead.replay' AND NOT {IS_READY} THEN 'endpoint'
     ELSE 'waiting' END
"""
"""Of a delivery, as the state of its item; `$1` is what is to be done."""

_FATES: Final = f"""
SELECT d.id, d.endpoint_id, CASE WHEN d.state = 'dead' AND EXISTS (
           SELECT FROM job_items JOIN jobs ON jobs.id = job_items.job_id
           WHERE job_items.letter_id = d.id::text AND {IS_TAKEN}
       ) THEN 'taken' ELSE {FATE} END AS fate
FROM deliveries d
LEFT JOIN events ON events.id = d.event_id  -- dropped by the planner of a filter that does not need it
LEFT JOIN endpoints ON endpoints.id = d.endpoint_id
"""  # noqa: S608 - what is inserted is ours


async def items_of_ids(connection: Any, what: What, delivery_ids: Sequence[UUID]) -> list[Item]:
    """Return as items those of the deliveries that the ledger knows, whatever their state."""
    rows = await connection.fetch(f"{_FATES} WHERE d.id = ANY($2::uuid[])", what, list(delivery_ids))
    return [
        Item(
            letter_id=str(row["id"]),
            kind="delivery",
            delivery_id=row["id"],
            endpoint_id=row["endpoint_id"],
            state=row["fate"],
        )
        for row in rows
    ]


async def count_fates(connection: Any, what: What, wanted: DeadFilter) -> list[tuple[UUID, str, int]]:
    """Return (endpoint, fate, how many) of the dead deliveries that match."""
    condition, arguments = where(wanted, first=2)
    rows = await connection.fetch(
        f"SELECT endpoint_id, fate, count(*) FROM ({_FATES} WHERE {condition}) AS matched GROUP BY 1, 2",  # noqa: S608 - what is inserted is ours
        what,
        *arguments,
    )
    return [tuple(row) for row in rows]


async def insert_items(connection: Any, job_id: UUID, what: What, wanted: DeadFilter) -> None:
    """Write the dead deliveries that match as items of a job."""
    condition, arguments = where(wanted, first=3)
    await connection.execute(
        f"""
        INSERT INTO job_items (job_id, letter_id, kind, delivery_id, state)
        SELECT $2::uuid, id::text, 'delivery', id, fate FROM ({_FATES} WHERE {condition}) AS matched
        """,  # noqa: S608 - what is inserted is ours
        what,
        job_id,
        *arguments,
    )


class Moved(msgspec.Struct, frozen=True):
    """A delivery that is owed again, its message not yet published; *attempt* is the next."""

    letter_id: str
    delivery_id: UUID
    attempt: int


_NEXT: Final = """
SELECT letter_id, delivery_id FROM job_items
WHERE job_id = $1 AND state = 'waiting' AND delivery_id IS NOT NULL ORDER BY letter_id LIMIT $2
"""

_LOCKED: Final = f"""
SELECT d.id, d.attempts, {FATE} AS fate
FROM deliveries d LEFT JOIN endpoints ON endpoints.id = d.endpoint_id
WHERE d.id = ANY($2::uuid[]) ORDER BY d.id FOR UPDATE OF d
"""  # noqa: S608 - what is inserted is ours

_REPLAY: Final = """
UPDATE deliveries d
SET state = 'retrying', reason = NULL, due_at = now(), lease_until = NULL, sweeps = 0, settled_at = NULL,
    budget_from = d.attempts, replayed_at = now(), crashes = 0, crash_place = NULL
WHERE d.id = ANY($1::uuid[]) AND d.state = 'dead'
"""

_DISCARD: Final = """
UPDATE deliveries d SET state = 'skipped', reason = 'discarded', settled_at = now(), lease_until = NULL
WHERE d.id = ANY($1::uuid[]) AND d.state = 'dead'
"""


async def move(connection: Any, job_id: UUID, what: What, most: int) -> tuple[int, list[Moved]]:
    """Replay or discard the next of a job's deliveries in the ledger, in the caller's transaction.

    Return how many items that settled or moved, and what has to be published now.
    """
    letters = {row["delivery_id"]: row["letter_id"] for row in await connection.fetch(_NEXT, job_id, most)}
    rows = await connection.fetch(_LOCKED, what, list(letters))
    fates: dict[UUID, Any] = dict.fromkeys(letters, "gone") | {row["id"]: row["fate"] for row in rows}
    chosen = [row for row in rows if row["fate"] == "waiting"]
    is_replay = what == "dead.replay"
    await connection.execute(_REPLAY if is_replay else _DISCARD, [row["id"] for row in chosen])
    outcome = {"waiting": "moved" if is_replay else "done"}
    await job_items.settle(
        connection, job_id, [(letters[each], outcome.get(fate, fate), None) for each, fate in fates.items()]
    )
    moved = [Moved(letters[row["id"]], row["id"], row["attempts"] + 1) for row in chosen] if is_replay else []
    return len(letters), moved


async def unpublished(connection: Any, job_id: UUID) -> list[Moved]:
    """Return what an earlier holder of the job moved and may not have published."""
    rows = await connection.fetch(
        """
        SELECT job_items.letter_id, d.id, d.attempts FROM job_items JOIN deliveries d ON d.id = job_items.delivery_id
        WHERE job_items.job_id = $1 AND job_items.state = 'moved' ORDER BY 1
        """,
        job_id,
    )
    return [Moved(row["letter_id"], row["id"], row["attempts"] + 1) for row in rows]


async def discard_owed(connection: Any, delivery_id: UUID) -> bool:
    """Give up a delivery that is owed and not being attempted; return False if it is neither."""
    return bool(
        await connection.fetchval(
            """
            UPDATE deliveries SET state = 'skipped', reason = 'discarded', settled_at = now(), lease_until = NULL
            WHERE id = $1 AND state IN ('pending', 'retrying') AND (lease_until IS NULL OR lease_until < now())
            RETURNING true
            """,
            delivery_id,
        )
    )


async def under_way(connection: Any, delivery_ids: Sequence[UUID]) -> list[UUID]:
    """Return those of the replayed deliveries that are neither attempted nor put off yet: live traffic waits for them.

    Those that are being attempted for the first time are among them.
    """
    rows = await connection.fetch(
        """
        SELECT id FROM deliveries
        WHERE id = ANY($1::uuid[]) AND state = 'retrying' AND attempts = budget_from
        AND (lease_until > now() OR lease_until IS NULL AND due_at <= now())
        """,
        list(delivery_ids),
    )
    return [row["id"] for row in rows]
