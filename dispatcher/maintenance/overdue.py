"""Overdue deliveries, put back into `work.deliveries`: for the sweeper and for `faxhook reconcile`.

| step | a crash after it |
|---|---|
| read: its lease ran out, or it is due and its message does not come | changes nothing |
| published, confirmed | repeats the message some time, which the claim drops |
| moved on: without lease, to be looked at again later | leaves a delivery like any other |

No transaction is open and no row locked while a message is published: a broker that does not answer blocks no other
process. A delivery that is claimed between two steps has another lease by then, and is not moved on.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.messages import Publishing, publish_delivery, publish_in_turn
from shared.broker import FAX_WORK, WORK_KEY


class Overdue(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is overdue, as it was read.

    Attributes:
        attempt: The one to make.
        sweeps: How often it was put back without an attempt since.
    """

    delivery_id: UUID
    event_id: str
    endpoint_id: UUID
    attempt: int
    sweeps: int
    due_at: datetime
    lease_until: datetime | None


OVERDUE: Final = """
SELECT id, event_id, endpoint_id, attempts, sweeps, due_at, lease_until FROM deliveries
WHERE state IN ('pending', 'retrying')
  AND greatest(due_at, lease_until) < coalesce($1, now())
  AND (lease_until IS NOT NULL OR due_at < coalesce($1, now()) - make_interval(secs => $2))
ORDER BY greatest(due_at, lease_until)
LIMIT $3
"""

NEVER_SECONDS: Final = 1e9


async def find(
    connection: Any, grace_seconds: float | None, most: int, before: datetime | None = None
) -> list[Overdue]:
    """Return what should be put back, the oldest first, at most *most*.

    *grace_seconds* is how long what has no lease is left to its message; None: for ever, only leases count. *before*
    is the moment of the ledger's clock to judge by, now if it is None.
    """
    grace = NEVER_SECONDS if grace_seconds is None else grace_seconds
    return [
        Overdue(
            delivery_id=row["id"],
            event_id=row["event_id"],
            endpoint_id=row["endpoint_id"],
            attempt=row["attempts"] + 1,
            sweeps=row["sweeps"],
            due_at=row["due_at"],
            lease_until=row["lease_until"],
        )
        for row in await connection.fetch(OVERDUE, before, grace, most)
    ]


_AS_READ: Final = """
WITH batch AS (
    SELECT d.id, read.sweeps, read.wait_seconds
    FROM deliveries d
    JOIN unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::integer[], $5::float8[])
        AS read (id, due_at, lease_until, sweeps, wait_seconds) ON read.id = d.id
    WHERE d.state IN ('pending', 'retrying')
      AND d.due_at = read.due_at AND d.lease_until IS NOT DISTINCT FROM read.lease_until
    ORDER BY d.id
    FOR UPDATE OF d
)
"""
"""Those that have not changed since they were read, locked in the order of their ids."""

MOVE_ON: Final = f"""
{_AS_READ}
UPDATE deliveries d
SET sweeps = batch.sweeps, lease_until = NULL, due_at = now() + make_interval(secs => batch.wait_seconds)
FROM batch WHERE d.id = batch.id
"""  # noqa: S608 - the inserted text is the constant above

GIVE_UP: Final = f"""
{_AS_READ}
UPDATE deliveries d
SET state = 'dead', reason = 'stuck', lease_until = NULL, settled_at = now()
FROM batch WHERE d.id = batch.id
"""  # noqa: S608 - the inserted text is the constant above


class OverdueUpdate(msgspec.Struct, frozen=True):
    """A delivery to put back, how often that happened then, and when to look again, in seconds."""

    overdue: Overdue
    sweeps: int
    look_seconds: float


async def put_back(connection: Any, publisher: Publishing, batch: Sequence[OverdueUpdate]) -> int:
    """Publish a message for each of *batch* and move it on; return how many.

    Raises:
        NotKept: The broker did not take them all. Those that it took are moved on.
    """
    answers = await publish_in_turn(
        publish_delivery(publisher, FAX_WORK, WORK_KEY, each.overdue.delivery_id, each.overdue.attempt)
        for each in batch
    )
    kept = [each for each, answer in zip(batch, answers, strict=True) if answer is None]
    if kept:
        await connection.execute(
            MOVE_ON,
            *_as_read([each.overdue for each in kept]),
            [each.sweeps for each in kept],
            [each.look_seconds for each in kept],
        )
    for answer in answers:
        if answer is not None:
            raise answer
    return len(kept)


async def give_up(connection: Any, stuck: Sequence[Overdue]) -> None:
    """Give up on deliveries whose dead letters are published."""
    await connection.execute(GIVE_UP, *_as_read(stuck), [each.sweeps for each in stuck], [0.0] * len(stuck))


def _as_read(batch: Sequence[Overdue]) -> tuple[list[UUID], list[datetime], list[datetime | None]]:
    return (
        [each.delivery_id for each in batch],
        [each.due_at for each in batch],
        [each.lease_until for each in batch],
    )
