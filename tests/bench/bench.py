"""`make bench`: what faxhook costs, measured in one run on this machine, as ratios to a bare handler, beside the goals.

    python tests/bench/bench.py [--callbacks N] [--deliveries N] [--probes N] [--endpoints N] [--json]
        [--amqp-url URL --database-url URL]   # stores to use instead of private ones: the vhost's queues are EMPTIED

Everything is on loopback: a provider, `python -m ingress`, RabbitMQ, `python -m dispatcher`, PostgreSQL, an
application. The stores are private ones in a temporary folder, so that no other work is counted; they are on one
disk with fsync and confirms on. CPU time of provider and application is not counted. About two minutes.
"""

import argparse
import asyncio
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.extend(str((Path(__file__).parent / folder).resolve()) for folder in (".", "../support", "../.."))

import asyncpg
import callbacks
import uvloop
from cpu import cpu_seconds
from dispatchers import SECRETS_KEY, STORE
from endpoints import endpoint_rows
from processes import SECRETS, ServiceProcess, running
from rows import Row, microseconds
from stores import fresh_topology
from waiting import until
from wire import Application, applying, post_all, request_of

from deploy.services import control
from dispatcher.policy.endpoint import Endpoint
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import topology
from shared.ids import uuid7
from shared.sql.migrate import migrate

LANES = 32
WARM_UP = 300
ENOUGH_SECONDS = 60.0
PAUSE_SECONDS = 0.02
"""Between two callbacks of the unloaded run: everything is at rest again."""

QUIET = {"LOG_LEVEL": "INFO"}
"""As in production: the lines are made and written."""


@dataclass
class Stores:
    """Where they are and, if they are ours alone, the processes to count."""

    amqp_url: str
    database_url: str
    pids: dict[str, int] = field(default_factory=dict)


# ---- Callbacks -------------------------------------------------------------------------------------------------------


def json_callback(number: int) -> bytes:
    """A sent fax's completion as JSON, signed with HMAC-SHA256 of the body."""
    fax = {"id": number, "direction": "sent", "status": "success", "num_pages": 2, "from_number": "+15550100101"}
    body = json.dumps({"event_type": "fax_completed", "fax": {**fax, "completed_at": "2026-10-03T08:00:00.000Z"}})
    sent = callbacks.phaxio_json(body.encode(), path="/phaxio-callback")
    return request_of(sent.target, sent.headers, sent.body)


def form_callback(number: int) -> bytes:
    """The same as a multipart form of ten fields, signed as Phaxio signs."""
    fax = {"id": number, "direction": "sent", "status": "success", "num_pages": 2, "from_number": "+15550100101"}
    fields = [("fax", json.dumps({**fax, "completed_at": "2026-10-03T08:00:00.000Z"})), ("event_type", "fax_completed")]
    fields += [("success", "true"), ("direction", "sent"), ("is_test", "false"), ("message", "Fax completed")]
    fields += [(f"metadata_{letter}", f"a value of {letter}") for letter in "abcd"]
    sent = callbacks.phaxio_form(fields)
    return request_of(sent.target, sent.headers, sent.body)


# ---- What is run -----------------------------------------------------------------------------------------------------


@contextmanager
def private_stores() -> Iterator[Stores]:
    """Bring up stores of our own; afterwards nothing is left of them."""
    with tempfile.TemporaryDirectory(prefix="faxhook-bench-") as folder:
        data = Path(folder) / "local"
        environ = {**os.environ, "AMQP_URL": "", "DATABASE_URL": ""}
        try:
            services = control.up(data, environ=environ)
            pids = {each.name: each.pid for each in control.status(data, environ=environ) if each.pid is not None}
            yield Stores(services.amqp_url, services.database_url, pids)
        finally:
            control.reset(data)


@asynccontextmanager
async def bare() -> AsyncIterator[tuple[int, int]]:
    """Run the bare handler; yield its port and process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).with_name("bare.py"))), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline()), process.pid
    finally:
        process.kill()
        await process.wait()


async def cost_of(port: int, pid: int, requests: Sequence[bytes]) -> float:
    """Return the CPU seconds that process *pid* takes for each of *requests*, the first ones not counted."""
    warm_up = len(requests) // 10
    await post_all(port, requests[:warm_up], LANES)
    before = cpu_seconds(pid)
    await post_all(port, requests[warm_up:], LANES)
    return max(cpu_seconds(pid) - before, 1e-6) / (len(requests) - warm_up)


async def ingress_rows(ingress: ServiceProcess, count: int) -> list[Row]:
    """Measure what one callback costs the ingress, beside what it costs a bare handler, both twice in turns."""
    kinds = (("HMAC-signed JSON callback", json_callback, 2.0), ("10-field multipart callback", form_callback, 2.5))
    rows = []
    for position, (name, make, goal) in enumerate(kinds):
        numbers = range(10_000_000 * (position + 1), 10_000_000 * (position + 1) + count)
        requests = [make(number) for number in numbers]
        ours, theirs = [], []
        async with bare() as (port, pid):
            for half in (requests[: count // 2], requests[count // 2 :]):
                theirs.append(await cost_of(port, pid, half))
                ours.append(await cost_of(ingress.port, ingress.process.pid, half))
        mine, bare_seconds = sum(ours) / 2, sum(theirs) / 2
        times = mine / bare_seconds
        measured = f"{times:.2f} times ({microseconds(mine)} to {microseconds(bare_seconds)})"
        rows.append(Row(f"ingress CPU per {name}", f"≤ {goal} times a bare handler", measured, times / goal))
    return rows


async def delivery_rows(
    stores: Stores, pool: asyncpg.Pool, front: dict[str, str], back: dict[str, str], count: int, probes: int
) -> list[Row]:
    """Measure the whole way, loaded and unloaded."""

    async def told(wanted: int) -> None:
        async def enough() -> bool:
            return await pool.fetchval("SELECT count(*) FROM deliveries WHERE state = 'told'") >= wanted

        await until(enough, f"{wanted} told in the ledger", ENOUGH_SECONDS)

    async with applying() as application:
        url = f"http://127.0.0.1:{application.port}/hook"
        await STORE.insert(pool, Endpoint(id=uuid7(), url=url, tokens=("token",), max_concurrent=32))
        async with running("ingress", front) as ingress, running("dispatcher", back) as dispatcher:
            services = {"ingress": ingress.process.pid, "dispatcher": dispatcher.process.pid}
            loaded = await loaded_row(application, ingress.port, services, stores, told, count)
            return [loaded, await unloaded_row(application, ingress.port, probes)]


async def loaded_row(
    application: Application,
    port: int,
    services: dict[str, int],
    stores: Stores,
    told: Callable[[int], Awaitable[None]],
    count: int,
) -> Row:
    """Measure what one delivery costs under load."""
    counted = {**services, **stores.pids}
    warm_up = [json_callback(30_000_000 + number) for number in range(min(WARM_UP, count))]
    await post_all(port, warm_up, LANES)
    await application.got(len(warm_up), ENOUGH_SECONDS)
    await told(len(warm_up))

    requests = [json_callback(40_000_000 + number) for number in range(count)]
    before = {name: cpu_seconds(pid) for name, pid in counted.items()}
    started = time.perf_counter()
    await post_all(port, requests, LANES)
    await application.got(len(warm_up) + count, ENOUGH_SECONDS)
    elapsed = application.last_at - started
    await told(len(warm_up) + count)
    spent = {name: cpu_seconds(pid) - before[name] for name, pid in counted.items()}
    per_core_second = count / max(sum(spent.values()), 1e-6)
    shares = ", ".join(f"{name} {microseconds(seconds / count)}" for name, seconds in spent.items())
    left_out = "" if stores.pids else "; the stores are not ours and NOT counted"
    return Row(
        "callback in → webhook told, everything counted",
        "≥ 2,000 deliveries/s per core",
        f"{per_core_second:,.0f}/s per core ({shares}; {count / elapsed:,.0f}/s went through{left_out})",
        2000 / per_core_second,
    )


async def unloaded_row(application: Application, port: int, probes: int) -> Row:
    """Measure how long one callback takes while nothing else happens."""
    seconds = []
    for number in range(probes):
        told_before = application.count
        started = time.perf_counter()
        await post_all(port, [json_callback(50_000_000 + number)], 1)
        await application.got(told_before + 1, ENOUGH_SECONDS)
        seconds.append(application.last_at - started)
        await asyncio.sleep(PAUSE_SECONDS)  # the pace of the probes
    seconds.sort()
    p99 = seconds[math.ceil(0.99 * len(seconds)) - 1]
    median = seconds[len(seconds) // 2]
    return Row(
        "callback in → told, unloaded, p99",
        "< 25 ms",
        f"{p99 * 1000:.1f} ms (median {median * 1000:.1f} ms, {len(seconds)} callbacks)",
        p99 / 0.025,
    )


async def bench(stores: Stores, callbacks_count: int, deliveries: int, probes: int, endpoints: int) -> list[Row]:
    """Measure all; the broker's queues are emptied before each part."""
    wanted = topology(parse_backoff(DEFAULT_BACKOFF))
    await migrate(stores.database_url)
    with tempfile.TemporaryDirectory(prefix="faxhook-bench-media-") as media:
        common = {"AMQP_URL": stores.amqp_url, "MEDIA_URL": Path(media).as_uri(), **QUIET}
        front = common | SECRETS | {"INGRESS_PORT": "0"}
        back = {"DATABASE_URL": stores.database_url, "SECRETS_KEY": SECRETS_KEY, "OPS_PORT": "0"}
        back |= common | {"EGRESS_ALLOW_NETWORKS": "127.0.0.0/8"}
        await fresh_topology(stores.amqp_url, wanted)
        async with running("ingress", front) as ingress:
            rows = await ingress_rows(ingress, callbacks_count)
        await fresh_topology(stores.amqp_url, wanted)
        async with asyncpg.create_pool(stores.database_url, min_size=1, max_size=1) as pool:
            rows += await delivery_rows(stores, pool, front, back, deliveries, probes)
        await fresh_topology(stores.amqp_url, wanted)
        async with running("ingress", front) as ingress:
            database = [stores.pids["PostgreSQL"]] if "PostgreSQL" in stores.pids else []
            counts = (10, endpoints // 10, endpoints)
            of_endpoints = {"events": max(60, deliveries // 6), "rounds": 5 if deliveries > 1_000 else 1}
            rest_seconds = 5.0 if deliveries > 1_000 else 0.2
            rows += await endpoint_rows(
                *(stores.database_url, database, ingress, back, json_callback),
                **of_endpoints,
                rest_seconds=rest_seconds,
                counts=counts,
            )
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the rows for people."""
    lines = []
    for row in rows:
        verdict = "reached" if row.ratio <= 1 else "missed"
        lines += [row.what, f"    goal      {row.goal}", f"    measured  {row.measured}"]
        lines += [f"    to goal   {row.ratio:.2f}  {verdict}"]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--callbacks", type=int, default=10_000, help="for each of the ingress's two measures")
    parser.add_argument("--deliveries", type=int, default=6_000)
    parser.add_argument("--probes", type=int, default=200, help="callbacks of the unloaded run")
    parser.add_argument("--endpoints", type=int, default=100_000, help="in the ledger, at most")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--amqp-url", help="a vhost to use instead of a private broker; its queues are EMPTIED")
    parser.add_argument("--database-url", help="a database to use instead of a private one")
    asked = parser.parse_args()
    if bool(asked.amqp_url) != bool(asked.database_url):
        parser.error("--amqp-url and --database-url belong together")
    if min(asked.callbacks, asked.deliveries) < 2 * LANES or asked.probes < 1 or asked.endpoints < 200:
        parser.error(
            f"too few to measure anything: at least {2 * LANES} callbacks and deliveries, one probe, 200 endpoints"
        )
    counts = (asked.callbacks, asked.deliveries, asked.probes, asked.endpoints)
    if asked.amqp_url:
        rows = uvloop.run(bench(Stores(asked.amqp_url, asked.database_url), *counts))
    else:
        with private_stores() as stores:
            rows = uvloop.run(bench(stores, *counts))
    sys.stdout.write((json.dumps([asdict(row) for row in rows]) if asked.json else table(rows)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
