"""The items of jobs in the ledger: a letter each, and what became of it. One function each."""

from collections.abc import Sequence
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from dispatcher.ops.dead.letters import Kind

ItemState = Literal[
    "waiting",
    "moved",
    "done",
    "told",
    "gone",
    "taken",
    "endpoint",
    "failed",
    "owed",
    "overtaken",
    "unsaid",
    "unremoved",
    "unfit",
]
"""`moved`: replayed in the ledger, its message not yet known to be published."""

Fate = ItemState | Literal["known", "pruned"]
"""`known`: the successor has a delivery of the event; the letter waits to be settled."""

PRUNED: Final[tuple[ItemState, str]] = ("gone", "pruned")
"""State and reason of an item whose event's content was pruned."""

BEGINNINGS: Final[dict[Fate, tuple[ItemState, str | None]]] = {"pruned": PRUNED, "known": ("waiting", None)}
"""State and reason with which an item of a fate begins, where the state is not called like the fate."""

IS_TAKEN: Final = """
job_items.state IN ('waiting', 'moved')
AND jobs.finished_at IS NULL AND jobs.lease_until > now() - interval '5 s'
"""
"""True for an item of a job that is alive or has just begun."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A letter of a job. `delivery_id` is None if the letter is in a queue only; `endpoint_id` is not stored."""

    letter_id: str
    kind: Kind
    delivery_id: UUID | None = None
    endpoint_id: UUID | None = None
    state: Fate


class Moved(msgspec.Struct, frozen=True):
    """A delivery that is owed again, its message not yet published; *attempt* is the next."""

    letter_id: str
    delivery_id: UUID
    attempt: int


async def insert(connection: Any, job_id: UUID, items: Sequence[Item]) -> None:
    """Write items of a job; one that it has already stays as it is."""
    begun = [BEGINNINGS.get(item.state, (item.state, None)) for item in items]
    await connection.execute(
        """
        INSERT INTO job_items (job_id, letter_id, kind, delivery_id, state, reason)
        SELECT $1::uuid, * FROM unnest($2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[])
        ON CONFLICT ON CONSTRAINT job_items_key DO NOTHING
        """,
        job_id,
        [item.letter_id for item in items],
        [item.kind for item in items],
        [item.delivery_id for item in items],
        [state for state, _ in begun],
        [reason for _, reason in begun],
    )


async def known_letters(connection: Any, letter_ids: Sequence[str]) -> dict[str, Kind]:
    """Return those of the letters that were in a job: they did exist."""
    rows = await connection.fetch(
        "SELECT DISTINCT letter_id, kind FROM job_items WHERE letter_id = ANY($1::text[])", list(letter_ids)
    )
    return {row["letter_id"]: row["kind"] for row in rows}


async def taken(connection: Any, letter_ids: Sequence[str]) -> set[str]:
    """Return those of the letters that a live job is to replay or discard."""
    rows = await connection.fetch(
        f"""
        SELECT DISTINCT letter_id FROM job_items JOIN jobs ON jobs.id = job_items.job_id
        WHERE letter_id = ANY($1::text[]) AND {IS_TAKEN}
        """,  # noqa: S608 - the inserted text is the constant above
        list(letter_ids),
    )
    return {row["letter_id"] for row in rows}


async def settle(connection: Any, job_id: UUID, items: Sequence[tuple[str, ItemState, str | None]]) -> None:
    """Write (letter, state, reason) of items."""
    await connection.execute(
        """
        UPDATE job_items SET state = batch.state, reason = batch.reason
        FROM unnest($2::text[], $3::text[], $4::text[]) AS batch (letter_id, state, reason)
        WHERE job_items.job_id = $1 AND job_items.letter_id = batch.letter_id
        """,
        job_id,
        *([item[column] for item in items] for column in range(3)),
    )


async def decide(connection: Any, job_id: UUID, deliveries: Sequence[Any]) -> None:
    """Write who decided on *deliveries*: rows with `id`, and `state` and `attempts` as they were before."""
    await connection.execute(
        """
        INSERT INTO decisions (delivery_id, job_id, what, who, reason, was, attempts)
        SELECT batch.id, jobs.id, jobs.what, jobs.who, jobs.reason, batch.was, batch.attempts
        FROM jobs, unnest($2::uuid[], $3::text[], $4::integer[]) AS batch (id, was, attempts)
        WHERE jobs.id = $1 ORDER BY batch.id
        ON CONFLICT ON CONSTRAINT decisions_key DO NOTHING
        """,
        job_id,
        *([row[column] for row in deliveries] for column in ("id", "state", "attempts")),
    )


async def states_in_queue(connection: Any, job_id: UUID, kind: Kind) -> dict[str, ItemState]:
    """Return the state of each letter of *kind* that is in a queue only, settled ones included."""
    rows = await connection.fetch(
        "SELECT letter_id, state FROM job_items WHERE job_id = $1 AND delivery_id IS NULL AND kind = $2", job_id, kind
    )
    return {row["letter_id"]: row["state"] for row in rows}


async def has_deliveries(connection: Any, job_id: UUID) -> bool:
    """Return True if an item is a delivery of the ledger."""
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM job_items WHERE job_id = $1 AND delivery_id IS NOT NULL)", job_id
        )
    )
