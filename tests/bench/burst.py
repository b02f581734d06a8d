"""Thousands of events at once for one healthy endpoint with default settings: they are told at its own pace, in order."""

from contextlib import AsyncExitStack

from callback_load import json_callback, next_number
from rows import Figure, Row
from run import ENOUGH_SECONDS, LANES, Run
from stack import stack
from wire import applying, post_all

MAX_CONCURRENT = 8
"""The default."""

ANSWER_SECONDS = 0.020
"""Its pace is then 400/s."""

GOAL = 0.9
RECEIVED = "SELECT fax_id FROM events ORDER BY received_at, id"


async def measure(run: Run) -> None:
    """Add how fast a burst is told, as a share of the endpoint's own pace, and how far from first in first out."""
    run.stores.pin(run.cores.measured)
    pace = MAX_CONCURRENT / ANSWER_SECONDS
    rates: dict[str, Figure] = {}
    displaced: dict[str, Figure] = {}
    for tree in run.trees:
        async with AsyncExitStack() as opened:
            application = await opened.enter_async_context(applying(ANSWER_SECONDS))
            place = await opened.enter_async_context(stack(tree, run.stores, run.cores, "burst"))
            async with place.dispatcher() as dispatcher:
                await place.add_endpoint(dispatcher, url=application.url, tokens=["bench-token"])
            numbers = [next_number() for _ in range(run.sizes.burst)]
            async with place.ingress() as ingress:
                await post_all(ingress.port, [json_callback(number) for number in numbers], LANES)
            async with place.dispatcher():
                await application.got(len(numbers), ENOUGH_SECONDS)
                await place.recorded()
            received = [int(row["fax_id"]) for row in await place.pool.fetch(RECEIVED)]
            arrivals = application.arrivals
            rates[tree.name] = Figure.of([(len(arrivals) - 1) / (arrivals[-1][1] - arrivals[0][1]) / pace])
            displaced[tree.name] = Figure.of([float(_most_displaced(received, [each for each, _ in arrivals]))])
    run.report.rows += [
        Row(
            f"{run.sizes.burst:,} events at once to one healthy endpoint: rate ÷ its own pace",
            f"≥ {GOAL}",
            GOAL,
            "times",
            rates,
            note=f"default settings, it answers in {ANSWER_SECONDS * 1000:.0f} ms: {pace:,.0f}/s",
            more_is_better=True,
        ),
        Row("· places by which one overtook at most", "", None, "", displaced, note=f"{MAX_CONCURRENT} at once"),
    ]


def _most_displaced(wanted: list[int], came: list[int]) -> int:
    """Return by how many places one came earlier than it was received, at most.

    >>> _most_displaced([1, 2, 3, 4], [1, 4, 2, 3])
    2
    """
    place = {number: position for position, number in enumerate(wanted)}
    return max(place[number] - position for position, number in enumerate(came))
