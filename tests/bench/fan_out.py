"""What an event costs that one endpoint is owed, or five, or twenty: dispatcher, PostgreSQL and RabbitMQ grow with it."""

from contextlib import AsyncExitStack
from typing import Any

from callback_load import json_callback, next_number
from contestants import tree_place
from rows import Figure, Row
from run import AT_LEAST, Phase, Run, rotated, told

FAN_OUTS = (1, 5, 20)


def number_of(fan_out: int) -> str:
    """Return the fax number whose faxes are owed to *fan_out* endpoints."""
    return f"+1555020{fan_out:04}"


def endpoints(url: str) -> list[dict[str, Any]]:
    """Return the endpoints of all numbers, on the application at *url*."""
    common = {"scope": "number", "tokens": ["bench-token"], "max_concurrent": 32}
    return [
        {**common, "match": number_of(fan_out), "url": f"{url}/{fan_out}/{number}"}
        for fan_out in FAN_OUTS
        for number in range(fan_out)
    ]


async def measure(run: Run) -> None:
    """Add the cost of an event and of a delivery by fan-out, in turns."""
    run.stores.pin(run.cores.measured)
    async with AsyncExitStack() as opened:
        ways = [
            await opened.enter_async_context(tree_place(run, at, "fan_out", endpoints)) for at in range(len(run.trees))
        ]
        phases: dict[tuple[str, int], list[Phase]] = {(way.name, each): [] for way in ways for each in FAN_OUTS}
        for turn in range(run.sizes.rounds + 1):
            for fan_out in FAN_OUTS:
                for way in rotated(ways, turn):
                    count = max(AT_LEAST, run.sizes.events // 2 // fan_out)
                    numbers = [next_number() for _ in range(count)]
                    requests = {number: json_callback(number, number_of(fan_out)) for number in numbers}
                    pids = way.pids | run.stores.pids
                    phase = await told(way.application, way.port, pids, requests, way.settled, webhooks=fan_out)
                    if turn:  # not counted: connections, caches, statements
                        phases[way.name, fan_out].append(phase)
    for fan_out in FAN_OUTS:
        costs = {way.name: [phase.cost for phase in phases[way.name, fan_out]] for way in ways}
        what = f"fan-out {fan_out}: CPU"
        run.report.rows += [
            Row(f"{what} of an event", "", None, "µs", {name: Figure.of(each) for name, each in costs.items()}),
            Row(
                f"· {what} of a delivery",
                "",
                None,
                "µs",
                {name: Figure.of([cost / fan_out for cost in each]) for name, each in costs.items()},
            ),
        ]
