"""Jobs in the ledger: which letters a replay or discard is about, what became of each, and who is at it.

A job is held by lease, like a delivery: whoever works on it proves with every step that it is still theirs. Its items
are fixed when it begins, so that its counts add up whoever finishes it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from dispatcher.ops.dead.deliveries import DISCARD, FATE, REPLAY
from dispatcher.ops.dead.letters import Job, JobFailure, JobState, Kind, Selection, UnknownJob, What
from shared.errors import FaxhookError
from shared.ids import uuid7

LEASE_SECONDS: Final = 10.0
MOST_CRASHES: Final = 3
"""Tries of a job that our own code fails at; then it is given up."""

BEGIN_LOCK: Final = 0xFA_0020
MOST_FAILURES_SHOWN: Final = 20

ItemState = Literal["waiting", "moved", "done", "told", "gone", "taken", "endpoint", "failed"]
"""`moved`: replayed in the ledger, its message not yet known to be published."""


class Lost(FaxhookError):
    """The job is somebody else's now, or was stopped."""

    code = "job_lost"


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


INSERT: Final = """
INSERT INTO jobs (id, what, who, reason, selection, holder, lease_until)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, now() + make_interval(secs => $7))
"""


async def insert(connection: Any, what: What, who: str, reason: str | None, selection: Selection, holder: UUID) -> UUID:
    """Write a job, held by *holder* from now on; return its id."""
    job_id = uuid7()
    encoded = msgspec.json.encode(selection, order="sorted").decode()
    await connection.execute(INSERT, job_id, what, who, reason, encoded, holder, LEASE_SECONDS)
    return job_id


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


async def abandoned(connection: Any, what: What, selection: Selection, reason: str | None) -> UUID | None:
    """Return a job that somebody began with the same words and left; None if there is none."""
    found: UUID | None = await connection.fetchval(
        """
        SELECT id FROM jobs
        WHERE finished_at IS NULL AND lease_until < now() AND what = $1 AND selection = $2::jsonb
        AND reason IS NOT DISTINCT FROM $3
        ORDER BY created_at LIMIT 1
        """,
        what,
        msgspec.json.encode(selection, order="sorted").decode(),
        reason,
    )
    return found


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


async def claim(connection: Any, holder: UUID, job_id: UUID | None = None) -> UUID | None:
    """Take an unfinished job that nobody holds (this one, or any) or that is *holder*'s already; None if none is."""
    found: UUID | None = await connection.fetchval(
        """
        UPDATE jobs SET holder = $1, lease_until = now() + make_interval(secs => $2)
        WHERE id = (SELECT id FROM jobs
                    WHERE finished_at IS NULL AND ($3::uuid IS NULL OR id = $3)
                    AND (lease_until < now() OR $3 IS NOT NULL AND holder = $1)
                    ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id
        """,
        holder,
        LEASE_SECONDS,
        job_id,
    )
    return found


async def renew(connection: Any, job_id: UUID, holder: UUID) -> None:
    """Prove that the job is ours, and keep it.

    Raises:
        Lost: It is not.
    """
    ours = await connection.fetchval(
        """
        UPDATE jobs SET lease_until = now() + make_interval(secs => $3)
        WHERE id = $1 AND holder = $2 AND finished_at IS NULL RETURNING true
        """,
        job_id,
        holder,
        LEASE_SECONDS,
    )
    if not ours:
        raise Lost(f"job {job_id} is another's now, or was stopped")


async def finish(connection: Any, job_id: UUID, holder: UUID) -> bool:
    """Write that it is done, or stopped if items are left; False if it was not ours."""
    return bool(
        await connection.fetchval(
            """
            UPDATE jobs SET finished_at = now(), holder = NULL
            WHERE id = $1 AND holder = $2 AND finished_at IS NULL RETURNING true
            """,
            job_id,
            holder,
        )
    )


async def stop(connection: Any, job_id: UUID) -> bool:
    """End a job, whoever holds it; False if it had ended."""
    return bool(
        await connection.fetchval(
            "UPDATE jobs SET finished_at = now(), holder = NULL WHERE id = $1 AND finished_at IS NULL RETURNING true",
            job_id,
        )
    )


async def crashed(connection: Any, job_id: UUID, holder: UUID, place: str) -> bool:
    """Write down type and place of our own code's failure; at the last try give the job up, and return True."""
    return bool(
        await connection.fetchval(
            """
            UPDATE jobs SET crashes = crashes + 1, crash = $3,
                finished_at = CASE WHEN crashes + 1 >= $4 THEN now() END,
                holder = CASE WHEN crashes + 1 < $4 THEN holder END
            WHERE id = $1 AND holder = $2 AND finished_at IS NULL RETURNING finished_at IS NOT NULL
            """,
            job_id,
            holder,
            place,
            MOST_CRASHES,
        )
    )


_LOCKED: Final = f"""
SELECT d.id, d.attempts, {FATE} AS fate
FROM deliveries d LEFT JOIN endpoints ON endpoints.id = d.endpoint_id
WHERE d.id = ANY($2::uuid[]) ORDER BY d.id FOR UPDATE OF d
"""  # noqa: S608


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


async def get(connection: Any, job_id: UUID) -> Job:
    """Return a job as it stands.

    Raises:
        UnknownJob: There is none.
    """
    row = await connection.fetchrow("SELECT *, now() AS now FROM jobs WHERE id = $1", job_id)
    if row is None:
        raise UnknownJob(f"there is no job {job_id}")
    return await _job(connection, row)


async def latest(connection: Any, most: int) -> list[Job]:
    """Return the latest jobs, newest first."""
    rows = await connection.fetch("SELECT *, now() AS now FROM jobs ORDER BY created_at DESC LIMIT $1", most)
    return [await _job(connection, row) for row in rows]


async def _job(connection: Any, row: Any) -> Job:
    counts = {
        each["state"]: each["count"]
        for each in await connection.fetch(
            "SELECT state, count(*) AS count FROM job_items WHERE job_id = $1 GROUP BY 1", row["id"]
        )
    }
    failures = await connection.fetch(
        "SELECT letter_id, reason FROM job_items WHERE job_id = $1 AND state = 'failed' ORDER BY 1 LIMIT $2",
        row["id"],
        MOST_FAILURES_SHOWN,
    )
    left = counts.get("waiting", 0) + counts.get("moved", 0)
    return Job(
        id=row["id"],
        what=row["what"],
        state=_state(row, left),
        who=row["who"],
        selection=msgspec.json.decode(row["selection"], type=Selection),
        reason=row["reason"],
        total=sum(counts.values()),
        left=left,
        done=counts.get("done", 0),
        skipped_told=counts.get("told", 0),
        skipped_gone=counts.get("gone", 0),
        skipped_taken=counts.get("taken", 0),
        skipped_endpoint=counts.get("endpoint", 0),
        failed=counts.get("failed", 0),
        crash=row["crash"],
        failures=[JobFailure(id=each["letter_id"], reason=each["reason"] or "") for each in failures],
        created_at=row["created_at"].astimezone(UTC),
        finished_at=row["finished_at"],
        seconds=_seconds(row["created_at"], row["finished_at"] or row["now"]),
    )


def _state(row: Any, left: int) -> JobState:
    if row["finished_at"] is not None:
        if row["crashes"] >= MOST_CRASHES:
            return "failed"
        return "stopped" if left else "done"
    return "running" if row["lease_until"] > row["now"] else "waiting"


def _seconds(begun: datetime, ended: datetime) -> float:
    return round(max(0.0, (ended - begun).total_seconds()), 3)
