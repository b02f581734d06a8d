"""Healthy endpoints' p99 while one of twenty is bad, in each of five ways, at a third of the traffic.

Phases in which the third goes to an endpoint that is well and phases in which it goes to a bad one take turns; all of
them count. Each bad phase has an endpoint of its own, whose circuit is closed when it begins. Where it opens, it does so
after 5 s, and the phase lasts until what was deferred came back, and one of it was the probe. Then the rest of it is
thrown away, so that the next phase without it is without it.

A name that resolves slowly is tried by `tests/dispatcher/delivery/test_bad_neighbour.py` only: it takes another machine.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise
from typing import Any

from callback_load import json_callback, next_number
from contestants import Contestant, tree_place
from neighbours import HEALTHY, bad_application, bad_endpoint, noise, number_of
from pamqp import commands
from rows import Figure, Row
from run import AT_LEAST, ENOUGH_SECONDS, LANES, Run, Sizes, percentile
from waiting import until
from wire import post_all

from shared.amqp.session import broker_session
from shared.backoff import DEFAULT_BACKOFF, DEFER_WAITS_SECONDS, parse_backoff
from shared.broker import defer_queue, retry_queue

KINDS = {
    "hang": "hangs",
    "drip": "drips",
    "tls": "hangs in the TLS handshake",
    "refuse": "refuses connections",
    "http_500": "answers 500",
}
PER_SECOND = 90.0
TIMEOUT_SECONDS = 5.0
SECONDS = 22.0
"""1,320 webhooks to healthy endpoints."""

GOAL = 1.1


async def measure(run: Run) -> None:
    """Add a row for each kind of bad neighbour."""
    run.stores.pin(run.cores.measured)
    for kind, is_bad in KINDS.items():
        figures, chances = {}, []
        for position, tree in enumerate(run.trees):
            async with AsyncExitStack() as opened:
                bad_url = await opened.enter_async_context(bad_application(kind))
                endpoints = partial(_endpoints, bad_url=bad_url, rounds=run.sizes.rounds)
                way = await opened.enter_async_context(tree_place(run, position, kind, endpoints))
                count = max(AT_LEAST, int(PER_SECOND * SECONDS * min(1.0, run.sizes.seconds / Sizes.seconds)))
                await _phase(way, 0, count)  # not counted: connections, caches, statements
                well, bad = [percentile(await _phase(way, 0, count), 0.99)], []
                for phase in range(run.sizes.rounds):
                    bad.append(percentile(await _phase(way, bad_endpoint(phase), count), 0.99))
                    await _forget(way)
                    well.append(percentile(await _phase(way, 0, count), 0.99))
                figures[tree.name] = Figure.of(
                    [b / (w * v) ** 0.5 for b, (w, v) in zip(bad, pairwise(well), strict=True)]
                )
                chances.append(noise(well))
        what = f"healthy endpoints' p99 beside one that {is_bad} at a third of the traffic ÷ beside one that is well"
        note = f"{PER_SECOND:.0f}/s in all; by chance up to {max(chances):.2f}"
        run.report.rows.append(Row(what, f"< {GOAL}", GOAL, "times", figures, note=note))


async def _forget(way: Contestant) -> None:
    """Throw away what is still owed, and its messages, once no attempt is under way."""
    place = way.place
    assert place is not None

    async def nothing_is_held() -> bool:
        query = "SELECT NOT EXISTS (SELECT 1 FROM deliveries WHERE lease_until > now())"
        return bool(await place.pool.fetchval(query))

    await until(nothing_is_held, "nothing held", ENOUGH_SECONDS)
    await place.pool.execute(
        "UPDATE deliveries SET state = 'skipped', settled_at = now() WHERE state IN ('pending', 'retrying')"
    )
    async with broker_session(place.amqp_url, "bench") as broker:
        # The first retries would come back in a later phase, too.
        retries = {retry_queue(each) for each in parse_backoff(DEFAULT_BACKOFF)}
        for queue in (*retries, *(defer_queue(each) for each in DEFER_WAITS_SECONDS)):
            await broker.call(commands.Queue.Purge(queue=queue))


def _endpoints(url: str, bad_url: Callable[[int], str], rounds: int) -> list[dict[str, Any]]:
    """Return the healthy endpoints, on the application at *url*, and a bad one for each round."""
    well = [{"match": number_of(number), "url": f"{url}/{number}"} for number in range(HEALTHY + 1)]
    bad = [
        {"match": number_of(bad_endpoint(phase)), "url": bad_url(phase), "timeout_seconds": TIMEOUT_SECONDS}
        for phase in range(rounds)
    ]
    return [{"scope": "number", **fields} for fields in (*well, *bad)]


async def _phase(way: Contestant, third: int, count: int) -> list[float]:
    """Send *count* callbacks, every third of a fax to *third*; return how long the healthy endpoints' webhooks took."""
    requests, numbers, before = [], [], way.application.count
    for at in range(count):
        number = next_number()
        endpoint = 1 + at % HEALTHY if at % 3 else third
        requests.append(json_callback(number, number_of(endpoint)))
        numbers.append((number, at % 3 != 0))
    sent = await post_all(way.port, requests, LANES, PER_SECOND)
    due_at = {number: at for (number, is_healthy), at in zip(numbers, sent.due_at, strict=True) if is_healthy}

    def told() -> dict[int, float]:
        return {number: at - due_at[number] for number, at in way.application.arrivals[before:] if number in due_at}

    await until(lambda: len(told()) == len(due_at), "the healthy endpoints told", ENOUGH_SECONDS)
    return list(told().values())
