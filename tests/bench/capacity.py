"""What docs/capacity.md computes with, measured on this machine: CPU and bytes of each part, and what retention costs.

    python tests/bench/capacity.py [--callbacks N] [--rows N] [--json]
        [--amqp-url URL --database-url URL]   # instead of private ones: queues are EMPTIED; a database comes and goes on the server

Everything is on loopback, with private stores in a temporary folder, fsync and confirms on. About a minute.

1. N callbacks go through both services to one application that answers at once: CPU of each process, bytes of WAL and of
   the ledger, for each event.
2. A ledger of N events of the same shape, all told and older than retention: what pruning takes, and what dropping a
   partition that holds the same payloads and attempts would take.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.extend(str((Path(__file__).parent / folder).resolve()) for folder in (".", "../support", "../.."))

import asyncpg
import uvloop
from callback_load import json_callback, next_number
from cores import choose_cores, pin_self
from rows import Report
from run import LANES, Phase, Run, Sizes, told
from stack import Stack, Stores, private_stores, stack
from stores import fresh_topology
from trees import NOW
from wire import applying

from dispatcher.ledger import pruning
from dispatcher.maintenance.retention import EVENTS_PER_STEP
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import topology

TABLES = ("events", "faxes", "deliveries", "attempts")

SIZES = "SELECT sum(pg_total_relation_size(name::regclass))::bigint FROM unnest($1::text[]) AS name"

GROW = """
WITH numbers AS (SELECT generate_series(1, $1) AS number),
body AS (SELECT body FROM events LIMIT 1), attempt AS (SELECT * FROM attempts LIMIT 1),
told AS (SELECT * FROM deliveries LIMIT 1), fax AS (SELECT * FROM faxes LIMIT 1),
some_events AS (
    INSERT INTO events (id, provider, fax_id, type, received_at, recorded_at, body)
    SELECT 'old:' || md5(number::text), 'phaxio', 'old-' || number, 'fax.delivered',
           now() - interval '40 days' + number * interval '1 ms',
           now() - interval '40 days' + number * interval '1 ms', body.body FROM numbers, body
), some_deliveries AS (
    INSERT INTO deliveries (id, event_id, endpoint_id, state, attempts, due_at, created_at, settled_at)
    SELECT md5('d' || number)::uuid, 'old:' || md5(number::text), told.endpoint_id, 'told', 1, now() - interval '40 days',
           now() - interval '40 days', now() - interval '40 days' FROM numbers, told
)
INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome, url, http_status, answer)
SELECT md5('d' || numbers.number)::uuid, 1, now() - interval '40 days', 0.01, 'told', attempt.url, 200, attempt.answer
FROM numbers, attempt
"""

PARTITION = """
CREATE TABLE payloads (id text, received_at timestamptz, body bytea, PRIMARY KEY (id, received_at))
PARTITION BY RANGE (received_at)
"""


@dataclass
class Measured:
    """Per event: CPU in seconds by process, WAL and ledger in bytes; retention in events a second of work."""

    callbacks: int
    through_per_second: float
    cpu_seconds: dict[str, float]
    wal_bytes: float
    ledger_bytes: float
    message_bytes: float
    rows: int
    kept_bytes: float
    pruned_per_second: float
    dropped_seconds: float
    dropped_rows: int


async def flow(run: Run, place: Stack, count: int) -> tuple[Phase, float]:
    """Send *count* callbacks through; return what each cost, and the bytes of WAL of each."""
    run.stores.pin(run.cores.measured)
    async with applying() as application, place.ingress() as ingress, place.dispatcher() as dispatcher:
        await place.add_endpoint(dispatcher, url=application.url, tokens=["bench-token"], max_concurrent=32)
        pids = {"ingress": ingress.pid, "dispatcher": dispatcher.pid, **run.stores.pids}
        wal = await place.pool.fetchval("SELECT pg_current_wal_insert_lsn()")
        requests = {number: json_callback(number) for number in (next_number() for _ in range(count))}
        phase = await told(application, ingress.port, pids, requests, place.recorded)
        written = await place.pool.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", wal)
        return phase, float(written) / count


async def retention(pool: asyncpg.Pool, rows: int) -> tuple[float, float]:
    """Return how many events are pruned in a second of work, and how long dropping a partition of *rows* payloads takes."""
    now = datetime.now(UTC)
    async with pool.acquire() as connection:
        # 1. As the dispatcher prunes, without its pauses.
        after, pruned, started = (datetime(1, 1, 1, tzinfo=UTC), ""), 0, time.perf_counter()
        while old := await pruning.old_events(connection, now, after, EVENTS_PER_STEP):
            step = await pruning.prune(connection, [each.event_id for each in old if each.is_over], now)
            after, pruned = (old[-1].received_at, old[-1].event_id), pruned + len(step.event_ids)
        seconds = time.perf_counter() - started
        # 2. The same number of payloads in a partition.
        await connection.execute(PARTITION)
        await connection.execute(
            "CREATE TABLE payloads_of_a_day PARTITION OF payloads FOR VALUES FROM ('2026-01-01') TO ('2026-01-02')"
        )
        await connection.execute(
            "INSERT INTO payloads SELECT md5(n::text), '2026-01-01', decode(repeat(md5(n::text), 24), 'hex') "
            "FROM generate_series(1, $1) AS n",
            rows,
        )
        began = time.perf_counter()
        await connection.execute("DROP TABLE payloads_of_a_day")
        return pruned / seconds, time.perf_counter() - began


async def measure(stores: Stores, count: int, rows: int) -> Measured:
    """Measure both."""
    run = Run([NOW], stores, choose_cores(), Sizes(), Report({}))
    pin_self(run.cores.load)
    if stores.api_url is None:
        await fresh_topology(stores.amqp_url, topology(parse_backoff(DEFAULT_BACKOFF)))
    async with stack(NOW, stores, run.cores, "capacity") as place:
        pool = place.pool
        empty = await pool.fetchval(SIZES, TABLES)
        phase, wal = await flow(run, place, count)
        ledger = (await pool.fetchval(SIZES, TABLES) - empty) / count
        message = await pool.fetchval("SELECT avg(length(body)) FROM events")
        await pool.execute("DELETE FROM events WHERE id NOT IN (SELECT id FROM events LIMIT 1)")
        await pool.execute(GROW.replace("$1", str(rows)), timeout=600)
        for table in TABLES:
            await pool.execute(f"ANALYZE {table}")
        per_second, dropped = await retention(pool, rows)
        for table in TABLES:
            await pool.execute(f"VACUUM FULL {table}", timeout=600)
        kept = await pool.fetchval(SIZES, ("events", "deliveries", "attempts"))
        sizes = (wal, ledger, float(message), rows, kept / rows)
        return Measured(count, phase.per_second, phase.cpu, *sizes, per_second, dropped, rows)


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """Return what is asked for; end with 2 and a sentence where it measures nothing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--callbacks", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=100_000, help="events in the ledger that retention prunes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--amqp-url", help="a vhost to use instead of a private broker; its queues are EMPTIED")
    parser.add_argument("--database-url", help="a server to use instead of a private one")
    asked = parser.parse_args(given)
    if bool(asked.amqp_url) != bool(asked.database_url):
        parser.error("--amqp-url and --database-url belong together")
    if min(asked.callbacks, asked.rows) < LANES:
        parser.error(f"too few to measure anything: at least {LANES} callbacks and rows")
    return asked


def main() -> int:
    asked = arguments(sys.argv[1:])
    given = nullcontext(Stores(asked.amqp_url, asked.database_url)) if asked.amqp_url else private_stores()
    with given as stores:
        measured = asdict(uvloop.run(measure(stores, asked.callbacks, asked.rows)))
    if asked.json:
        sys.stdout.write(json.dumps(measured) + "\n")
        return 0
    measured |= {f"cpu of {name}": seconds for name, seconds in measured.pop("cpu_seconds").items()}
    for name, value in measured.items():
        text = (
            f"{value * 1e6:,.0f} µs"
            if name.startswith("cpu of")
            else f"{value:,.3f}"
            if value < 10
            else f"{value:,.0f}"
        )
        sys.stdout.write(f"{name.replace('_', ' '):24}{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
