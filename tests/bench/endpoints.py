"""What an event costs, and a dispatcher at rest, with ten endpoints in the ledger, ten thousand, a hundred thousand."""

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import asyncpg
from cpu import cpu_seconds
from dispatchers import STORE
from ledgers import add_endpoints_of_numbers
from processes import ServiceProcess, start
from rows import Row, microseconds
from stores import with_database
from wire import Application, applying, post_all

from dispatcher.policy.endpoint import Endpoint
from shared.ids import uuid7
from shared.sql.migrate import migrate

COUNTS = (10, 10_000, 100_000)
LANES = 32
ENOUGH_SECONDS = 60.0
KB = 1024

Callback = Callable[[int], bytes]


async def endpoint_rows(
    database_url: str,
    store_pids: Sequence[int],
    ingress: ServiceProcess,
    back: dict[str, str],
    make: Callback,
    *,
    events: int,
    rounds: int,
    rest_seconds: float,
    counts: Sequence[int] = COUNTS,
) -> list[Row]:
    """Measure a dispatcher on a ledger of each size, in turns; *events* in each round.

    CPU of the dispatcher and of the stores' processes is counted.
    """
    async with applying() as application:
        ledgers = [await _ledger(database_url, count, application.port) for count in counts]
        costs: dict[int, list[float]] = {count: [] for count in counts}
        start_seconds, start_bytes, rest = [], [], 0.0
        numbers = iter(range(60_000_000, 99_000_000))
        for turn in range(rounds):
            order = list(zip(counts, ledgers, strict=True))
            for count, ledger in order if turn % 2 else reversed(order):
                requests = [make(next(numbers)) for _ in range(events)]
                began = time.monotonic()
                dispatcher = await (await start("dispatcher", back | {"DATABASE_URL": ledger})).ready()
                try:
                    if count == counts[-1]:
                        start_seconds.append(time.monotonic() - began)
                        start_bytes.append(_resident_bytes(dispatcher.process.pid))
                    pids = (dispatcher.process.pid, *store_pids)
                    costs[count].append(await _cost_of(application, ingress.port, pids, requests))
                    if count == counts[-1] and turn == rounds - 1:
                        rest = await _rest_share(dispatcher.process.pid, rest_seconds)
                finally:
                    dispatcher.terminate()
                    await dispatcher.ended(60)
    base = statistics.median(costs[counts[0]])
    quotients = [statistics.median(costs[count]) / base for count in counts[1:]]
    spread = ", ".join(f"{count:,}: {microseconds(statistics.median(each))}" for count, each in costs.items())
    most = max(start_seconds)
    return [
        Row(
            f"cost per event with {counts[-1]:,} endpoints",
            f"< 1.1 times that with {counts[0]}",
            f"{' and '.join(f'{each:.2f}' for each in quotients)} times ({spread})",
            quotients[-1] / 1.1,
        ),
        Row(f"a dispatcher at rest, {counts[-1]:,} endpoints", "< 1 % of a core", f"{rest:.2%} of a core", rest / 0.01),
        Row(
            f"start to ready, {counts[-1]:,} endpoints",
            "< 5 s and 300 MB",
            f"{most:.1f} s and {max(start_bytes) / 1e6:.0f} MB",
            max(most / 5, max(start_bytes) / 300e6),
        ),
    ]


async def _ledger(database_url: str, count: int, port: int) -> str:
    """Return the URL of a new ledger with *count* endpoints, one of which gets everything."""
    name = f"faxhook_bench_{count}"
    admin = await asyncpg.connect(database_url)
    try:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.execute(f'CREATE DATABASE "{name}"')
    finally:
        await admin.close()
    url = with_database(database_url, name)
    await migrate(url)
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        hook = f"http://127.0.0.1:{port}/hook"
        await STORE.insert(pool, Endpoint(id=uuid7(), url=hook, tokens=("token",), max_concurrent=32))
        await add_endpoints_of_numbers(pool, count - 1)
        # What the autovacuum would do soon would be counted otherwise. An empty ledger's statistics stay as they are.
        await pool.execute("VACUUM endpoints")
    return url


async def _cost_of(application: Application, port: int, pids: Sequence[int], requests: Sequence[bytes]) -> float:
    warm_up = len(requests) // 5
    before_count = application.count
    await post_all(port, requests[:warm_up], LANES)
    await application.got(before_count + warm_up, ENOUGH_SECONDS)
    before = sum(map(cpu_seconds, pids))
    await post_all(port, requests[warm_up:], LANES)
    await application.got(before_count + len(requests), ENOUGH_SECONDS)
    return max(sum(map(cpu_seconds, pids)) - before, 1e-6) / (len(requests) - warm_up)


async def _rest_share(pid: int, seconds: float) -> float:
    before = _scheduled_seconds(pid)
    await asyncio.sleep(seconds)  # at rest
    return (_scheduled_seconds(pid) - before) / seconds


def _scheduled_seconds(pid: int) -> float:
    """Return the CPU seconds of a process, to a nanosecond."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * KB for line in lines if line.startswith("VmRSS:"))
