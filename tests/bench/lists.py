"""What reading a provider's list costs: a window of 100,000 faxes of which none is missing, beside live traffic.

    python tests/bench/lists.py [--faxes N] [--rounds N] [--most-rounds N]
        [--amqp-url URL --database-url URL]   # instead of private ones: queues are EMPTIED, the ledger is OVERWRITTEN

Events come at a steady pace all the time. The provider, a process of its own with its pages made beforehand, answers for
a second and withholds its answers for a second, in turn: so what came while the list was read is compared with what came
meanwhile while it was not, on the same machine in the same minute. *A/A* is what 99 of 100 such comparisons stay below where
there is no difference. Seconds in which other programs were busy are left out. While the goal is missed by more than
chance explains, up to `--most-rounds` more are measured, and all of them count: a difference that is there stays.
Everything is on loopback, on all cores.
"""

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
from collections import defaultdict
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

sys.path.extend(str((Path(__file__).parent / folder).resolve()) for folder in (".", "../support", "../.."))

import asyncpg
import uvloop
from dispatchers import SECRETS_KEY, STORE, an_event
from list_rounds import GOAL_RATIO, PHASE_SECONDS, Round, compared, is_too_high, reading_seconds, undisturbed
from list_server import SPAN
from others import Others
from processes import ServiceProcess, running
from receiver import Receiver, receiving
from stack import Stores, private_stores
from stores import fresh_topology
from waiting import until

from dispatcher.lists.pace import FAXES_PER_SECOND
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.lifecycle import ending_bit
from shared.amqp.publisher import Publisher
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import FAX_IN, topology
from shared.domain import EventType, Provider, encode_event, utc_now
from shared.ids import uuid7
from shared.sql.migrate import migrate

PER_SECOND = 100.0
EDGE_SECONDS = 0.25
"""At the start of each phase: the last page of the one before is still being read, or the first one is asked for."""

SERVER = Path(__file__).with_name("list_server.py")
GOAL_SECONDS, GOAL_BYTES = 60.0, 200 * 1024 * 1024
READINGS = """
SELECT extract(epoch FROM started_at)::float8 AS began, extract(epoch FROM finished_at)::float8 AS ended
FROM list_readings ORDER BY started_at
"""
DRAWN = """
SELECT count(*) > 0 AND bool_and(extract(epoch FROM drawn_up_at) > $1) FROM accounts WHERE provider = 'phaxio'
"""
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


@dataclass
class Live:
    """The live traffic: when each event was sent, by the loop's clock, and what the application received."""

    receiver: Receiver
    sent: dict[str, float] = field(default_factory=dict)

    def taken(self, since: float, until: float) -> dict[int, list[float]]:
        """Return how long the events took to be told that were sent from *since* to *until*, by phase.

        Seconds of the epoch; the edges of the phases are left out.
        """
        offset = utc_now().timestamp() - asyncio.get_running_loop().time()
        found: dict[int, list[float]] = defaultdict(list)
        for webhook in self.receiver.received:
            if (at := self.sent.get(webhook.event_id)) is not None and since <= offset + at < until:
                phase, into = divmod(offset + at, PHASE_SECONDS)
                if into >= EDGE_SECONDS:
                    found[int(phase)].append(webhook.at - at)
        return found


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def memory_bytes(process: ServiceProcess, name: str) -> int:
    """Return `VmRSS` or `VmHWM` (the most so far) of a process."""
    lines = Path(f"/proc/{process.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def every_seconds(faxes: int) -> float:
    """Return from reading to reading, the pauses and a busy machine included."""
    return 12.0 + 2.4 * faxes / FAXES_PER_SECOND


async def measure_lists(stores: Stores, faxes: int, rounds: int, most_rounds: int = 0) -> tuple[list[Round], int]:
    """Read the list *rounds* times beside live traffic, once more at first; print what it cost.

    Return the rounds, and by how many bytes the dispatcher grew at most. While the p99 of live traffic is too high by more
    than chance explains, there are up to *most_rounds* rounds.
    """
    await fresh_topology(stores.amqp_url, topology(parse_backoff(DEFAULT_BACKOFF)))
    await migrate(stores.database_url)
    since = utc_now() - SPAN - timedelta(hours=1)
    provider = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SERVER), str(faxes), since.isoformat()), stdout=asyncio.subprocess.PIPE
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
                async with running(
                    "dispatcher", environment | lists | {"RECONCILE_EVERY": f"{every_seconds(faxes):.0f}s"}
                ) as dispatcher:
                    live, others = Live(receiver), Others(PHASE_SECONDS)
                    watching = asyncio.create_task(others.watch())
                    sending = asyncio.create_task(_send(stores.amqp_url, live.sent))
                    done = [await _round(pool, number, live) for number in range(rounds + 1)]
                    while len(done) <= most_rounds and is_too_high(*compared(undisturbed(done, others))):
                        done.append(await _round(pool, len(done), live))
                    for task in (watching, sending):
                        task.cancel()
                        with suppress(asyncio.CancelledError):
                            await task
                    most = memory_bytes(dispatcher, "VmHWM") - before
                account = await pool.fetchrow(
                    "SELECT sum(theirs) AS theirs, sum(missing) AS missing FROM accounts WHERE theirs > 0"
                )
                assert account is not None
    finally:
        provider.kill()
        await provider.wait()
    say(f"account: {account['theirs']:,} theirs, {account['missing'] or 0} missing")
    counted, phases = undisturbed(done, others), sum(len(each.taken) for each in done)
    left_out = phases - sum(len(each.taken) for each in counted)
    say(f"of {phases} phases {left_out} are left out: other programs were busy")
    return counted, most


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


async def _round(pool: asyncpg.Pool, number: int, live: Live) -> Round:
    """Wait for reading *number*, from 0, with its account, and for the rest until the next one begins."""
    readings: list[asyncpg.Record] = []

    async def is_known(wanted: int, name: str) -> bool:
        readings[:] = await pool.fetch(READINGS)
        return len(readings) >= wanted and readings[wanted - 1][name] is not None

    await until(lambda: is_known(number + 1, "ended"), "a reading", 150)
    began, read = readings[number]["began"], readings[number]["ended"]

    async def is_drawn() -> bool:
        return bool(await pool.fetchval(DRAWN, read))

    await until(is_drawn, "the account is drawn up", 60)
    ended = utc_now().timestamp()
    await asyncio.sleep(1.0)  # the last events are told
    of_account = [each for some in live.taken(read, ended).values() for each in some]
    done = Round(reading_seconds(began, read) + ended - read, live.taken(began, read), of_account)
    during, paused, noise = compared([done])
    say(
        f"{'the first reading' if number == 0 else f'round {number}'}: {done.seconds:.1f} s of reading and counting; live "
        f"p99 {during * 1000:.1f} ms during it, {paused * 1000:.1f} ms between, ratio {during / paused:.2f}, A/A "
        f"{noise:.2f}; account alone {ended - read:.1f} s, {max(of_account, default=0.0) * 1000:.1f} ms at most"
    )
    return done


def _report(done: list[Round], most_bytes: int) -> dict[str, float]:
    """Say and return what the readings came to; the first one reads and notes every fax."""
    during, paused, noise = compared(done)
    longest = max(each.seconds for each in done)
    say(
        f"live p99 while a list is read: {during / paused:.2f} times that between ({during * 1000:.1f} and "
        f"{paused * 1000:.1f} ms), A/A {noise:.2f}; {len(done)} readings"
    )
    say(f"longest {longest:.1f} s; memory above a dispatcher without lists: {most_bytes / 1024**2:.0f} MiB at most")
    return {"seconds": longest, "bytes": most_bytes, "ratio": during / paused, "noise": noise, "paused": paused}


def main() -> int:
    """Return 0 if the goals are reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faxes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most-rounds", type=int, default=0, help="more, while the goal is clearly missed")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--amqp-url")
    parser.add_argument("--database-url")
    asked = parser.parse_args()
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    gc.disable()  # a collection over all that was received would stop the application that measures
    given = asked.amqp_url and asked.database_url
    with nullcontext(Stores(asked.amqp_url, asked.database_url)) if given else private_stores() as stores:
        figures = _report(*uvloop.run(measure_lists(stores, asked.faxes, asked.rounds, asked.most_rounds)))
    if asked.json:
        asked.json.write_text(json.dumps(figures))
    is_reached = figures["seconds"] < GOAL_SECONDS and figures["bytes"] < GOAL_BYTES and figures["ratio"] < GOAL_RATIO
    return 0 if is_reached else 1


if __name__ == "__main__":
    sys.exit(main())
