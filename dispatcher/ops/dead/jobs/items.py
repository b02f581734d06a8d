"""The items of jobs in the ledger: a letter each, and what became of it. One function each."""

from collections.abc import Sequence
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from dispatcher.ops.dead.jobs.bodies import What
from dispatcher.ops.dead.jobs.fates import DISCARD, FATE, REPLAY
from dispatcher.ops.dead.letters import Kind

ItemState = Literal["waiting", "moved", "done", "told", "gone", "taken", "endpoint", "failed"]
"""`moved`: replayed in the ledger, its message not yet known to be published."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A letter that a job is about. `delivery_id` if it is the ledger's."""

    letter_id: str
    kind: Kind
    delivery_id: UUID | None
    state: ItemState


class Moved(msgspec.Struct, frozen=True):
    """A delivery whose ledger row is on its way again; *attempt* is the next."""

    letter_id: str
    delivery_id: UUID
    attempt: int


async def insert_items(connection: Any, job_id: UUID, items: Sequence[Item]) -> None:
    """Write items of a job; one that it has already stays as it is."""
    await connection.execute(
        """
        INSERT INTO job_items (job_id, letter_id, kind, delivery_id, state)
        SELECT $1::uuid, * FROM unnest($2::text[], $3::text[], $4::uuid[], $5::text[])
        ON CONFLICT ON CONSTRAINT job_items_key DO NOTHING
        """,
        job_id,
        [item.letter_id for item in items],
        [item.kind for item in items],
        [item.delivery_id for item in items],
        [item.state for item in items],
    )


async def known_letters(connection: Any, letter_ids: Sequence[str]) -> dict[str, Kind]:
    """Return those of the letters that some job was about: they did exist."""
    rows = await connection.fetch(
        "SELECT DISTINCT letter_id, kind FROM job_items WHERE letter_id = ANY($1::text[])", list(letter_ids)
    )
    return {row["letter_id"]: row["kind"] for row in rows}


async def taken(connection: Any, letter_ids: Sequence[str]) -> set[str]:
    """Return those of the letters that a live job is at."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT letter_id FROM job_items JOIN jobs ON jobs.id = job_items.job_id
        WHERE letter_id = ANY($1::text[]) AND state IN ('waiting', 'moved') AND finished_at IS NULL
        AND lease_until > now() - interval '5 s'
        """,
        list(letter_ids),
    )
    return {row["letter_id"] for row in rows}


_LOCKED: Final = f"""
SELECT d.id, d.attempts, {FATE} AS fate
FROM deliveries d LEFT JOIN endpoints ON endpoints.id = d.endpoint_id
WHERE d.id = ANY($2::uuid[]) ORDER BY d.id FOR UPDATE OF d
"""  # noqa: S608 - what is inserted is ours


async def move(connection: Any, job_id: UUID, what: What, most: int) -> tuple[int, list[Moved]]:
    """Do the next of a job's deliveries in the ledger, in the caller's transaction.

    Return how many items that settled or moved, and what has to be published now.
    """
    waiting = {
        row["delivery_id"]: row["letter_id"]
        for row in await connection.fetch(
            """
            SELECT letter_id, delivery_id FROM job_items
            WHERE job_id = $1 AND state = 'waiting' AND delivery_id IS NOT NULL ORDER BY letter_id LIMIT $2
            """,
            job_id,
            most,
        )
    }
    rows = await connection.fetch(_LOCKED, what, list(waiting))
    fates: dict[UUID, str] = dict.fromkeys(waiting, "gone") | {row["id"]: row["fate"] for row in rows}
    chosen = [row for row in rows if row["fate"] == "waiting"]
    is_replay = what == "dead.replay"
    await connection.execute(REPLAY if is_replay else DISCARD, [row["id"] for row in chosen])
    outcome = {"waiting": "moved" if is_replay else "done"}
    await settle(connection, job_id, [(waiting[each], outcome.get(fate, fate), None) for each, fate in fates.items()])
    moved = [Moved(waiting[row["id"]], row["id"], row["attempts"] + 1) for row in chosen] if is_replay else []
    return len(waiting), moved


async def unpublished(connection: Any, job_id: UUID) -> list[Moved]:
    """Return what somebody moved and may not have published."""
    rows = await connection.fetch(
        """
        SELECT job_items.letter_id, d.id, d.attempts FROM job_items JOIN deliveries d ON d.id = job_items.delivery_id
        WHERE job_items.job_id = $1 AND job_items.state = 'moved' ORDER BY 1
        """,
        job_id,
    )
    return [Moved(row["letter_id"], row["id"], row["attempts"] + 1) for row in rows]


async def settle(connection: Any, job_id: UUID, items: Sequence[tuple[str, str, str | None]]) -> None:
    """Write (letter, state, reason) of items."""
    await connection.execute(
        """
        UPDATE job_items SET state = batch.state, reason = batch.reason
        FROM unnest($2::text[], $3::text[], $4::text[]) AS batch (letter_id, state, reason)
        WHERE job_items.job_id = $1 AND job_items.letter_id = batch.letter_id
        """,
        job_id,
        [item[0] for item in items],
        [item[1] for item in items],
        [item[2] for item in items],
    )


async def of_queues(connection: Any, job_id: UUID) -> list[Item]:
    """Return the items whose only place is a queue, settled ones included."""
    rows = await connection.fetch(
        "SELECT letter_id, kind, state FROM job_items WHERE job_id = $1 AND delivery_id IS NULL", job_id
    )
    return [Item(letter_id=row["letter_id"], kind=row["kind"], delivery_id=None, state=row["state"]) for row in rows]


async def has_deliveries(connection: Any, job_id: UUID) -> bool:
    """Is any item a delivery of the ledger?"""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM job_items WHERE job_id = $1 AND delivery_id IS NOT NULL)", job_id
        )
    )
