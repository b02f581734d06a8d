"""Jobs in the ledger: which letters a replay, discard or recovery takes, what became of each, and which process has it.

A job is held by lease, like a delivery: the process that works on it checks with every step that it still holds it. Its
items are fixed when it begins, so that its counts add up whichever process finishes it.
"""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.ops.dead.errors import UnknownJob
from dispatcher.ops.dead.jobs.bodies import Job, JobFailure, JobState, Selection, What
from dispatcher.ops.dead.jobs.items import PRUNED
from shared.errors import FaxhookError
from shared.ids import uuid7

LEASE_SECONDS: Final = 10.0
MOST_CRASHES: Final = 3
"""Of our own code in one job; then it is given up."""

MOST_FAILURES_SHOWN: Final = 20


class JobLost(FaxhookError):
    """Another process has the job now, or it was stopped."""

    code = "job_lost"


async def insert(connection: Any, what: What, who: str, reason: str | None, selection: Selection, holder: UUID) -> UUID:
    """Write a job, held by *holder* from now on; return its id."""
    job_id = uuid7()
    await connection.execute(
        """
        INSERT INTO jobs (id, what, who, reason, selection, holder, lease_until)
        VALUES ($1, $2, $3, $4, $5::jsonb, $6, now() + make_interval(secs => $7))
        """,
        job_id,
        what,
        who,
        reason,
        _encoded(selection),
        holder,
        LEASE_SECONDS,
    )
    return job_id


async def abandoned(connection: Any, what: What, selection: Selection, reason: str | None) -> UUID | None:
    """Return an unfinished job of the same request whose lease has expired, or None."""
    found: UUID | None = await connection.fetchval(
        """
        SELECT id FROM jobs
        WHERE finished_at IS NULL AND lease_until < now() AND what = $1 AND selection = $2::jsonb
        AND reason IS NOT DISTINCT FROM $3
        ORDER BY created_at LIMIT 1
        """,
        what,
        _encoded(selection),
        reason,
    )
    return found


async def claim(connection: Any, holder: UUID, job_id: UUID | None = None) -> UUID | None:
    """Take an unfinished job (this one, or any) that no live process holds, or *holder* does, or None."""
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
    """Renew the lease.

    Raises:
        JobLost: *holder* does not have it any more.
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
        raise JobLost(f"another process has job {job_id} now, or it was stopped")


async def finish(connection: Any, job_id: UUID, holder: UUID) -> bool:
    """Write that the job is finished; return False if *holder* does not have it any more."""
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
    """End a job, whichever process holds it; return False if it had ended."""
    return bool(
        await connection.fetchval(
            "UPDATE jobs SET finished_at = now(), holder = NULL WHERE id = $1 AND finished_at IS NULL RETURNING true",
            job_id,
        )
    )


async def crashed(connection: Any, job_id: UUID, holder: UUID, place: str) -> bool:
    """Record type and place of a failure of our own code; return True if it was the last and the job is given up."""
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


async def get(connection: Any, job_id: UUID) -> Job:
    """Return a job as it stands.

    Raises:
        UnknownJob: There is no such job.
    """
    row = await connection.fetchrow("SELECT *, now() AS now FROM jobs WHERE id = $1", job_id)
    if row is None:
        raise UnknownJob("job", job_id)
    return await _job(connection, row)


async def latest(connection: Any, most: int) -> list[Job]:
    """Return the latest jobs, newest first."""
    rows = await connection.fetch("SELECT *, now() AS now FROM jobs ORDER BY created_at DESC LIMIT $1", most)
    return [await _job(connection, row) for row in rows]


async def _job(connection: Any, row: Any) -> Job:
    counts = {
        each["state"]: each["count"]
        for each in await connection.fetch(
            """
            SELECT CASE WHEN (state, reason) = ($2, $3) THEN 'pruned' ELSE state END AS state, count(*) AS count
            FROM job_items WHERE job_id = $1 GROUP BY 1
            """,
            row["id"],
            *PRUNED,
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
        skipped_pruned=counts.get("pruned", 0),
        skipped_owed=counts.get("owed", 0),
        skipped_overtaken=counts.get("overtaken", 0),
        skipped_unsaid=counts.get("unsaid", 0),
        skipped_unremoved=counts.get("unremoved", 0),
        skipped_unfit=counts.get("unfit", 0),
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


def _encoded(selection: Selection) -> str:
    return msgspec.json.encode(selection, order="sorted").decode()
