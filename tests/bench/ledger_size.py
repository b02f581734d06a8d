"""What a large ledger changes: cost per event beside a small one in turns, list pages, the sweeper's look, retention.

The faxes are generated in the ledger itself (questions.py). Where the disk has too little room, fewer are made, and the
row says how many. The store's cache is that of the private PostgreSQL, 128 MB; the system's own cache is not limited.
"""

import shutil
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import aiohttp
import asyncpg
from callback_load import json_callback, next_number
from dispatchers import STORE
from questions import LATEST_ATTEMPT, fill, questions
from rows import Figure, Row, ratios
from run import AT_LEAST, Phase, Run, percentile, say, told
from stack import TOKEN, Service, Stack, stack
from trees import NOW
from wire import Application, applying

from dispatcher.ledger import pruning
from dispatcher.maintenance import overdue
from dispatcher.maintenance.retention import EVENTS_PER_STEP
from dispatcher.maintenance.sweeper import MOST_PER_SWEEP
from dispatcher.policy.endpoint import Endpoint
from shared.ids import uuid7

SMALL = 5_000
BYTES_PER_FAX = 4_000
"""Of the disk: rows, indexes and WAL, and as much again for a vacuum."""

GOAL = 1.2
GOAL_PAGE_SECONDS = 0.3
PRUNED_STEPS = 20
ASKED = ("what failed yesterday, and why", "all of number …0001, this month", "the deliveries of endpoint E")


def possible_faxes(wanted: int, free_bytes: int) -> int:
    """Return how many faxes the disk has room for, at most *wanted*.

    >>> possible_faxes(5_000_000, 8_000_000_000)
    2000000
    """
    return min(wanted, free_bytes // BYTES_PER_FAX)


async def measure(run: Run) -> None:
    """Add the rows of a large ledger."""
    run.stores.pin(run.cores.measured)
    faxes = possible_faxes(run.sizes.faxes, shutil.disk_usage(tempfile.gettempdir()).free)
    if faxes < run.sizes.faxes:
        say(f"ledger: the disk has room for {faxes:,} faxes, not {run.sizes.faxes:,}")
    counts = (min(SMALL, faxes), faxes)
    async with AsyncExitStack() as opened:
        application = await opened.enter_async_context(applying())
        ledgers: list[tuple[Stack, Service, Service]] = []
        asked: dict[str, tuple[str, str, object]] = {}
        for position, count in enumerate(counts):
            place = await opened.enter_async_context(stack(NOW, run.stores, run.cores, f"ledger_{position}"))
            began = time.monotonic()
            endpoint_ids = await fill(place.pool, count)
            say(f"ledger: {count:,} faxes in {time.monotonic() - began:.0f} s")
            attempted = await place.pool.fetchval(LATEST_ATTEMPT)
            asked = questions(count, endpoint_ids, attempted)
            await place.pool.execute("UPDATE endpoints SET enabled = false")
            owed = Endpoint(id=uuid7(), url=application.url, tokens=("bench-token",), max_concurrent=32)
            await STORE.insert(place.pool, owed)
            dispatcher = await opened.enter_async_context(place.dispatcher(RETENTION_DAYS="90"))
            ledgers.append((place, await opened.enter_async_context(place.ingress()), dispatcher))
        phases = await _rounds(run, application, ledgers)
        large, _, dispatcher = ledgers[-1]
        size = await large.pool.fetchval("SELECT pg_database_size(current_database())")
        _add_costs(run, counts, phases, float(size))
        await _add_pages(run, counts[-1], dispatcher, asked)
        await _add_maintenance(run, counts[-1], large.pool)


async def _rounds(
    run: Run, application: Application, ledgers: list[tuple[Stack, Service, Service]]
) -> tuple[list[Phase], list[Phase]]:
    phases: tuple[list[Phase], list[Phase]] = ([], [])
    for turn in range(run.sizes.rounds + 1):
        for position, (place, ingress, dispatcher) in enumerate(ledgers):
            numbers = [next_number() for _ in range(max(AT_LEAST, run.sizes.events))]
            pids = {"ingress": ingress.pid, "dispatcher": dispatcher.pid, **run.stores.pids}
            requests = {number: json_callback(number) for number in numbers}
            phase = await told(application, ingress.port, pids, requests, place.recorded)
            if turn:  # not counted: connections, caches, statements
                phases[position].append(phase)
    return phases


def _add_costs(run: Run, counts: tuple[int, int], phases: tuple[list[Phase], list[Phase]], size: float) -> None:
    small, large = phases
    quotient = ratios([phase.cost for phase in large], [phase.cost for phase in small])
    words = f"{counts[1]:,} faxes in the ledger"
    run.report.rows += [
        Row(f"cost per event with {words} ÷ with {counts[0]:,}", f"< {GOAL}", GOAL, "times", {"now": quotient}),
        Row(f"· size with {words}", "", None, "MB", {"now": Figure.of([size])}),
    ]
    for count, each in zip(counts, phases, strict=True):
        run.report.rows.append(
            Row(f"· CPU of an event with {count:,}", "", None, "µs", {"now": Figure.of([phase.cost for phase in each])})
        )
        if "PostgreSQL" in run.stores.pids:
            figures = {"now": Figure.of([phase.cpu["PostgreSQL"] for phase in each])}
            run.report.rows.append(Row(f"· of it PostgreSQL with {count:,}", "", None, "µs", figures))
        p99 = {"now": Figure.of([percentile(phase.told_seconds, 0.99) for phase in each])}
        run.report.rows.append(Row(f"· in → told with {count:,}, p99, as fast as it goes", "", None, "ms", p99))


async def _add_pages(run: Run, faxes: int, dispatcher: Service, asked: dict[str, tuple[str, str, object]]) -> None:
    """Add how long pages of lists take over HTTP."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for words in ASKED:
            method, path, body = asked[words]
            taken = []
            for _ in range(run.sizes.rounds):
                began = time.perf_counter()
                async with session.request(method, dispatcher.url + path, json=body) as response:
                    await response.read()
                    assert response.status == 200, f"{path}: {response.status}"
                taken.append(time.perf_counter() - began)
            run.report.rows.append(
                Row(
                    f"{faxes:,} faxes: {words}",
                    f"< {GOAL_PAGE_SECONDS * 1000:.0f} ms",
                    GOAL_PAGE_SECONDS,
                    "ms",
                    {"now": Figure.of(taken)},
                )
            )


async def _add_maintenance(run: Run, faxes: int, pool: asyncpg.Pool) -> None:
    """Add what the sweeper's look takes, and what retention does for each event."""
    async with pool.acquire() as connection:
        looks = []
        for _ in range(run.sizes.rounds):
            began = time.perf_counter()
            await overdue.find(connection, 0.0, MOST_PER_SWEEP)
            looks.append(time.perf_counter() - began)
        before, after = datetime.now(UTC) - timedelta(days=15), (datetime(1, 1, 1, tzinfo=UTC), "")
        steps = []
        for _ in range(PRUNED_STEPS):
            began = time.perf_counter()
            old = await pruning.old_events(connection, before, after, EVENTS_PER_STEP)
            if not old:
                break
            await pruning.prune(connection, [each.event_id for each in old if each.is_over], before)
            after = (old[-1].received_at, old[-1].event_id)
            steps.append((time.perf_counter() - began) / len(old))
    run.report.rows.append(Row(f"{faxes:,} faxes: a look of the sweeper", "", None, "ms", {"now": Figure.of(looks)}))
    if steps:
        figures = {"now": Figure(statistics.median(steps), min(steps), max(steps))}
        run.report.rows.append(Row(f"{faxes:,} faxes: retention, for each event", "", None, "µs", figures))
