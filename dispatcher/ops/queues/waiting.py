"""What the ledger knows of the deliveries that wait in the queues: how many, when they are due, how old they are."""

from datetime import datetime
from typing import Final

import msgspec

from dispatcher.ledger.pool import Pool
from shared.sql import PARKED_DUE_AT

OWED: Final = f"""
SELECT attempts - budget_from AS attempts, lease_until > now() AS is_leased, due_at > now() AS is_waiting,
       due_at = {PARKED_DUE_AT} AS is_parked, count(*) AS count, min(due_at) AS next_due_at
FROM deliveries WHERE state IN ('pending', 'retrying') GROUP BY 1, 2, 3, 4
"""  # noqa: S608 - the inserted text is a constant
OLDEST_DEAD: Final = "SELECT min(settled_at) FROM deliveries WHERE state = 'dead'"
LATEST_TAKEN: Final = "SELECT received_at FROM events ORDER BY recorded_at DESC LIMIT 1"


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What waits, by the ledger.

    Attributes:
        owed: Deliveries that are pending or retrying.
        overdue: Those of them that are due and that no live process holds.
        overdue_since: When the oldest of these was due.
        retries: When the next retry is due, by attempts made so far (since it was replayed, if it was).
        held_back: When the next delivery is due that was put back before its first attempt, or the first of a replay.
        oldest_dead: When the oldest dead delivery died.
        latest_taken: When the event that was taken into the ledger last was received.
    """

    owed: int = 0
    overdue: int = 0
    overdue_since: datetime | None = None
    retries: dict[int, datetime] = {}
    held_back: datetime | None = None
    oldest_dead: datetime | None = None
    latest_taken: datetime | None = None


async def read_waiting(pool: Pool) -> Waiting:
    """Return what waits now."""
    rows = await pool.fetch(OWED)
    free = [row for row in rows if not (row["is_leased"] or row["is_parked"])]
    overdue = [row for row in free if not row["is_waiting"]]
    waiting = [row for row in free if row["is_waiting"]]
    retries: dict[int, datetime] = {}
    for row in waiting:
        if row["attempts"]:
            known = retries.get(row["attempts"], row["next_due_at"])
            retries[row["attempts"]] = min(known, row["next_due_at"])
    return Waiting(
        owed=sum(row["count"] for row in rows),
        overdue=sum(row["count"] for row in overdue),
        overdue_since=min((row["next_due_at"] for row in overdue), default=None),
        retries=retries,
        held_back=min((row["next_due_at"] for row in waiting if not row["attempts"]), default=None),
        oldest_dead=await pool.fetchval(OLDEST_DEAD),
        latest_taken=await pool.fetchval(LATEST_TAKEN),
    )
