"""What a large ledger changes: cost per event beside a small one in turns, list pages, the sweeper's look, retention.

The faxes are generated in the ledger itself (questions.py). Where the disk has too little room, fewer are made, and the
row says how many. The store's cache is that of the private PostgreSQL, 128 MB; the system's own cache is not limited.
Pages, sweeper and retention are those of this tree: an earlier one does not answer all of the questions.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
from callback_load import json_callback, next_number
from questions import LATEST_ATTEMPT, URLS, fill, questions
from rows import Figure, Row, ratios
from run import AT_LEAST, Phase, Run, percentile, rotated, say, told
from stack import TOKEN, Service, Stack, stack
from trees import Tree
from wire import Application, applying

from dispatcher.ledger import pruning
from dispatcher.maintenance import overdue
from dispatcher.maintenance.retention import EVENTS_PER_STEP
from dispatcher.maintenance.sweeper import MOST_PER_SWEEP

SMALL = 5_000
BYTES_PER_FAX = 4_000
"""Of the disk: rows, indexes and WAL, and as much again for a vacuum."""

GOAL = 1.2
GOAL_PAGE_SECONDS = 0.3
PRUNED_STEPS = 20
ASKED = ("what failed yesterday, and why", "all of number …0001, this month", "the deliveries of endpoint E")


def possible_faxes(wanted: int, free_bytes: int, ledgers: int = 1) -> int:
    """Return how many faxes the disk has room for in each of so many *ledgers*, at most *wanted*.

    >>> possible_faxes(5_000_000, 8_000_000_000), possible_faxes(5_000_000, 8_000_000_000, 2)
    (2000000, 1000000)
    """
    return min(wanted, free_bytes // (BYTES_PER_FAX * ledgers))


@dataclass
class Filled:
    """A ledger of *faxes* with its services, and what a phase cost there, round by round.

    Attributes:
        position: 0: the small one of its tree, 1: the large one.
        asked: The questions to it.
    """

    tree: Tree
    position: int
    faxes: int
    place: Stack
    ingress: Service
    dispatcher: Service
    asked: dict[str, tuple[str, str, object]]
    phases: list[Phase] = field(default_factory=list)


async def measure(run: Run) -> None:
    """Add the rows of a large ledger."""
    run.stores.pin(run.cores.measured)
    faxes = possible_faxes(run.sizes.faxes, shutil.disk_usage(tempfile.gettempdir()).free, len(run.trees))
    if faxes < run.sizes.faxes:
        say(f"ledger: the disk has room for {faxes:,} faxes, not {run.sizes.faxes:,}")
    counts = (min(SMALL, faxes), faxes)
    async with AsyncExitStack() as opened:
        application = await opened.enter_async_context(applying())
        ledgers = [
            await opened.enter_async_context(_filled(run, tree, position, counts[position], application))
            for tree in run.trees
            for position in (0, 1)
        ]
        await _rounds(run, application, ledgers)
        small, large = ledgers[:2]
        await _add_costs(run, small, large, ledgers)
        await _add_pages(run, large)
        await _add_maintenance(run, large)


@asynccontextmanager
async def _filled(run: Run, tree: Tree, position: int, faxes: int, application: Application) -> AsyncIterator[Filled]:
    async with stack(tree, run.stores, run.cores, f"ledger_{position}") as place:
        *ids, owed = await place.add_endpoints(
            *({"url": url} for url in URLS),
            {"url": application.url, "tokens": ["bench-token"], "max_concurrent": 32},
        )
        began = time.monotonic()
        await fill(place.pool, faxes, ids)
        say(f"ledger: {faxes:,} faxes of {tree.name} in {time.monotonic() - began:.0f} s")
        # Switched off only, each would have a row for each event, that says so: of this tree, not of an earlier one.
        await place.pool.execute("UPDATE endpoints SET enabled = false, removed_at = now() WHERE id <> $1", owed)
        asked = questions(faxes, ids, await place.pool.fetchval(LATEST_ATTEMPT))
        async with place.dispatcher(RETENTION_DAYS="90") as dispatcher, place.ingress() as ingress:
            yield Filled(tree, position, faxes, place, ingress, dispatcher, asked)


async def _rounds(run: Run, application: Application, ledgers: Sequence[Filled]) -> None:
    for turn in range(run.sizes.rounds + 1):
        for ledger in rotated(ledgers, turn):
            numbers = [next_number() for _ in range(max(AT_LEAST, run.sizes.events))]
            pids = {"ingress": ledger.ingress.pid, "dispatcher": ledger.dispatcher.pid, **run.stores.pids}
            requests = {number: json_callback(number) for number in numbers}
            phase = await told(application, ledger.ingress.port, pids, requests, ledger.place.recorded)
            if turn:  # not counted: connections, caches, statements
                ledger.phases.append(phase)


async def _add_costs(run: Run, small: Filled, large: Filled, ledgers: Sequence[Filled]) -> None:
    """Add what an event costs; *small* and *large* are those of this tree."""
    words = f"{large.faxes:,} faxes in the ledger"
    costs = {(each.tree.name, each.position): [phase.cost for phase in each.phases] for each in ledgers}
    names = [tree.name for tree in run.trees]
    quotients = {name: ratios(costs[name, 1], costs[name, 0]) for name in names}
    sizes = {}
    for each in ledgers:
        if each.position == large.position:
            size = await each.place.pool.fetchval("SELECT pg_database_size(current_database())")
            sizes[each.tree.name] = Figure.of([float(size)])
    run.report.rows += [
        Row(f"cost per event with {words} ÷ with {small.faxes:,}", f"< {GOAL}", GOAL, "times", quotients),
        Row(f"· size with {words}", "", None, "MB", sizes),
    ]
    for of_ours in (small, large):
        faxes = of_ours.faxes
        phases = {each.tree.name: each.phases for each in ledgers if each.position == of_ours.position}

        def figures(what: Callable[[Phase], float], phases: dict[str, list[Phase]] = phases) -> dict[str, Figure]:
            return {name: Figure.of([what(phase) for phase in each]) for name, each in phases.items()}

        cpu = figures(lambda phase: phase.cost)
        run.report.rows.append(Row(f"· CPU of an event with {faxes:,}", "", None, "µs", cpu))
        if "PostgreSQL" in run.stores.pids:
            of_ledger = figures(lambda phase: phase.cpu["PostgreSQL"])
            run.report.rows.append(Row(f"· of it PostgreSQL with {faxes:,}", "", None, "µs", of_ledger))
        p99 = figures(lambda phase: percentile(phase.told_seconds, 0.99))
        run.report.rows.append(Row(f"· in → told with {faxes:,}, p99, as fast as it goes", "", None, "ms", p99))


async def _add_pages(run: Run, ledger: Filled) -> None:
    """Add how long pages of lists take over HTTP."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for words in ASKED:
            method, path, body = ledger.asked[words]
            taken = []
            for _ in range(run.sizes.rounds):
                began = time.perf_counter()
                async with session.request(method, ledger.dispatcher.url + path, json=body) as response:
                    await response.read()
                    assert response.status == 200, f"{path}: {response.status}"
                taken.append(time.perf_counter() - began)
            run.report.rows.append(
                Row(
                    f"{ledger.faxes:,} faxes: {words}",
                    f"< {GOAL_PAGE_SECONDS * 1000:.0f} ms",
                    GOAL_PAGE_SECONDS,
                    "ms",
                    {"now": Figure.of(taken)},
                )
            )


async def _add_maintenance(run: Run, ledger: Filled) -> None:
    """Add what the sweeper's look takes, and what retention does for each event."""
    async with ledger.place.pool.acquire() as connection:
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
    run.report.rows.append(
        Row(f"{ledger.faxes:,} faxes: a look of the sweeper", "", None, "ms", {"now": Figure.of(looks)})
    )
    if steps:
        figures = {"now": Figure(statistics.median(steps), min(steps), max(steps))}
        run.report.rows.append(Row(f"{ledger.faxes:,} faxes: retention, for each event", "", None, "µs", figures))
