"""Deliveries in the ledger: claimed, recorded, released, deferred; one function for each statement.

All writes come in batches (`unnest`) with sorted keys, because two batches with the same keys in opposite order
deadlock. Nothing is decided here: what is owed, overtaken, told or dead is decided by `policy`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from dispatcher.ledger.endpoint_rows import COLUMNS
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import Pool
from dispatcher.policy.delivery import Deferred, Lease, LeasedDelivery, Refused, UnreadableDelivery
from shared.domain import decode_event
from shared.errors import Misconfigured
from shared.seal import Damaged
from shared.sql import PARKED_DUE_AT


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt, and of its delivery.

    Attributes:
        state: Of the delivery afterwards.
        wait_seconds: Until the next attempt is due, for `retrying`.
        answer: The first 2 KiB of what the application answered.
        sent: What `channels.sent` records of the request.
    """

    delivery_id: UUID
    attempt: int
    state: Literal["told", "retrying", "dead", "skipped"]
    reason: str | None = None
    wait_seconds: float = 0.0
    started_at: datetime | None = None
    seconds: float = 0.0
    outcome: str = ""
    url: str | None = None
    http_status: int | None = None
    error: str | None = None
    answer: bytes = b""
    sent: str | None = None


_MAY_BE_CLAIMED: Final = """d.state IN ('pending', 'retrying')
      AND d.attempts = message.attempt - 1
      AND (d.lease_until IS NULL OR d.lease_until < now())"""
_OWED_SINCE: Final = "greatest(d.created_at, d.replayed_at, d.resumed_at)"

CLAIM: Final = f"""
WITH wanted AS (
    SELECT d.id
    FROM deliveries d
    JOIN unnest($1::uuid[], $2::integer[]) AS message (id, attempt) ON message.id = d.id
    WHERE {_MAY_BE_CLAIMED}
    ORDER BY d.id
    FOR UPDATE OF d
)
UPDATE deliveries d
SET lease_until = now() + make_interval(secs => 2 * endpoints.timeout_seconds + $3),
    due_at      = CASE WHEN d.due_at = {PARKED_DUE_AT} THEN now() ELSE d.due_at END,
    resumed_at  = CASE WHEN d.due_at = {PARKED_DUE_AT} THEN now() ELSE d.resumed_at END
FROM wanted, endpoints, events, faxes
WHERE d.id = wanted.id
  AND endpoints.id = d.endpoint_id
  AND events.id = d.event_id AND events.body IS NOT NULL
  AND faxes.provider = events.provider AND faxes.fax_id = events.fax_id
RETURNING d.id, d.event_id, d.attempts, d.budget_from, coalesce(d.replayed_at, d.resumed_at) IS NOT NULL AS has_waited,
          {_OWED_SINCE} AS owed_since, d.lease_until, d.tells_overtaken,
          extract(epoch FROM now() - d.due_at)::float8 AS overdue_seconds, events.body, events.trace,
          faxes.rank, {COLUMNS}
"""  # noqa: S608 - the inserted text is a constant


async def claim(
    pool: Pool | Any, store: EndpointStore, wanted: Sequence[tuple[UUID, int]], margin_seconds: float
) -> list[LeasedDelivery | UnreadableDelivery]:
    """Lease the deliveries of *wanted* (id, attempt) that may be attempted now; the others are stale or taken."""
    pairs = sorted(set(wanted))
    rows = await pool.fetch(CLAIM, [pair[0] for pair in pairs], [pair[1] for pair in pairs], margin_seconds)
    return [_claimed(row, store) for row in rows]


def _claimed(row: Any, store: EndpointStore) -> LeasedDelivery | UnreadableDelivery:
    lease = {
        "delivery_id": row["id"],
        "event_id": row["event_id"],
        "endpoint_id": row["endpoint_id"],
        "attempt": row["attempts"] + 1,
        "lease_until": row["lease_until"],
    }
    try:
        return LeasedDelivery(
            **lease,
            event=decode_event(row["body"]),
            endpoint=store.from_row(row),
            owed_since=row["owed_since"],
            has_waited=row["has_waited"],
            spent=row["budget_from"],
            tells_overtaken=row["tells_overtaken"],
            fax_rank=row["rank"],
            is_removed=row["removed_at"] is not None,
            is_gone=row["is_gone"],
            overdue_seconds=row["overdue_seconds"],
            trace=row["trace"],
        )
    except Damaged as error:  # of this endpoint only
        return UnreadableDelivery(**lease, error=error)
    except Misconfigured:  # no delivery is to blame for a wrong SECRETS_KEY
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop the other rows
        return UnreadableDelivery(**lease, error=error)


RENEW: Final = """
UPDATE deliveries d SET lease_until = now() + make_interval(secs => batch.seconds)
FROM unnest($1::uuid[], $2::timestamptz[], $3::float8[]) AS batch (id, lease_until, seconds)
WHERE d.id = batch.id AND d.lease_until = batch.lease_until AND d.state IN ('pending', 'retrying')
RETURNING d.id, d.lease_until
"""


async def renew(pool: Pool, leases: Sequence[tuple[Lease, float]]) -> dict[UUID, datetime]:
    """Prolong each lease to its seconds from now; return when it ends, by the ledger's clock.

    A lease that is missing from the answer is no longer ours: its delivery must not be attempted.
    """
    rows = await pool.fetch(RENEW, *_columns(leases))
    return {row["id"]: row["lease_until"] for row in rows}


RELEASE: Final = """
WITH unhurried AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
UPDATE deliveries d SET lease_until = NULL, due_at = now() + make_interval(secs => batch.seconds)
FROM unnest($1::uuid[], $2::timestamptz[], $3::float8[]) AS batch (id, lease_until, seconds), unhurried
WHERE d.id = batch.id AND d.lease_until = batch.lease_until AND d.state IN ('pending', 'retrying')
RETURNING d.id
"""
"""It waits for no disk, and so does no commit of live traffic for its: a server that crashes within the next moment
knows the lease as it was, which runs out. The sweeper finds it then."""


async def release(pool: Pool, leases: Sequence[tuple[Lease, float]]) -> frozenset[UUID]:
    """Give leases back without an attempt, each due after its seconds; return those that were ours to give."""
    rows = await pool.fetch(RELEASE, *_columns(leases))
    return frozenset(row["id"] for row in rows)


DEFER: Final = f"""
WITH unhurried AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
wanted AS (
    SELECT d.id, refused.wait_seconds, extract(epoch FROM now() - d.due_at)::float8 AS overdue_seconds
    FROM unnest($1::uuid[], $2::integer[]) AS message (id, attempt)
    JOIN deliveries d ON d.id = message.id
    JOIN unnest($3::uuid[], $4::text[], $5::text[], $6::float8[]) AS refused (id, url, failover_url, wait_seconds)
        ON refused.id = d.endpoint_id
    JOIN endpoints ON endpoints.id = refused.id
        AND endpoints.url = refused.url AND endpoints.failover_url IS NOT DISTINCT FROM refused.failover_url
    WHERE {_MAY_BE_CLAIMED}
      AND d.due_at <> {PARKED_DUE_AT}
      AND endpoints.enabled AND NOT endpoints.paused AND endpoints.removed_at IS NULL
      AND {_OWED_SINCE} > now() - make_interval(secs => $7)
    ORDER BY d.id
    FOR UPDATE OF d
)
UPDATE deliveries d SET lease_until = NULL, due_at = now() + make_interval(secs => wanted.wait_seconds)
FROM wanted, unhurried
WHERE d.id = wanted.id
RETURNING d.id, d.event_id, d.endpoint_id, d.attempts, wanted.wait_seconds, wanted.overdue_seconds
"""  # noqa: S608 - the inserted text is a constant
"""What an attempt would be refused for anyway is left to the claim. For the disk, see `RELEASE`."""


async def defer(
    pool: Pool, wanted: Sequence[tuple[UUID, int]], refused: Sequence[Refused], longest_seconds: float
) -> list[Deferred]:
    """Defer those of *wanted* (id, attempt) that could be claimed, but whose endpoint is refused; return them.

    Those owed for longer than *longest_seconds* are not deferred any more.
    """
    pairs = sorted(set(wanted))
    rows = await pool.fetch(
        DEFER,
        [delivery_id for delivery_id, _ in pairs],
        [attempt for _, attempt in pairs],
        [each.endpoint_id for each in refused],
        [each.url for each in refused],
        [each.failover_url for each in refused],
        [each.wait_seconds for each in refused],
        longest_seconds,
    )
    return [
        Deferred(
            delivery_id=row["id"],
            event_id=row["event_id"],
            endpoint_id=row["endpoint_id"],
            attempt=row["attempts"] + 1,
            wait_seconds=row["wait_seconds"],
            overdue_seconds=row["overdue_seconds"],
        )
        for row in rows
    ]


CRASHED: Final = """
UPDATE deliveries SET crashes = crashes + 1, crash_place = $3
WHERE id = $1 AND lease_until = $2 AND state IN ('pending', 'retrying')
RETURNING crashes
"""


async def count_crash(pool: Pool, lease: Lease, place: str) -> int | None:
    """Count that a delivery broke our code at *place*; return how often it has, None if the lease is no longer ours."""
    crashes: int | None = await pool.fetchval(CRASHED, lease.delivery_id, lease.lease_until, place)
    return crashes


def _columns(leases: Sequence[tuple[Lease, float]]) -> tuple[list[UUID], list[datetime], list[float]]:
    ordered = sorted(leases, key=lambda each: each[0].delivery_id)
    return (
        [lease.delivery_id for lease, _ in ordered],
        [lease.lease_until for lease, _ in ordered],
        [seconds for _, seconds in ordered],
    )


RECORD: Final = """
WITH batch AS (
    SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::float8[], $6::timestamptz[],
                         $7::float8[], $8::text[], $9::text[], $10::integer[], $11::text[], $12::bytea[], $13::text[])
    AS batch (id, attempt, state, reason, wait_seconds, started_at, seconds, outcome, url, http_status, error, answer,
              sent)
), tried AS (
    INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome, url, http_status, error, answer, sent)
    SELECT id, attempt, started_at, seconds, outcome, url, http_status, error, answer, sent
    FROM batch WHERE started_at IS NOT NULL ORDER BY id, attempt
    ON CONFLICT ON CONSTRAINT attempts_key DO NOTHING
)
UPDATE deliveries d
SET state       = batch.state,
    reason      = batch.reason,
    attempts    = CASE WHEN batch.started_at IS NULL THEN d.attempts ELSE greatest(d.attempts, batch.attempt) END,
    due_at      = now() + make_interval(secs => batch.wait_seconds),
    lease_until = NULL,
    sweeps      = 0,
    crashes     = 0,
    settled_at  = CASE WHEN batch.state = 'retrying' THEN NULL ELSE now() END
FROM batch
WHERE d.id = batch.id
  AND (d.state IN ('pending', 'retrying') AND d.attempts = batch.attempt - 1
       -- An application that was told stays told, even if another process has taken the lease over meanwhile.
       -- But for a record of before it was sent again on purpose.
       OR batch.state = 'told' AND d.state <> 'told' AND batch.attempt > coalesce(d.resent_from, 0))
"""


async def record(pool: Pool, records: Sequence[Record]) -> None:
    """Record what became of attempts. Recording the same twice changes nothing."""
    latest = {(each.delivery_id, each.attempt): each for each in records}
    batch = [latest[key] for key in sorted(latest)]
    await pool.execute(
        RECORD,
        [each.delivery_id for each in batch],
        [each.attempt for each in batch],
        [each.state for each in batch],
        [each.reason for each in batch],
        [each.wait_seconds for each in batch],
        [each.started_at for each in batch],
        [each.seconds for each in batch],
        [each.outcome for each in batch],
        [each.url for each in batch],
        [each.http_status for each in batch],
        [each.error for each in batch],
        [each.answer for each in batch],
        [each.sent for each in batch],
    )
