"""Ledgers with so many faxes that it matters how they are read; written in the ledger itself."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
from dispatchers import an_event

from shared.domain import EventType, Failure, encode_event

FAXES_AT_ONCE = 50_000

# The latest fax came a minute ago, the first one thirty days before.
FILL = """
WITH numbers AS (
    SELECT n, now() - interval '1 minute' - ($3::bigint - n) * (interval '30 days' / $3) AS at, n % 20 = 0 AS failed,
           CASE WHEN n % 20 = 0 THEN 'fax.failed' ELSE 'fax.delivered' END AS type
    FROM generate_series($1::bigint, $2::bigint) n
),
made_faxes AS (
    INSERT INTO faxes (provider, fax_id, direction, state, rank, occurred_at, type_order, event_id, endings, from_number,
                       to_number, job_id, pages, first_received_at, last_received_at)
    SELECT 'phaxio', n::text, 'sent', type, 100, at, 1, 'phaxio:' || n, 1, '+1555010' || lpad((n % 2000)::text, 4, '0'),
           '+1666' || lpad((n % 500000)::text, 7, '0'), CASE n % 5 WHEN 4 THEN 'batch' ELSE 'job-' || n END, 3, at, at FROM numbers
),
made_events AS (
    INSERT INTO events (id, provider, fax_id, type, occurred_at, received_at, recorded_at, body)
    SELECT 'phaxio:' || n, 'phaxio', n::text, type, at, at, at, CASE WHEN failed THEN $4::bytea ELSE $5::bytea END
    FROM numbers
),
made_deliveries AS (
    INSERT INTO deliveries (id, event_id, endpoint_id, state, reason, attempts, due_at, created_at, settled_at)
    SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
            || substr(md5(n::text), 4, 15))::uuid,
           'phaxio:' || n, ($6::uuid[])[1 + n % 10], CASE WHEN n % 1000 = 0 THEN 'dead' ELSE 'told' END,
           CASE WHEN n % 1000 = 0 THEN 'timeout' END, 1, at, at, at + interval '1 second' FROM numbers
    RETURNING id, endpoint_id, created_at, state
)
INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome, url, http_status, error, answer)
SELECT id, 1, created_at, 0.05, CASE state WHEN 'told' THEN 'told' ELSE 'not_told' END, 'http://127.0.0.1:9/',
       CASE state WHEN 'told' THEN 200 END, CASE state WHEN 'dead' THEN 'timeout' END, ''
FROM made_deliveries
"""


async def add_faxes(pool: asyncpg.Pool, faxes: int, endpoint_ids: Sequence[UUID]) -> None:
    """Add *faxes* sent faxes of 30 days, of 2,000 numbers, to ten endpoints; the planner knows how many.

    One in five has the job_id `batch`, each other one of its own. One in twenty failed, one in a thousand has a webhook that died.
    """
    busy = Failure(type="lineError", code="42", message="Busy")
    bodies = encode_event(an_event(1, EventType.FAILED, failure=busy)), encode_event(an_event(1))
    for first in range(1, faxes + 1, FAXES_AT_ONCE):
        last = min(first + FAXES_AT_ONCE - 1, faxes)
        await pool.execute(FILL, first, last, faxes, *bodies, list(endpoint_ids), timeout=300)
    async with pool.acquire() as connection:
        await connection.execute("ANALYZE", timeout=300)
