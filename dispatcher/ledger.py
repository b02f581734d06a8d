"""The ledger: every statement of the dispatcher's hot path, one function each, rows to structs in the same place.

All writes come in batches (`unnest`) with sorted keys, because two batches with the same keys in opposite order
deadlock. Nothing here decides anything: what is owed, overtaken, told or dead is said by pure functions.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

import asyncpg
import msgspec

from dispatcher.lifecycle import FaxState, fold
from dispatcher.routing import Endpoint, Owed, skip_overtaken
from shared.domain import Event, Media, decode_event, encode_event
from shared.errors import Misconfigured
from shared.ids import uuid7
from shared.sql import REVISION

POOL_SIZE: Final = 4
"""As many as batches in flight (events, deliveries, records) and one for the sweeper; not as messages."""

COMMAND_TIMEOUT_SECONDS: Final = 30.0

LEDGER_REFUSES: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,
    TypeError,
    OverflowError,
)
"""A row's fault: a value that its column cannot hold, found by the server or by the driver. To be caught before
`LEDGER_AWAY`, because the driver's refusals are interface errors as well."""

LEDGER_AWAY: Final = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, TimeoutError)
"""Our own trouble: the same batch is tried again later, whatever it holds."""

LEDGER_BUSY: Final = (
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InternalClientError,
)
"""The server is there but cannot now: restarting, failing over, out of connections, a deadlock that chose us."""

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool  # generic in its stubs only
AttemptOutcome = Literal["told", "not_told"]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that this process may attempt now, until its lease ends.

    Attributes:
        attempt: The number of the attempt to make, from 1.
    """

    delivery_id: UUID
    event: Event
    endpoint_id: UUID
    attempt: int
    fax_rank: int


class FirstClaim(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a batch of events: the fresh ones, and what is owed for them (skipped ones included)."""

    fresh: frozenset[str]
    owed: list[tuple[UUID, Owed]]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt, and of its delivery.

    Attributes:
        state: Of the delivery afterwards.
        wait_seconds: Until the next attempt is due, for `retrying`.
        answer: The first 2 KiB of what the application answered.
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


class Overdue(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that somebody should look at: its lease ran out, or it is due and no message came."""

    delivery_id: UUID
    attempt: int
    sweeps: int


async def open_pool(database_url: str, size: int = POOL_SIZE) -> Pool:
    """Return a pool; it connects when it is first used, so that a service can start before its database."""
    pool = asyncpg.create_pool(database_url, min_size=0, max_size=size, command_timeout=COMMAND_TIMEOUT_SECONDS)
    return await pool


class SchemaMissing(Misconfigured):
    """The ledger's schema is not what this version of the code wants."""

    code = "schema"


async def verified_schema(pool: Pool) -> None:
    """Check once, as soon as the ledger answers, that it is migrated.

    Raises:
        SchemaMissing: Says what to do.
    """
    while True:
        try:
            found = await pool.fetchval("SELECT version_num FROM alembic_version")
        except (*LEDGER_AWAY, *LEDGER_BUSY):
            await asyncio.sleep(1.0)
            continue
        except asyncpg.UndefinedTableError:
            found = None
        if found == REVISION:
            return
        raise SchemaMissing(
            f"DATABASE_URL leads to a ledger at revision {found}, this version needs {REVISION}: "
            "run `faxhook migrate` first"
        )


INSERT_EVENTS: Final = """
INSERT INTO events (id, provider, fax_id, type, occurred_at, received_at, body)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bytea[])
    AS batch (id, provider, fax_id, type, occurred_at, received_at, body)
ORDER BY id COLLATE "C"
ON CONFLICT ON CONSTRAINT events_key DO NOTHING
RETURNING id
"""

_WINS: Final = """
(excluded.rank, coalesce(excluded.occurred_at, '-infinity'), excluded.type_order, excluded.event_id)
> (faxes.rank, coalesce(faxes.occurred_at, '-infinity'), faxes.type_order, faxes.event_id)
"""
"""The order of `lifecycle.FaxState.precedence`, compared after locking the row: no concurrent batch is missed."""

FOLD_FAXES: Final = f"""
INSERT INTO faxes (provider, fax_id, direction, state, rank, occurred_at, type_order, event_id, endings,
                   from_number, to_number, job_id, pages, first_received_at, last_received_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::timestamptz[], $7::smallint[],
                     $8::text[], $9::integer[], $10::text[], $11::text[], $12::text[], $13::integer[],
                     $14::timestamptz[], $15::timestamptz[])
    AS batch (provider, fax_id, direction, state, rank, occurred_at, type_order, event_id, endings,
              from_number, to_number, job_id, pages, first_received_at, last_received_at)
ORDER BY provider, fax_id COLLATE "C"
ON CONFLICT ON CONSTRAINT faxes_key DO UPDATE SET
    state             = CASE WHEN {_WINS} THEN excluded.state ELSE faxes.state END,
    occurred_at       = CASE WHEN {_WINS} THEN excluded.occurred_at ELSE faxes.occurred_at END,
    type_order        = CASE WHEN {_WINS} THEN excluded.type_order ELSE faxes.type_order END,
    event_id          = CASE WHEN {_WINS} THEN excluded.event_id ELSE faxes.event_id END,
    rank              = greatest(faxes.rank, excluded.rank),
    direction         = greatest(faxes.direction, excluded.direction),
    endings           = faxes.endings | excluded.endings,
    from_number       = greatest(faxes.from_number, excluded.from_number),
    to_number         = greatest(faxes.to_number, excluded.to_number),
    job_id            = greatest(faxes.job_id, excluded.job_id),
    pages             = greatest(faxes.pages, excluded.pages),
    first_received_at = least(faxes.first_received_at, excluded.first_received_at),
    last_received_at  = greatest(faxes.last_received_at, excluded.last_received_at)
RETURNING provider, fax_id, rank
"""  # noqa: S608 - the inserted text is the constant above

INSERT_DELIVERIES: Final = """
INSERT INTO deliveries (id, event_id, endpoint_id, state, reason, lease_until, settled_at)
SELECT id, event_id, endpoint_id,
       CASE WHEN reason IS NULL THEN 'pending' ELSE 'skipped' END, reason,
       CASE WHEN reason IS NULL THEN now() + make_interval(secs => lease_seconds) END,
       CASE WHEN reason IS NOT NULL THEN now() END
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::float8[])
    AS batch (id, event_id, endpoint_id, reason, lease_seconds)
ORDER BY event_id COLLATE "C", endpoint_id
ON CONFLICT ON CONSTRAINT deliveries_once_per_endpoint DO NOTHING
"""


async def take_events(pool: Pool, events: Sequence[Event], owed: Sequence[Owed]) -> FirstClaim:
    """Take a batch in one transaction: dedupe, fold, and what is owed, leased to this process.

    *events* hold each id once; *owed* is what `routing.route` says of them. What was known before owes nothing again.
    """
    async with pool.acquire() as connection, connection.transaction():
        return await _take(connection, events, owed)


async def _take(connection: Any, events: Sequence[Event], owed: Sequence[Owed]) -> FirstClaim:
    rows = await connection.fetch(
        INSERT_EVENTS,
        [event.id for event in events],
        [event.provider for event in events],
        [event.fax_id for event in events],
        [event.type for event in events],
        [event.occurred_at for event in events],
        [event.received_at for event in events],
        [encode_event(event) for event in events],
    )
    fresh = frozenset(row["id"] for row in rows)
    if not fresh:
        return FirstClaim(fresh=fresh, owed=[])
    ranks = await _fold_faxes(connection, fold(event for event in events if event.id in fresh))
    still_owed = skip_overtaken([each for each in owed if each.event.id in fresh], ranks)
    identified = [(uuid7(), each) for each in still_owed]
    if identified:
        await connection.execute(
            INSERT_DELIVERIES,
            [delivery_id for delivery_id, _ in identified],
            [each.event.id for _, each in identified],
            [each.endpoint.id for _, each in identified],
            [each.skipped for _, each in identified],
            [each.endpoint.lease_seconds for _, each in identified],
        )
    return FirstClaim(fresh=fresh, owed=identified)


async def _fold_faxes(connection: Any, states: Sequence[FaxState]) -> dict[tuple[str, str], int]:
    rows = await connection.fetch(
        FOLD_FAXES,
        [state.provider for state in states],
        [state.fax_id for state in states],
        [state.direction for state in states],
        [state.state for state in states],
        [state.state.rank for state in states],
        [state.occurred_at for state in states],
        [state.state.order for state in states],
        [state.event_id for state in states],
        [state.endings for state in states],
        [state.from_number for state in states],
        [state.to_number for state in states],
        [state.job_id for state in states],
        [state.pages for state in states],
        [state.first_received_at for state in states],
        [state.last_received_at for state in states],
    )
    return {(row["provider"], row["fax_id"]): row["rank"] for row in rows}


CLAIM: Final = """
WITH wanted AS (
    SELECT d.id
    FROM deliveries d
    JOIN unnest($1::uuid[], $2::integer[]) AS message (id, attempt) ON message.id = d.id
    WHERE d.state IN ('pending', 'retrying')
      AND d.attempts = message.attempt - 1
      AND (d.lease_until IS NULL OR d.lease_until < now())
    ORDER BY d.id
    FOR UPDATE OF d
)
UPDATE deliveries d
SET lease_until = now() + make_interval(secs => 2 * endpoints.timeout_seconds + $3)
FROM wanted, endpoints, events, faxes
WHERE d.id = wanted.id
  AND endpoints.id = d.endpoint_id
  AND events.id = d.event_id
  AND faxes.provider = events.provider AND faxes.fax_id = events.fax_id
RETURNING d.id, d.endpoint_id, d.attempts, events.body, faxes.rank
"""


async def claim(pool: Pool, wanted: Sequence[tuple[UUID, int]], margin_seconds: float) -> list[Claim]:
    """Lease the deliveries of *wanted* (id, attempt) that may be attempted now; the others are stale or taken."""
    latest = dict(sorted(wanted))
    rows = await pool.fetch(CLAIM, list(latest), list(latest.values()), margin_seconds)
    return [
        Claim(
            delivery_id=row["id"],
            event=decode_event(row["body"]),
            endpoint_id=row["endpoint_id"],
            attempt=row["attempts"] + 1,
            fax_rank=row["rank"],
        )
        for row in rows
    ]


MEDIA_OF: Final = "SELECT media FROM events WHERE id = $1"


async def media_of(pool: Pool, event_id: str) -> Media | None:
    """Return where an event's document is kept that its provider only named by URL; None if it is not."""
    media = await pool.fetchval(MEDIA_OF, event_id)
    return None if media is None else _decode_media(media)


KEEP_MEDIA: Final = "UPDATE events SET media = $2 WHERE id = $1 AND media IS NULL"


async def keep_media(pool: Pool, event_id: str, media: Media) -> None:
    """Write down where it is kept. The first one to do so wins; who comes later has kept the same, or a copy."""
    await pool.execute(KEEP_MEDIA, event_id, msgspec.json.encode(media).decode())


_decode_media: Final = msgspec.json.Decoder(Media).decode


RENEW: Final = """
UPDATE deliveries SET lease_until = now() + make_interval(secs => $3)
WHERE id = $1 AND attempts = $2 - 1 AND state IN ('pending', 'retrying')
RETURNING true
"""


async def renew(pool: Pool, delivery_id: UUID, attempt: int, lease_seconds: float) -> bool:
    """Prolong a lease that waited long for its turn; False if the delivery is no longer ours to attempt."""
    return bool(await pool.fetchval(RENEW, delivery_id, attempt, lease_seconds))


RELEASE: Final = """
UPDATE deliveries d SET lease_until = NULL, due_at = now() + make_interval(secs => batch.wait_seconds)
FROM unnest($1::uuid[], $2::integer[], $3::float8[]) AS batch (id, attempt, wait_seconds)
WHERE d.id = batch.id AND d.attempts = batch.attempt - 1 AND d.state IN ('pending', 'retrying')
"""


async def release(pool: Pool, held: Sequence[tuple[UUID, int, float]]) -> None:
    """Give back leases (id, attempt, seconds until due) without an attempt."""
    ordered = sorted(held)
    await pool.execute(
        RELEASE, [each[0] for each in ordered], [each[1] for each in ordered], [each[2] for each in ordered]
    )


RECORD: Final = """
WITH batch AS (
    SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::float8[], $6::timestamptz[],
                         $7::float8[], $8::text[], $9::text[], $10::integer[], $11::text[], $12::bytea[])
    AS batch (id, attempt, state, reason, wait_seconds, started_at, seconds, outcome, url, http_status, error, answer)
), tried AS (
    INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome, url, http_status, error, answer)
    SELECT id, attempt, started_at, seconds, outcome, url, http_status, error, answer
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
    settled_at  = CASE WHEN batch.state = 'retrying' THEN NULL ELSE now() END
FROM batch
WHERE d.id = batch.id
  AND (d.state IN ('pending', 'retrying') AND d.attempts = batch.attempt - 1
       -- An application that was told stays told, even if another process took the lease over meanwhile.
       OR batch.state = 'told' AND d.state <> 'told')
"""


async def record(pool: Pool, records: Sequence[Record]) -> None:
    """Write what became of attempts. Writing the same twice is writing it once."""
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
    )


OVERDUE: Final = """
SELECT id, attempts, sweeps FROM deliveries
WHERE state IN ('pending', 'retrying')
  AND greatest(due_at, lease_until) < now()
  AND (lease_until IS NOT NULL OR due_at < now() - make_interval(secs => $1))
ORDER BY greatest(due_at, lease_until)
LIMIT $2
FOR UPDATE SKIP LOCKED
"""

MOVE_ON: Final = """
UPDATE deliveries d
SET sweeps = d.sweeps + 1, lease_until = NULL, due_at = now() + make_interval(secs => batch.wait_seconds)
FROM unnest($1::uuid[], $2::float8[]) AS batch (id, wait_seconds)
WHERE d.id = batch.id
"""


async def overdue(connection: Any, grace_seconds: float, most: int) -> list[Overdue]:
    """Return and lock what a sweeper should put back: oldest first, at most *most*."""
    rows = await connection.fetch(OVERDUE, grace_seconds, most)
    return [Overdue(delivery_id=row["id"], attempt=row["attempts"] + 1, sweeps=row["sweeps"]) for row in rows]


async def move_on(connection: Any, put_back: Sequence[tuple[UUID, float]]) -> None:
    """Say when to look again (seconds) at what was put back, so that the next sweep finds something else."""
    ordered = sorted(put_back)
    await connection.execute(MOVE_ON, [each[0] for each in ordered], [each[1] for each in ordered])


BURY_STUCK: Final = """
UPDATE deliveries SET state = 'dead', reason = 'stuck', lease_until = NULL, settled_at = now()
WHERE id = ANY($1::uuid[]) AND state IN ('pending', 'retrying')
RETURNING id, attempts, event_id, endpoint_id
"""


async def bury_stuck(connection: Any, delivery_ids: Sequence[UUID]) -> Sequence[Any]:
    """Give up on deliveries that never get on; return what their dead letters need."""
    rows: Sequence[Any] = await connection.fetch(BURY_STUCK, sorted(delivery_ids))
    return rows


ENDPOINTS: Final = """
SELECT id, scope, direction, url, failover_url, format, tokens, inflight, overtaken, enabled, timeout_seconds,
       max_concurrent
FROM endpoints WHERE removed_at IS NULL ORDER BY created_at, id
"""


async def read_endpoints(pool: Pool) -> list[Endpoint]:
    """Return all endpoints, the oldest first."""
    return [_endpoint(row) for row in await pool.fetch(ENDPOINTS)]


ADD_ENDPOINT: Final = """
INSERT INTO endpoints (id, scope, direction, url, failover_url, format, tokens, inflight, overtaken, enabled,
                       timeout_seconds, max_concurrent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""


async def add_endpoint(pool: Pool, endpoint: Endpoint) -> None:
    """Write a new endpoint."""
    await pool.execute(
        ADD_ENDPOINT,
        endpoint.id,
        endpoint.scope,
        endpoint.direction,
        endpoint.url,
        endpoint.failover_url,
        endpoint.format,
        list(endpoint.tokens),
        endpoint.inflight,
        endpoint.overtaken,
        endpoint.enabled,
        endpoint.timeout_seconds,
        endpoint.max_concurrent,
    )


def _endpoint(row: Any) -> Endpoint:
    return msgspec.convert(dict(row), Endpoint, builtin_types=(UUID,))
