"""What it costs from a callback in to its webhook told, every process and both stores counted, by load; and how long it takes."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from callback_load import json_callbacks
from contestants import Contestant, tree_way
from peers.peer import PEERS, peer_way
from rows import Figure, Point, Row, cost_shares, ratios
from run import AT_LEAST, ENOUGH_SECONDS, LANES, Phase, Run, at_rest, bare, bare_cost, percentile, rotated
from stack import Service
from wire import post_all

GOAL_RATIO = 11.0
GOAL_UNLOADED_SECONDS = 0.025
PAUSE_SECONDS = 0.02
"""Between two callbacks of the unloaded run: everything is at rest again."""

BATCHES = """
SELECT (SELECT count(*)::float8 / greatest(count(DISTINCT recorded_at), 1) FROM events WHERE recorded_at >= $1),
       (SELECT count(*)::float8 / greatest(count(DISTINCT settled_at), 1) FROM deliveries WHERE settled_at >= $1)
"""
"""The rows of one transaction have the same time."""


async def measure(run: Run, *, is_check: bool = False) -> None:
    """Add the rows of the whole way and the points of the picture. All that is measured shares one core.

    Args:
        run: On its stores.
        is_check: Only as fast as the lanes allow, beside a bare handler that is sent callbacks as fast as they allow, too:
            the quotient of two paces depends on what else the machine does.
    """
    run.stores.pin(run.cores.measured)
    async with AsyncExitStack() as opened:
        plain = await opened.enter_async_context(bare(run.cores))
        contestants = [await opened.enter_async_context(tree_way(run, at)) for at in range(len(run.trees))]
        if run.with_peers:
            contestants += [await opened.enter_async_context(peer_way(run, name)) for name in PEERS]
        for each in contestants:  # not counted: connections, caches, statements
            await each.send(run, max(AT_LEAST, run.sizes.events // 5))
        rates = () if is_check else run.sizes.rates
        bare_costs, dense, paced, batches = await _rounds(run, plain, contestants, rates, is_check=is_check)
        _add_dense(run, bare_costs, dense, batches)
        if not is_check:
            rest = {
                each.name: await at_rest(each.pids | run.stores.pids, run.sizes.rest_seconds) for each in contestants
            }
            run.report.points += [_point(*key, phases, rest[key[0]]) for key, phases in paced.items()]
            _add_paced(run, rest)
            await _measure_unloaded(run, contestants)


Batches = dict[str, list[tuple[float, float]]]


async def _rounds(
    run: Run, plain: Service, contestants: Sequence[Contestant], rates: Sequence[float], *, is_check: bool
) -> tuple[list[float], dict[str, list[Phase]], dict[tuple[str, float], list[Phase]], Batches]:
    """Measure in turns: the bare handler, everyone as fast as the lanes allow, everyone at each of *rates*."""
    bare_costs: list[float] = []
    dense: dict[str, list[Phase]] = {each.name: [] for each in contestants}
    paced: dict[tuple[str, float], list[Phase]] = {(each.name, rate): [] for each in contestants for rate in rates}
    batches: Batches = {each.name: [] for each in contestants if each.place is not None}
    for turn in range(run.sizes.rounds):
        bare_costs.append(await bare_cost(plain, run.sizes, is_paced=not is_check))
        for each in rotated(contestants, turn):
            since = None if each.place is None else await each.place.pool.fetchval("SELECT clock_timestamp()")
            dense[each.name].append(await each.send(run, run.sizes.events))
            if each.place is not None:
                batches[each.name].append(tuple(await each.place.pool.fetchrow(BATCHES, since)))
        for rate in rates:
            for each in rotated(contestants, turn):
                count = max(AT_LEAST, int(rate * run.sizes.seconds))
                paced[each.name, rate].append(await each.send(run, count, rate))
    return bare_costs, dense, paced, batches


def _add_dense(run: Run, bare_costs: list[float], dense: dict[str, list[Phase]], batches: Batches) -> None:
    costs = {name: [phase.cost for phase in phases] for name, phases in dense.items()}
    counted = "" if run.stores.pids else "; the stores are not ours and NOT counted"
    rows = [
        Row(
            "callback in → webhook told, everything counted: CPU ÷ a bare handler's",
            f"≤ {GOAL_RATIO:.0f}",
            GOAL_RATIO,
            "times",
            {name: ratios(each, bare_costs) for name, each in costs.items()},
            note=f"{LANES} lanes{counted}",
        ),
        Row(
            "· deliveries per second of CPU",
            "",
            None,
            "/s",
            {name: Figure.of([1 / each for each in values]) for name, values in costs.items()},
            note="2,000 is the goal where the bare handler takes 45 µs",
        ),
        Row(
            "· deliveries per second that went through the one core",
            "",
            None,
            "/s",
            {name: Figure.of([phase.per_second for phase in phases]) for name, phases in dense.items()},
        ),
    ]
    shares = {name: cost_shares([phase.cpu for phase in phases]) for name, phases in dense.items()}
    parts = list(dict.fromkeys(part for each in shares.values() for part in each))
    for part in parts:
        figures = {name: each[part] for name, each in shares.items() if part in each}
        rows.append(Row(f"· of it {part}", "", None, "µs", figures))
    of_dispatcher = {name: [phase.cpu["dispatcher"] for phase in phases] for name, phases in dense.items()}
    figures = {name: ratios(each, bare_costs) for name, each in of_dispatcher.items()}
    rows.append(Row("· of it dispatcher ÷ a bare handler's", "", None, "times", figures))
    rows.append(Row("· the bare handler", "", None, "µs", {"bare": Figure.of(bare_costs)}))
    for at, what in enumerate(("taken in", "recorded")):
        figures = {name: Figure.of([each[at] for each in values]) for name, values in batches.items()}
        rows.append(Row(f"· mean batch {what}", "", None, "", figures, note=f"{LANES} lanes"))
    run.report.rows += rows


def _point(name: str, rate: float, phases: Sequence[Phase], rest: dict[str, float]) -> Point:
    return Point(
        name,
        rate,
        Figure.of([phase.above_rest(rest, len(phase.told_seconds)) for phase in phases]),
        Figure.of([percentile(phase.told_seconds, 0.5) for phase in phases]),
        Figure.of([percentile(phase.told_seconds, 0.99) for phase in phases]),
    )


def _add_paced(run: Run, rest: dict[str, dict[str, float]]) -> None:
    """Add what is taken at rest, and a row of cost and one of latency for each rate of the picture."""
    for part in dict.fromkeys(part for each in rest.values() for part in each):
        figures = {name: Figure.of([each[part]]) for name, each in rest.items() if part in each}
        note = f"{len(rest)} at rest beside each other" if part in run.stores.pids else ""
        run.report.rows.append(Row(f"at rest: {part}, of a core", "", None, "%", figures, note=note))
    for rate in run.sizes.rates:
        points = [point for point in run.report.points if point.rate == rate]
        what = f"at {rate:,.0f} callbacks a second"
        run.report.rows += [
            Row(
                f"{what}: CPU of an event, above rest",
                "",
                None,
                "µs",
                {each.column: each.cost_seconds for each in points},
            ),
            Row(f"{what}: in → told, p99", "", None, "ms", {each.column: each.p99_seconds for each in points}),
        ]


async def _measure_unloaded(run: Run, contestants: Sequence[Contestant]) -> None:
    """Add how long one callback takes while nothing else happens."""
    seconds: dict[str, list[float]] = {each.name: [] for each in contestants}
    for _ in range(run.sizes.probes):
        for each in contestants:
            before = each.application.count
            sent = await post_all(each.port, json_callbacks(1), 1)
            await each.application.got(before + 1, ENOUGH_SECONDS)
            seconds[each.name].append(each.application.arrivals[-1][1] - sent.due_at[0])
            await asyncio.sleep(PAUSE_SECONDS)  # the pace of the probes
    for share, name in ((0.99, "p99"), (0.5, "median")):
        goal = GOAL_UNLOADED_SECONDS if share > 0.5 else None
        figures = {column: Figure.of([percentile(each, share)]) for column, each in seconds.items()}
        words = "" if goal is None else f"< {goal * 1000:.0f} ms"
        note = f"{run.sizes.probes} callbacks one by one"
        run.report.rows.append(Row(f"callback in → told, unloaded, {name}", words, goal, "ms", figures, note=note))
