"""10,000 dead deliveries, 5 causes, 20 endpoints: looked at in under a second, replayed beside live traffic unnoticed."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from dispatchers import Bench, an_event
from graveyard import CAUSES, bury
from receiver import Receiver
from stores import count
from waiting import until

from dispatcher.ops.dead.letters import DeadFilter
from dispatcher.ops.dead.service import DeadLetterService
from shared.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
Opening = Callable[..., AbstractAsyncContextManager[DeadLetterService]]

DEAD = 10_000
PER_CAUSE = DEAD // len(CAUSES)
LIVE_EVERY_SECONDS = 0.02
SLICE_SECONDS = 2.5


async def test_ten_thousand_are_listed_and_grouped_in_under_a_second(bench: Bench, opening: Opening) -> None:
    endpoints = [await bench.endpoint(enabled=False) for _ in range(20)]
    await bury(bench, endpoints, DEAD)
    async with opening() as dead:
        began = time.perf_counter()
        page = await dead.page(DeadFilter(), None, 100)
        listed = time.perf_counter()
        groups = (await dead.groups(DeadFilter())).items
        grouped = time.perf_counter()
        rest = await dead.page(DeadFilter(endpoint_id=endpoints[3].id, cause="http_5xx"), page.next, 200)
        filtered = time.perf_counter()
    assert len(page.items) == 100
    assert [(group.count, group.endpoints) for group in groups] == [(PER_CAUSE, 20)] * 5
    assert {letter.endpoint_id for letter in rest.items} == {endpoints[3].id}
    took = (listed - began, grouped - listed, filtered - grouped)
    assert max(took) < 1.0, took
    sys.stderr.write(f"list {took[0]:.3f} s, group {took[1]:.3f} s, filter {took[2]:.3f} s\n")


async def test_a_letter_of_the_queue_among_ten_thousand_copies_is_found_in_under_a_second(
    bench: Bench, dead: DeadLetterService
) -> None:
    await bury(bench, [await bench.endpoint()], DEAD)
    await bench.publisher.publish("fax.dead", "delivery", b"not ours", {"cause": "unreadable"})
    began = time.perf_counter()
    groups = (await dead.groups(DeadFilter())).items
    took = time.perf_counter() - began
    assert {group.cause: group.count for group in groups}["unreadable"] == 1
    assert sum(group.count for group in groups) == DEAD + 1
    assert took < 1.5, took
    sys.stderr.write(f"with a look into the queue {took:.3f} s\n")
    assert await count(bench.amqp_url, "dead.deliveries") == DEAD + 1


class Live:
    """Live traffic to an application of its own: how long each callback's event took to be told."""

    def __init__(self, bench: Bench, receiver: Receiver) -> None:
        self._bench = bench
        self._sent: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._number = 1_000_000
        receiver.answer = self._answer

    def _answer(self, received: object) -> int:
        event_id = received.event_id  # type: ignore[attr-defined]
        self._seconds.setdefault(event_id, time.perf_counter() - self._sent[event_id])
        return 200

    async def slice(self, seconds: float) -> list[float]:
        """Send for so long, wait for all of it, return the seconds of each."""
        names, ends_at = [], time.perf_counter() + seconds
        next_at = time.perf_counter()
        while next_at < ends_at:
            await asyncio.sleep(max(0.0, next_at - time.perf_counter()))
            next_at += LIVE_EVERY_SECONDS
            self._number += 1
            event = an_event(self._number)
            names.append(event.id)
            self._sent[event.id] = time.perf_counter()
            await self._bench.publish(event)
        await until(lambda: all(name in self._seconds for name in names), "live events are told")
        return [self._seconds[name] for name in names]


def p99(samples: list[float]) -> float:
    return sorted(samples)[int(len(samples) * 0.99)]


@asynccontextmanager
async def replaying(bench: Bench, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `faxhook dead replay` beside us, as an operator does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dispatcher.ops",
        "dead",
        "replay",
        "--yes",
        "--json",
        *arguments,
        env={**os.environ, **bench.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
