"""Thousands of events at once for one healthy endpoint with default settings: they are told at its own pace, in order.

Endings, and pages of faxes under way: before the attempt at an inflight event that has waited, it is looked up again
whether it is overtaken.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from callback_load import json_callback, next_number, page_callback
from rows import Figure, Row
from run import ENOUGH_SECONDS, LANES, Run
from stack import resident_bytes, spent, stack
from trees import Tree
from wire import applying, post_all

MAX_CONCURRENT = 8
"""The default."""

ANSWER_SECONDS = 0.020
"""Its pace is then 400/s."""

LOOK_SECONDS = 0.2
GOAL = 0.9
RECEIVED = "SELECT fax_id FROM events ORDER BY received_at, id"


@dataclass
class Burst:
    """What a burst showed.

    Attributes:
        share: Of the endpoint's own pace.
        displaced: Places by which one overtook at most.
        cost: Seconds of CPU of each event by process, from the first webhook on: without what starting takes.
        most_bytes: That the dispatcher had in memory.
    """

    share: float
    displaced: int
    cost: dict[str, float]
    most_bytes: float


async def measure(run: Run) -> None:
    """Add how endings and pages are told; in `make bench`."""
    await _measure(run, run.sizes.burst)


async def measure_long(run: Run) -> None:
    """Add how five times as many are told, and at what cost beside the smaller burst; in `make bench-full`."""
    await _measure(run, run.sizes.burst * 5)


async def _measure(run: Run, count: int) -> None:
    run.stores.pin(run.cores.measured)
    endings = {tree.name: await _burst(run, tree, count, json_callback) for tree in run.trees}
    pages = {tree.name: await _burst(run, tree, count, page_callback) for tree in run.trees}
    what = f"{count:,} events at once to one healthy endpoint"
    pace = MAX_CONCURRENT / ANSWER_SECONDS

    def row(name: str, unit: str, found: dict[str, Burst], value: Callable[[Burst], float], note: str = "") -> Row:
        return Row(name, "", None, unit, {tree: Figure.of([value(each)]) for tree, each in found.items()}, note=note)

    rate = row(f"{what}: rate ÷ its own pace", "times", endings, lambda each: each.share)
    rate.goal, rate.limit, rate.more_is_better = f"≥ {GOAL}", GOAL, True
    rate.note = f"default settings, it answers in {ANSWER_SECONDS * 1000:.0f} ms: {pace:,.0f}/s"
    displaced = f"{MAX_CONCURRENT} at once"
    run.report.rows += [
        rate,
        row("· places by which one overtook at most", "", endings, lambda each: each.displaced, displaced),
        row("· CPU of each, dispatcher and stores", "µs", endings, lambda each: sum(each.cost.values())),
        row("· most memory of the dispatcher", "MB", endings, lambda each: each.most_bytes),
        row("· the same with pages of faxes under way: rate ÷ its own pace", "times", pages, lambda each: each.share),
        row("· places by which a page overtook at most", "", pages, lambda each: each.displaced, displaced),
        row("· CPU of each page, dispatcher and stores", "µs", pages, lambda each: sum(each.cost.values())),
    ]
    for part in ("dispatcher", *run.stores.pids):
        name = f"· of it {part}, of a page ÷ of an ending"
        figures = {
            tree: Figure.of([each.cost[part] / max(endings[tree].cost[part], 1e-9)]) for tree, each in pages.items()
        }
        run.report.rows.append(Row(name, "", None, "times", figures))


async def _burst(run: Run, tree: Tree, count: int, make: Callable[[int], bytes]) -> Burst:
    async with AsyncExitStack() as opened:
        application = await opened.enter_async_context(applying(ANSWER_SECONDS))
        place = await opened.enter_async_context(stack(tree, run.stores, run.cores, "burst"))
        await place.add_endpoints({"url": application.url, "tokens": ["bench-token"], "inflight": True})
        numbers = [next_number() for _ in range(count)]
        async with place.ingress() as ingress:
            await post_all(ingress.port, [make(number) for number in numbers], LANES)
        async with place.dispatcher() as dispatcher:
            pids = {"dispatcher": dispatcher.pid, **run.stores.pids}
            await application.got(1, ENOUGH_SECONDS)
            before, told_before = spent(pids), application.count
            looking = asyncio.create_task(application.got(count, ENOUGH_SECONDS))
            most_bytes = 0
            while not looking.done():
                most_bytes = max(most_bytes, resident_bytes(dispatcher.pid))
                await asyncio.wait({looking}, timeout=LOOK_SECONDS)
            await looking
            await place.recorded()
            used = {name: seconds - before[name] for name, seconds in spent(pids).items()}
        received = [int(row["fax_id"]) for row in await place.pool.fetch(RECEIVED)]
        arrivals = application.arrivals
        elapsed = arrivals[-1][1] - arrivals[0][1]
        return Burst(
            (len(arrivals) - 1) / elapsed / (MAX_CONCURRENT / ANSWER_SECONDS),
            _most_displaced(received, [each for each, _ in arrivals]),
            {name: seconds / (max(1, count - told_before)) for name, seconds in used.items()},
            float(most_bytes),
        )


def _most_displaced(wanted: list[int], came: list[int]) -> int:
    """Return by how many places one came earlier than it was received, at most.

    >>> _most_displaced([1, 2, 3, 4], [1, 4, 2, 3])
    2
    """
    place = {number: position for position, number in enumerate(wanted)}
    return max(place[number] - position for position, number in enumerate(came))
