"""What reading a provider's list costs: a window of 100,000 faxes of which none is missing, beside live traffic.

    python tests/bench/lists.py [--faxes N] [--rounds N]
        [--amqp-url URL --database-url URL]   # instead of private ones: queues are EMPTIED, the ledger is OVERWRITTEN

Events come at a steady pace all the time; those that came while the list was read, and its account drawn up, are compared
with those that came between. The provider is a process of its own, its pages made beforehand. Everything is on loopback.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from bisect import bisect_left, bisect_right
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.extend(str((Path(__file__).parent / folder).resolve()) for folder in (".", "../support", "../.."))

import asyncpg
import uvloop
from aiohttp import web
from dispatchers import SECRETS_KEY, STORE, an_event
from list_provider import ProviderFax
from processes import ServiceProcess, running
from receiver import receiving
from stack import Stores, private_stores
from stores import fresh_topology
from waiting import until

from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.lifecycle import ending_bit
from shared.amqp.publisher import Publisher
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import FAX_IN, topology
from shared.domain import EventType, Provider, encode_event, utc_now
from shared.ids import uuid7
from shared.sql.migrate import migrate

SPAN = timedelta(hours=40)
"""The faxes of the list were created within so long before now, but for the last hour."""

PER_SECOND = 50.0
GOAL_SECONDS, GOAL_BYTES, GOAL_RATIO = 60.0, 200 * 1024 * 1024, 1.1
FILL = """
WITH numbers AS (
    SELECT n, $2::timestamptz + (n - 1) * ($3::interval / $1::bigint) AS at FROM generate_series(1, $1::bigint) n
), made_faxes AS (
    INSERT INTO faxes (provider, fax_id, direction, state, rank, occurred_at, type_order, event_id, endings,
                       first_received_at, last_received_at)
    SELECT 'phaxio', n::text, 'sent', 'fax.delivered', 100, at, $4, 'phaxio:' || n, $5, at, at FROM numbers
), made_deliveries AS (
    INSERT INTO deliveries (id, event_id, endpoint_id, state, attempts, created_at, settled_at)
    SELECT gen_random_uuid(), 'phaxio:' || n, $6, 'told', 1, at, at FROM numbers
)
INSERT INTO events (id, provider, fax_id, type, occurred_at, received_at, recorded_at)
SELECT 'phaxio:' || n, 'phaxio', n::text, 'fax.delivered', at, at, at FROM numbers
"""


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def serve(faxes: int, since: datetime) -> None:
    """Be the provider: print the port, then answer pages of Phaxio's list until killed."""
    created = [since + number * (SPAN / faxes) for number in range(faxes)]
    listed = [
        json.dumps(ProviderFax("phaxio", str(number + 1), "fax.delivered", at, at).listed()).encode()
        for number, at in enumerate(created)
    ]

    async def answer(request: web.Request) -> web.Response:
        query = request.query
        first = bisect_left(created, datetime.fromisoformat(query["created_after"]))
        last = bisect_right(created, datetime.fromisoformat(query["created_before"]))
        number, size = int(query["page"]), int(query["per_page"])
        end = last - (number - 1) * size  # the newest first
        shown = listed[max(first, end - size) : end][::-1]
        paging = json.dumps({"total": last - first, "per_page": size, "page": number}).encode()
        body = b'{"success":true,"message":"","data":[' + b",".join(shown) + b'],"paging":' + paging + b"}"
        return web.Response(body=body, content_type="application/json")

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/v2.1/faxes", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        say(str(runner.addresses[0][1]))
        await asyncio.Event().wait()

    asyncio.run(run())


def memory_bytes(process: ServiceProcess, name: str) -> int:
    """Return `VmRSS` or `VmHWM` (the most so far) of a process."""
    lines = Path(f"/proc/{process.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def p99(seconds: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(seconds, n=100)[98]


async def measure(stores: Stores, faxes: int, rounds: int) -> bool:
    """Read the list *rounds* times beside live traffic; print what it cost; return whether the goals are reached."""
    await fresh_topology(stores.amqp_url, topology(parse_backoff(DEFAULT_BACKOFF)))
    await migrate(stores.database_url)
    since = utc_now() - SPAN - timedelta(hours=1)
    provider = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--serve", since.isoformat(), "--faxes", str(faxes)), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert provider.stdout is not None
        url = f"http://127.0.0.1:{int(await provider.stdout.readline())}/v2.1"
        async with asyncpg.create_pool(stores.database_url, min_size=1, max_size=2) as pool, receiving() as receiver:
            endpoint = Endpoint(id=uuid7(), url=receiver.url, format="standard-v1")
            await STORE.insert(pool, endpoint)
            order = EventType.DELIVERED.order
            values = (faxes, since, SPAN, order, ending_bit(EventType.DELIVERED), endpoint.id)
            await pool.execute(FILL, *values, timeout=300)
            async with pool.acquire() as connection:
                await connection.execute("ANALYZE", timeout=300)
            say(f"{faxes:,} faxes in ledger and list")
            with tempfile.TemporaryDirectory(prefix="faxhook-lists-") as media:
                environment = {
                    "LOG_LEVEL": "INFO",
                    "AMQP_URL": stores.amqp_url,
                    "DATABASE_URL": stores.database_url,
                    "MEDIA_URL": Path(media).as_uri(),
                    "SECRETS_KEY": SECRETS_KEY,
                    "EGRESS_ALLOW_NETWORKS": "127.0.0.0/8",
                    "OPS_PORT": "0",
                }
                lists = {"PHAXIO_API_URL": url, "PHAXIO_API_KEY": "key", "PHAXIO_API_KEY_SECRET": "secret"}
                async with running("dispatcher", environment) as without:
                    before = memory_bytes(without, "VmRSS")
                async with running("dispatcher", environment | lists | {"RECONCILE_EVERY": "30s"}) as dispatcher:
                    sent: dict[str, float] = {}
                    sending = asyncio.create_task(_send(stores.amqp_url, sent))
                    spans = await _spans(pool, rounds)
                    sending.cancel()
                    with suppress(asyncio.CancelledError):
                        await sending
                    most = memory_bytes(dispatcher, "VmHWM") - before
                account = await pool.fetchrow(
                    "SELECT sum(theirs) AS theirs, sum(missing) AS missing FROM accounts WHERE theirs > 0"
                )
                assert account is not None
            began = utc_now().timestamp() - asyncio.get_running_loop().time()
            during, between = [], []
            for webhook in receiver.received:
                at = sent.get(webhook.event_id)
                if at is not None:
                    is_during = any(start <= began + at <= end for start, end in spans)
                    (during if is_during else between).append(webhook.at - at)
    finally:
        provider.kill()
        await provider.wait()
    return _report(spans, most, (during, between), (int(account["theirs"]), int(account["missing"] or 0)), faxes)


async def _send(amqp_url: str, sent: dict[str, float]) -> None:
    """Publish events at a steady pace until cancelled; note when each was sent."""
    publisher = Publisher(amqp_url, "bench", confirm_timeout_seconds=10.0)
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        group.create_task(publisher.run())
        await until(lambda: publisher.is_ready, "publisher ready")
        number, due = 10_000_000, loop.time()
        while True:
            number, due = number + 1, due + 1 / PER_SECOND
            await asyncio.sleep(max(0.0, due - loop.time()))
            event = an_event(number, provider=Provider.TELNYX, id=f"telnyx:{number}", received_at=utc_now())
            sent[event.id] = loop.time()
            group.create_task(publisher.publish(FAX_IN, event.routing_key, encode_event(event), {"event_id": event.id}))


async def _spans(pool: asyncpg.Pool, rounds: int) -> list[tuple[float, float]]:
    """Wait for *rounds* readings and their accounts; return when each began and ended, by the wall clock."""
    sql = """
    SELECT extract(epoch FROM started_at)::float8 AS began, extract(epoch FROM finished_at)::float8 AS ended
    FROM list_readings WHERE outcome = 'done' ORDER BY started_at
    """
    found: list[asyncpg.Record] = []
    spans: list[tuple[float, float]] = []
    while len(spans) < rounds:
        await until(lambda: _more(pool, sql, found, len(spans)), "a reading", 150)
        await asyncio.sleep(0)
        drawn = "SELECT extract(epoch FROM max(drawn_up_at))::float8 FROM accounts WHERE provider = 'phaxio'"

        async def is_drawn(ended: float = found[-1]["ended"], drawn: str = drawn) -> bool:
            return (await pool.fetchval(drawn) or 0.0) > ended

        await until(is_drawn, "the account is drawn up", 60)
        await asyncio.sleep(12)  # until the next reading, as long again: what is compared with
        spans.append((found[-1]["began"], found[-1]["ended"] + 3.0))
    return spans


async def _more(pool: asyncpg.Pool, sql: str, found: list[asyncpg.Record], known: int) -> bool:
    found[:] = await pool.fetch(sql)
    return len(found) > known


def _report(
    spans: list[tuple[float, float]],
    most_bytes: int,
    seconds: tuple[list[float], list[float]],
    account: tuple[int, int],
    faxes: int,
) -> bool:
    during, between = seconds
    taken = [end - start - 3.0 for start, end in spans]
    ratio = p99(during) / p99(between)
    say(f"readings: {', '.join(f'{each:.1f} s' for each in taken)} (the first one notes every fax)")
    say(f"memory above a dispatcher without lists: {most_bytes / 1024**2:.0f} MiB at most")
    say(f"live p99: {p99(between) * 1000:.1f} ms between readings ({len(between):,} events)")
    say(f"          {p99(during) * 1000:.1f} ms during them ({len(during):,}), ratio {ratio:.2f}")
    say(f"          medians {statistics.median(between) * 1000:.1f} and {statistics.median(during) * 1000:.1f} ms")
    say(f"account: {account[0]:,} theirs of {faxes:,}, {account[1]} missing")
    return max(taken) < GOAL_SECONDS and most_bytes < GOAL_BYTES and ratio < GOAL_RATIO


def main() -> int:
    """Return 0 if the goals are reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faxes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--amqp-url")
    parser.add_argument("--database-url")
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.faxes, datetime.fromisoformat(asked.serve).astimezone(UTC))
    given = asked.amqp_url and asked.database_url
    with nullcontext(Stores(asked.amqp_url, asked.database_url)) if given else private_stores() as stores:
        return 0 if uvloop.run(measure(stores, asked.faxes, asked.rounds)) else 1


if __name__ == "__main__":
    sys.exit(main())
