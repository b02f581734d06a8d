"""What an event costs, a dispatcher at rest and its start, with few endpoints in the ledger and with many, in turns."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import product

from callback_load import json_callbacks
from cpu import cpu_seconds
from ledgers import add_endpoints_of_numbers
from rows import Figure, Row, ratios
from run import AT_LEAST, ENOUGH_SECONDS, LANES, Run
from stack import Service, Stack, spent, stack
from trees import NOW
from wire import Application, applying, post_all

MOST_START_SECONDS = 5.0
MOST_START_BYTES = 300e6


@dataclass
class Measured:
    """What was measured of a tree with a number of endpoints.

    Attributes:
        costs: Seconds of CPU for each event, round by round.
        rest_share: Of a core that the dispatcher takes at rest.
        start_seconds: Until both services are ready, round by round.
        start_bytes: Of the dispatcher then.
        trouble: Why there is nothing: the dispatcher does not get ready, or the events are not told.
    """

    costs: list[float] = field(default_factory=list)
    rest_share: float = 0.0
    start_seconds: list[float] = field(default_factory=list)
    start_bytes: list[float] = field(default_factory=list)
    trouble: str = ""


async def measure(run: Run) -> None:
    """Add the rows of 10, 10,000 and 100,000 endpoints.

    CPU of the dispatcher and of the stores is counted. Each round starts each dispatcher anew.
    """
    run.stores.pin(run.cores.measured)
    counts = run.sizes.endpoints
    async with AsyncExitStack() as opened:
        application = await opened.enter_async_context(applying())
        measured: dict[tuple[str, int], tuple[Stack, Measured]] = {}
        for tree, count in product(run.trees, counts):
            place = await opened.enter_async_context(stack(tree, run.stores, run.cores, f"endpoints_{count}"))
            await _fill(place, count, application.url)
            measured[tree.name, count] = (place, Measured())
        for turn in range(run.sizes.rounds):
            for place, found in list(measured.values())[:: 1 if turn % 2 else -1]:
                if not found.trouble:
                    await _round(run, application, place, found, is_last=turn == run.sizes.rounds - 1)
    _add_rows(run, {each: found for each, (_, found) in measured.items()})


async def _round(run: Run, application: Application, place: Stack, found: Measured, *, is_last: bool) -> None:
    began = time.monotonic()
    try:
        async with place.dispatcher() as dispatcher, place.ingress() as ingress:
            found.start_seconds.append(time.monotonic() - began)
            found.start_bytes.append(float(dispatcher.resident_bytes))
            pids = {"dispatcher": dispatcher.pid, **run.stores.pids}
            found.costs.append(await _cost_of(application, place, ingress, pids, run.sizes.events))
            if is_last:
                found.rest_share = await _rest_share(dispatcher.pid, run.sizes.rest_seconds)
    except AssertionError as error:
        if place.tree == NOW:
            raise
        found.trouble = str(error).partition(" at its start")[0]  # behind it come the last lines of its log
        await place.purge()


async def _fill(place: Stack, count: int, url: str) -> None:
    """Put *count* endpoints into a ledger, one of which gets everything."""
    await place.add_endpoints({"url": url, "tokens": ["bench-token"], "max_concurrent": 32})
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


def _add_rows(run: Run, measured: dict[tuple[str, int], Measured]) -> None:
    few, *_, many = counts = run.sizes.endpoints

    def add(
        what: str,
        count: int,
        unit: str,
        figure: Callable[[Measured, Measured], Figure],
        *,
        goal: str = "",
        limit: float | None = None,
        note: str = "",
    ) -> None:
        found = {tree.name: (measured[tree.name, count], measured[tree.name, few]) for tree in run.trees}
        figures = {name: figure(*pair) for name, pair in found.items() if not (pair[0].trouble or pair[1].trouble)}
        notes = [note, *(f"{name}: {each.trouble}" for name, (each, _) in found.items() if each.trouble)]
        run.report.rows.append(Row(what, goal, limit, unit, figures, note="; ".join(filter(None, notes))))

    for count in counts[1:]:
        what = f"cost per event with {count:,} endpoints ÷ with {few}"
        add(what, count, "times", lambda each, least: ratios(each.costs, least.costs), goal="< 1.1", limit=1.1)
    for count in counts:
        add(f"· CPU with {count:,} endpoints", count, "µs", lambda each, _: Figure.of(each.costs))
    for count in (many, *counts[:-1]):
        goal = {"goal": "< 1 % of a core", "limit": 0.01} if count == many else {}
        what = f"a dispatcher at rest, {many:,} endpoints" if count == many else f"· with {count:,}"
        add(what, count, "%", lambda each, _: Figure.of([each.rest_share]), **goal)
    add(
        f"start to ready, {many:,} endpoints", many, "s", lambda each, _: Figure.of(each.start_seconds),
        goal=f"< {MOST_START_SECONDS:.0f} s", limit=MOST_START_SECONDS, note="ingress included",
    )  # fmt: skip
    add(
        f"memory of the dispatcher then, {many:,} endpoints", many, "MB", lambda each, _: Figure.of(each.start_bytes),
        goal=f"< {MOST_START_BYTES / 1e6:.0f} MB", limit=MOST_START_BYTES,
    )  # fmt: skip
