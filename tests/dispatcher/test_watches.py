"""A dispatcher of which any part hangs ends and names the part; one that waits for a store does not end."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import aiohttp
import pytest
from dispatchers import DispatcherHarness, an_event
from proxy import proxied
from stores import count
from waiting import until

from dispatcher import __main__ as main
from dispatcher.settings import DispatcherSettings
from shared.broker import WORK_EVENTS
from shared.runtime.service import Stop
from shared.runtime.watchdog import Stalled, Watch
from shared.settings import load

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

HUNG = {
    "shared.amqp.publisher.keep_connected": "connection to publish, 1 waiting",
    "dispatcher.consumers.consumer.keep_connected": "connection to consume, 1 waiting",
    "dispatcher.ledger.intake.Intake.take": "messages of the work queues, 1 waiting",
    "dispatcher.ledger.health.LedgerHealth._ask": "answers of the ledger, 1 waiting",
    "dispatcher.ledger.endpoints.EndpointStore.of_events": "messages of the work queues, 1 waiting",
    "dispatcher.ledger.deliveries.record": "outcomes to be recorded, 1 waiting",
    "dispatcher.delivery.attempts.Attempts._attempt": "attempts under way, 1 waiting",
    "dispatcher.delivery.settler.Settler.settle": "deliveries held, 1 waiting",
}
"""What hangs, and what the sentence about it ends with."""


async def hang(*_arguments: object, **_options: object) -> None:
    await asyncio.get_running_loop().create_future()


@pytest.fixture
def port(unused_tcp_port: int) -> int:
    """Where the dispatcher of `dispatching` tells of its health."""
    return unused_tcp_port


async def is_ready(port: int) -> bool:
    try:
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientConnectorError:
        return False


async def is_not_ready(port: int) -> bool:
    return not await is_ready(port)


@pytest.mark.parametrize("hung", HUNG)
async def test_a_part_that_hangs_ends_the_dispatcher_with_its_name_and_nothing_is_lost(
    harness: DispatcherHarness, port: int, monkeypatch: pytest.MonkeyPatch, hung: str
) -> None:
    name = HUNG[hung].partition(",")[0]
    monkeypatch.setattr(main, "Watch", lambda each, _most, *rest: Watch(each, 2.0 if each == name else 1e6, *rest))
    monkeypatch.setattr(main, "BATCH_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(main, "FAILED_DRAIN_SECONDS", 0.5)
    await harness.endpoint()
    stop = Stop()
    settings = load(DispatcherSettings, {**harness.environment, "OPS_PORT": str(port)})
    if hung.startswith(("shared.amqp.publisher", "dispatcher.consumers.consumer")):
        monkeypatch.setattr(hung, hang)
        serving = asyncio.create_task(main.serve(settings, stop))
    else:
        serving = asyncio.create_task(main.serve(settings, stop))
        await until(lambda: is_ready(port), "ready")
        monkeypatch.setattr(hung, hang)
    await harness.publish(an_event(1))
    async with asyncio.timeout(60):
        await serving
    assert isinstance(stop.failure, Stalled)
    assert str(stop.failure).endswith(f"though there was work: {HUNG[hung]}")
    known = await harness.pool.fetchval("SELECT count(*) FROM deliveries")

    async def is_kept() -> bool:  # the broker puts back what was not acked a moment after it lost the connection
        return known + await count(harness.amqp_url, WORK_EVENTS) == 1

    await until(is_kept, "the event is in the ledger or in the queue")


async def test_a_dispatcher_that_has_nothing_to_do_or_no_store_is_left_alone_by_the_watchdog(
    harness: DispatcherHarness, dispatching: Dispatching, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.endpoint()
    # Each bound at a tenth: what takes 6 s of standing still would end it here.
    monkeypatch.setattr(main, "Watch", lambda name, most, *rest: Watch(name, most / 10, *rest))
    async with (
        proxied(harness.environment["DATABASE_URL"]) as (proxy, through),
        dispatching(DATABASE_URL=through) as stop,
    ):
        proxy.cut()
        await harness.publish(an_event(1))
        await until(lambda: is_not_ready(port), "the ledger is missed")
        deadline = time.monotonic() + 8.0
        await until(lambda: stop.is_set or time.monotonic() > deadline, "8 s or an end")
        assert not stop.is_set
        proxy.restore()
        await harness.settled(1)
