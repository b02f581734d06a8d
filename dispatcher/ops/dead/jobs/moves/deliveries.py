"""Deliveries of the ledger, to be replayed, discarded or recovered: what becomes of each, and the change itself.

`FATE` decides it in one place, for a preview and for the change.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.ops.dead.jobs import items as job_items
from dispatcher.ops.dead.jobs.bodies import Selection, What
from dispatcher.ops.dead.jobs.items import IS_TAKEN, PRUNED, Item
from dispatcher.ops.dead.store import IS_READY, where
from dispatcher.policy.routing import ENDPOINT_DISABLED

_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Bounds of what the ledger is asked for: at the ends of the calendar a time cannot be converted."""

FATE: Final = f"""
CASE WHEN d.state = 'told' THEN 'told'
     WHEN $1 = 'endpoint.recover' THEN
         CASE WHEN (d.state, d.reason) IS DISTINCT FROM ('skipped', '{ENDPOINT_DISABLED}') THEN 'gone'
              WHEN events.body IS NULL THEN 'pruned'
              WHEN NOT {IS_READY} THEN 'endpoint'
              ELSE 'waiting' END
     WHEN d.state <> 'dead' THEN 'gone'
     WHEN $1 = 'dead.replay' AND NOT {IS_READY} THEN 'endpoint'
     ELSE 'waiting' END
"""
"""Of a delivery, as the state of its item (see `items.PRUNED`); `$1` is what is to be done."""

_FATES: Final = f"""
SELECT d.id, d.endpoint_id, CASE WHEN d.state IN ('dead', 'skipped') AND EXISTS (
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


async def count_fates(connection: Any, what: What, selection: Selection) -> list[tuple[UUID, str, int]]:
    """Return (endpoint, fate, how many) of the deliveries that match the filter or were skipped; not those of ids."""
    condition, arguments = _condition(selection, first=2)
    rows = await connection.fetch(
        f"SELECT endpoint_id, fate, count(*) FROM ({_FATES} WHERE {condition}) AS matched GROUP BY 1, 2",  # noqa: S608 - what is inserted is ours
        what,
        *arguments,
    )
    return [tuple(row) for row in rows]


async def insert_items(connection: Any, job_id: UUID, what: What, selection: Selection) -> None:
    """Write the deliveries that match the filter or were skipped as items of a job."""
    condition, arguments = _condition(selection, first=3)
    await connection.execute(
        f"""
        INSERT INTO job_items (job_id, letter_id, kind, delivery_id, state, reason)
        SELECT $2::uuid, id::text, 'delivery', id,
               CASE WHEN fate = 'pruned' THEN 'gone' ELSE fate END, CASE WHEN fate = 'pruned' THEN fate END
        FROM ({_FATES} WHERE {condition}) AS matched
        """,  # noqa: S608 - what is inserted is ours
        what,
        job_id,
        *arguments,
    )


def _condition(selection: Selection, *, first: int) -> tuple[str, list[Any]]:
    """Return as a condition on deliveries `d` and their `events` what is not selected by id, and its arguments."""
    if selection.skipped is not None:
        wanted = selection.skipped
        condition = (
            f"d.endpoint_id = ${first}::uuid AND d.state = 'skipped' AND d.reason = '{ENDPOINT_DISABLED}' "
            f"AND d.created_at >= ${first + 1}::timestamptz AND d.created_at < ${first + 2}::timestamptz"
        )
        return condition, [wanted.endpoint_id, max(wanted.since, _EARLIEST), min(wanted.until or _LATEST, _LATEST)]
    return ("false", []) if selection.filter is None else where(selection.filter, first=first)


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
FROM deliveries d LEFT JOIN endpoints ON endpoints.id = d.endpoint_id LEFT JOIN events ON events.id = d.event_id
WHERE d.id = ANY($2::uuid[]) ORDER BY d.id FOR UPDATE OF d
"""  # noqa: S608 - what is inserted is ours

_REPLAY: Final = """
UPDATE deliveries d
SET state = 'retrying', reason = NULL, due_at = now(), lease_until = NULL, sweeps = 0, settled_at = NULL,
    budget_from = d.attempts, replayed_at = now(), crashes = 0, crash_place = NULL
WHERE d.id = ANY($1::uuid[]) AND d.state = 'dead'
"""

_LOCK_EVENTS: Final = """
SELECT FROM events WHERE id IN (SELECT event_id FROM deliveries WHERE id = ANY($1::uuid[])) ORDER BY id FOR KEY SHARE
"""
"""So that nothing of them is pruned between the look at them and the commit."""

_RECOVER: Final = f"""
UPDATE deliveries d
SET state = 'pending', reason = NULL, due_at = now(), lease_until = NULL, sweeps = 0, settled_at = NULL,
    replayed_at = now(), crashes = 0, crash_place = NULL
WHERE d.id = ANY($1::uuid[]) AND d.state = 'skipped' AND d.reason = '{ENDPOINT_DISABLED}'
"""  # noqa: S608 - the inserted text is a constant

_DISCARD: Final = """
UPDATE deliveries d SET state = 'skipped', reason = 'discarded', settled_at = now(), lease_until = NULL
WHERE d.id = ANY($1::uuid[]) AND d.state = 'dead'
"""


_CHANGES: Final[dict[What, str]] = {
    "dead.replay": _REPLAY,
    "dead.discard": _DISCARD,
    "endpoint.recover": _RECOVER,
}


async def move(connection: Any, job_id: UUID, what: What, most: int) -> tuple[int, list[Moved]]:
    """Replay, discard or recover the next of a job's deliveries in the ledger, in the caller's transaction.

    Return how many items that settled or moved, and what has to be published now.
    """
    letters = {row["delivery_id"]: row["letter_id"] for row in await connection.fetch(_NEXT, job_id, most)}
    if what == "endpoint.recover":
        await connection.execute(_LOCK_EVENTS, list(letters))
    rows = await connection.fetch(_LOCKED, what, list(letters))
    fates: dict[UUID, Any] = dict.fromkeys(letters, "gone") | {row["id"]: row["fate"] for row in rows}
    chosen = [row for row in rows if row["fate"] == "waiting"]
    is_owed_again = what != "dead.discard"
    await connection.execute(_CHANGES[what], [row["id"] for row in chosen])
    outcome = {"waiting": ("moved" if is_owed_again else "done", None), "pruned": PRUNED}
    await job_items.settle(
        connection, job_id, [(letters[each], *outcome.get(fate, (fate, None))) for each, fate in fates.items()]
    )
    moved = [Moved(letters[row["id"]], row["id"], row["attempts"] + 1) for row in chosen] if is_owed_again else []
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
    """Return those of the deliveries that are neither attempted nor put off yet: live traffic waits for them.

    Those that are being attempted for the first time are among them.
    """
    rows = await connection.fetch(
        """
        SELECT id FROM deliveries
        WHERE id = ANY($1::uuid[]) AND state IN ('pending', 'retrying') AND attempts = budget_from
        AND (lease_until > now() OR lease_until IS NULL AND due_at <= now())
        """,
        list(delivery_ids),
    )
    return [row["id"] for row in rows]
