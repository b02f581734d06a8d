"""What an event costs, a dispatcher at rest and its start, with few endpoints in the ledger and with many, in turns."""

import asyncio
import time
from contextlib import AsyncExitStack

from callback_load import json_callbacks
from cpu import cpu_seconds
from dispatchers import STORE
from ledgers import add_endpoints_of_numbers
from rows import Figure, Row, ratios
from run import AT_LEAST, ENOUGH_SECONDS, LANES, Run
from stack import Service, Stack, spent, stack
from trees import NOW
from wire import Application, applying, post_all

from dispatcher.policy.endpoint import Endpoint
from shared.ids import uuid7

MOST_START_SECONDS = 5.0
MOST_START_BYTES = 300e6


async def measure(run: Run) -> None:
    """Add the rows of 10, 10,000 and 100,000 endpoints; of this tree only.

    CPU of the dispatcher and of the stores is counted. Each round starts each dispatcher anew.
    """
    run.stores.pin(run.cores.measured)
    counts = run.sizes.endpoints
    costs: dict[int, list[float]] = {count: [] for count in counts}
    start_seconds, start_bytes = [], []
    rest: dict[int, float] = {}
    async with AsyncExitStack() as opened:
        application = await opened.enter_async_context(applying())
        places = {}
        for count in counts:
            places[count] = await opened.enter_async_context(stack(NOW, run.stores, run.cores, f"endpoints_{count}"))
            await _fill(places[count], count, application.url)
        for turn in range(run.sizes.rounds):
            for count in counts if turn % 2 else reversed(counts):
                place, began = places[count], time.monotonic()
                async with place.dispatcher() as dispatcher, place.ingress() as ingress:
                    if count == counts[-1]:
                        start_seconds.append(time.monotonic() - began)
                        start_bytes.append(float(dispatcher.resident_bytes))
                    pids = {"dispatcher": dispatcher.pid, **run.stores.pids}
                    costs[count].append(await _cost_of(application, place, ingress, pids, run.sizes.events))
                    if turn == run.sizes.rounds - 1:
                        rest[count] = await _rest_share(dispatcher.pid, run.sizes.rest_seconds)
    _add_rows(run, costs, rest, start_seconds, start_bytes)


async def _fill(place: Stack, count: int, url: str) -> None:
    """Put *count* endpoints into a ledger, one of which gets everything."""
    await STORE.insert(place.pool, Endpoint(id=uuid7(), url=url, tokens=("bench-token",), max_concurrent=32))
    await add_endpoints_of_numbers(place.pool, count - 1)
    # What the autovacuum would do soon would be counted otherwise. An empty ledger's statistics stay as they are.
    await place.pool.execute("VACUUM endpoints")


async def _cost_of(
    application: Application, place: Stack, ingress: Service, pids: dict[str, int], events: int
) -> float:
    """Return the seconds of CPU for each event, the first fifth not counted."""
    ahead = max(AT_LEAST, events // 5)
    told_before = application.count
    await post_all(ingress.port, json_callbacks(ahead), LANES)
    await application.got(told_before + ahead, ENOUGH_SECONDS)
    before = sum(spent(pids).values())
    await post_all(ingress.port, json_callbacks(events), LANES)
    await application.got(told_before + ahead + events, ENOUGH_SECONDS)
    await place.recorded()
    return (sum(spent(pids).values()) - before) / events


async def _rest_share(pid: int, seconds: float) -> float:
    before = cpu_seconds(pid)
    await asyncio.sleep(seconds)  # at rest
    return (cpu_seconds(pid) - before) / seconds


def _add_rows(
    run: Run,
    costs: dict[int, list[float]],
    rest: dict[int, float],
    start_seconds: list[float],
    start_bytes: list[float],
) -> None:
    counts = list(costs)
    few, many = counts[0], counts[-1]
    for count in counts[1:]:
        quotient = {"now": ratios(costs[count], costs[few])}
        run.report.rows.append(
            Row(f"cost per event with {count:,} endpoints ÷ with {few}", "< 1.1", 1.1, "times", quotient)
        )
    for count in counts:
        run.report.rows.append(Row(f"· CPU with {count:,} endpoints", "", None, "µs", {"now": Figure.of(costs[count])}))
    run.report.rows += [
        Row(
            f"a dispatcher at rest, {many:,} endpoints", "< 1 % of a core", 0.01, "%", {"now": Figure.of([rest[many]])}
        ),
        *(Row(f"· with {count:,}", "", None, "%", {"now": Figure.of([rest[count]])}) for count in counts[:-1]),
        Row(
            f"start to ready, {many:,} endpoints",
            f"< {MOST_START_SECONDS:.0f} s",
            MOST_START_SECONDS,
            "s",
            {"now": Figure.of(start_seconds)},
            note="ingress included",
        ),
        Row(
            f"memory of the dispatcher then, {many:,} endpoints",
            f"< {MOST_START_BYTES / 1e6:.0f} MB",
            MOST_START_BYTES,
            "MB",
            {"now": Figure.of(start_bytes)},
        ),
    ]
