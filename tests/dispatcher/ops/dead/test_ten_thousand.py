"""10,000 dead deliveries, 5 causes, 20 endpoints: looked at in under a second, replayed beside live traffic unnoticed."""

import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import Any

import msgspec
import pytest
from dead_letters import CAUSES, add_dead_deliveries
from dispatchers import DispatcherHarness, an_event
from processes import running
from receiver import Receiver, receiving
from receiver_process import receiver_process
from stores import count
from waiting import until

from dispatcher.ops.dead.letters import DeadFilter
from dispatcher.ops.dead.service import DeadLetterService
from shared.runtime.service import Stop

pytestmark = pytest.mark.alone

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
Opening = Callable[..., AbstractAsyncContextManager[DeadLetterService]]

DEAD = 10_000
PER_CAUSE = DEAD // len(CAUSES)
TRIES = 3
"""The best of which counts: others use this machine, too."""

LIVE_PER_SECOND = 100.0
SLICE_SECONDS = 2.4
PAIRS = 10
ROUNDS = 3
"""A machine that others use as well is noisy: live traffic must be unmoved in one round of these. Were it moved by the
replay, it would be in every one."""

MOST_MOVED = 1.1

MOST_SECONDS = 1.0


async def test_ten_thousand_are_listed_and_grouped_in_a_moment(harness: DispatcherHarness, opening: Opening) -> None:
    endpoints = [await harness.endpoint(enabled=False) for _ in range(20)]
    await add_dead_deliveries(harness, endpoints, DEAD)
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
    assert max(took) < MOST_SECONDS, took
    sys.stderr.write(f"list {took[0]:.3f} s, group {took[1]:.3f} s, filter {took[2]:.3f} s\n")


async def test_a_letter_of_the_queue_among_ten_thousand_copies_is_found_in_a_moment(
    harness: DispatcherHarness, opening: Opening
) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], DEAD)
    await harness.publisher.publish("fax.dead", "delivery", b"not ours", {"cause": "unreadable"})
    took = []
    for _ in range(TRIES):
        async with opening() as dead:  # which has not looked yet
            began = time.perf_counter()
            groups = (await dead.groups(DeadFilter())).items
            took.append(time.perf_counter() - began)
        assert {group.cause: group.count for group in groups}["unreadable"] == 1
        assert sum(group.count for group in groups) == DEAD + 1
    sys.stderr.write(f"with a look into the queue {', '.join(f'{each:.3f}' for each in took)} s\n")
    assert min(took) < MOST_SECONDS, took
    assert await count(harness.amqp_url, "dead.deliveries") == DEAD + 1


class Live:
    """Live traffic to an application of its own: how long each callback's event took to be told.

    Events come at random, independently of each other, as callbacks of many faxes do. A fixed distance of 10 ms would not
    tell what they meet: 200 ms from letter to letter is a multiple of it, so each letter of a slice would fall on a live
    event, or each between two, depending on the machine; and no two live events would ever meet.
    """

    def __init__(self, harness: DispatcherHarness, receiver: Receiver) -> None:
        self._harness = harness
        self._random = Random(1)
        self._sent: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._number = 1_000_000
        receiver.answer = self._answer

    def _answer(self, received: object) -> int:
        event_id = received.event_id
        self._seconds.setdefault(event_id, time.perf_counter() - self._sent[event_id])
        return 200

    async def slice(self, seconds: float) -> list[float]:
        """Send for so long, wait for all of it, return the seconds of each."""
        names, ends_at = [], time.perf_counter() + seconds
        next_at = time.perf_counter()
        async with asyncio.TaskGroup() as publishing:  # the next event does not wait for a confirm
            while next_at < ends_at:
                await asyncio.sleep(max(0.0, next_at - time.perf_counter()))
                next_at += self._random.expovariate(LIVE_PER_SECOND)
                self._number += 1
                event = an_event(self._number)
                names.append(event.id)
                self._sent[event.id] = time.perf_counter()
                publishing.create_task(self._harness.publish(event))
        await until(lambda: all(name in self._seconds for name in names), "live events are told")
        return [self._seconds[name] for name in names]


def p99(samples: list[float]) -> float:
    return sorted(samples)[int(len(samples) * 0.99)]


@asynccontextmanager
async def replaying(harness: DispatcherHarness, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
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
        env={**os.environ, **harness.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.timeout(280)
async def test_a_group_is_replayed_beside_live_traffic_killed_and_started_again_and_the_counts_add_up(
    harness: DispatcherHarness, unused_tcp_port: int
) -> None:
    environment = {**harness.environment, "OPS_PORT": str(unused_tcp_port)}
    async with receiver_process() as application, receiving() as live_receiver:
        endpoints = [await harness.endpoint(url=application.url, direction="received") for _ in range(20)]
        await add_dead_deliveries(harness, endpoints, DEAD)
        await harness.pool.execute("ANALYZE")  # a ledger that has lived knows how large its tables are
        await harness.endpoint(url=live_receiver.url, direction="sent")
        live = Live(harness, live_receiver)
        async with running("dispatcher", environment):
            await live.slice(1.0)
            async with replaying(harness, "--cause", "timeout") as replay:
                await until(lambda: application.delivery_ids, "the replay has begun", 30.0)
                moved = [await compared(live, replay)]
                while len(moved) < ROUNDS and min(moved) >= MOST_MOVED:
                    moved.append(await compared(live, replay))
                replay.kill()
        assert 0 < len(application.delivery_ids) < PER_CAUSE
        assert min(moved) < MOST_MOVED, moved
        job = await finished(harness)
        assert (job["total"], job["done"], job["failed"], job["left"]) == (PER_CAUSE, PER_CAUSE, 0, 0)
        async with running("dispatcher", environment):
            await until(lambda: len(application.delivery_ids) >= PER_CAUSE, "all told", 60.0)
            assert await told(harness, PER_CAUSE)
        assert len(set(application.delivery_ids)) == len(application.delivery_ids) == PER_CAUSE
    assert await count(harness.amqp_url, "dead.deliveries") == DEAD - PER_CAUSE


async def compared(live: Live, replay: asyncio.subprocess.Process) -> float:
    """Return live traffic's p99 beside the replay as a multiple of that without it, over many slices.

    The slices take turns, so that what else the machine does falls on both alike; how many there are is fixed. Of each
    kind the better half counts, in which the machine did little else: what a replay does it does in every slice.
    """
    quiet: list[float] = []
    busy: list[float] = []
    for pair in range(PAIRS):
        for is_busy in (True, False) if pair % 2 else (False, True):
            replay.send_signal(signal.SIGCONT if is_busy else signal.SIGSTOP)
            (busy if is_busy else quiet).append(p99(await live.slice(SLICE_SECONDS)))
    without, beside = (statistics.mean(sorted(each)[: PAIRS // 2]) for each in (quiet, busy))
    sys.stderr.write(
        f"live p99 {without * 1e3:.1f} ms without and {beside * 1e3:.1f} ms beside a replay, {PAIRS} slices each\n"
        f"without: {_in_ms(quiet)}\nbeside: {_in_ms(busy)}\n"
    )
    return beside / without


def _in_ms(samples: list[float]) -> str:
    return " ".join(f"{each * 1e3:.1f}" for each in samples)


async def finished(harness: DispatcherHarness) -> dict[str, Any]:
    """Start the same replay again, in a hurry now, until the killed one's lease has run out and it is gone on with."""

    async def goes_on() -> dict[str, Any] | None:
        async with replaying(harness, "--cause", "timeout", "--rate", "1000") as replay:
            said, complained = await replay.communicate()
        assert replay.returncode in {0, 69}, complained
        return None if replay.returncode else msgspec.json.decode(said)

    job: dict[str, Any] = await until(goes_on, "the replay is gone on with", 60.0)
    return job


async def told(harness: DispatcherHarness, wanted: int) -> bool:
    async def all_of_them() -> bool:
        return wanted == await harness.pool.fetchval(
            "SELECT count(*) FROM deliveries WHERE state = 'told' AND attempts > 1"
        )

    return bool(await until(all_of_them, "all are told", 30.0))
