"""What comes back while its endpoint's circuit is open is deferred again, without a lease; a held delivery is not."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from uuid import UUID

import pytest
from delivering import new_held
from dispatchers import DispatcherHarness, an_event
from receiver import receiving
from stores import take_all
from waiting import until

from dispatcher.consumers.deferrer import Deferrer
from dispatcher.delivery import deliverer
from dispatcher.delivery.circuit_breaker import TIMEOUTS_TO_OPEN
from dispatcher.delivery.leases import Releaser
from dispatcher.ledger import deliveries
from dispatcher.messages import BackgroundPublisher
from dispatcher.metrics import Metrics
from dispatcher.policy.delivery import Refused
from shared.backoff import DEFER_WAITS_SECONDS
from shared.broker import FAX_WORK, WORK_KEY, defer_queue
from shared.domain import EventType
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

NOTE_LEASES = """
CREATE TABLE leased (id uuid);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF NEW.lease_until IS NOT NULL THEN INSERT INTO leased VALUES (NEW.id); END IF; RETURN NEW; END $$;
CREATE TRIGGER note AFTER UPDATE ON deliveries FOR EACH ROW EXECUTE FUNCTION note();
"""


@pytest.fixture
def backoff() -> str:
    return "0.2s,6h"


async def test_through_the_dispatcher_it_gets_a_new_message_and_once_it_was_paused_it_is_parked(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    async with receiving() as hanging:
        hanging.answer = lambda _received: asyncio.Event().wait()
        bad = await harness.endpoint(url=hanging.url, timeout_seconds=0.5)
        events = [an_event(number, EventType.RECEIVED) for number in range(30)]
        await harness.publish(*events[:8])
        async with dispatching():
            timed_out = "SELECT count(*) >= $1 FROM attempts WHERE error = 'timeout'"
            await until(lambda: harness.pool.fetchval(timed_out, TIMEOUTS_TO_OPEN), "the circuit is open")
            await harness.publish(*events[8:])
            queue = defer_queue(DEFER_WAITS_SECONDS[0])
            deferred = await _messages(harness, queue, {event.id for event in events[8:]})
            await harness.pool.execute(NOTE_LEASES)

            # They come back before the next probe.
            for each in deferred:
                await _publish(harness, each)
            assert await _messages(harness, queue, {event.id for event in events[8:]}) == deferred
            leased = {row["id"] for row in await harness.pool.fetch("SELECT id FROM leased")}
            assert not leased & deferred
            late = "SELECT count(*) FROM deliveries WHERE id = ANY($1) AND due_at > now() AND attempts = 0"
            assert await harness.pool.fetchval(late, deferred) == len(deferred)

            await harness.pool.execute("UPDATE endpoints SET paused = true WHERE id = $1", bad.id)
            for each in deferred:
                await _publish(harness, each)
            parked = "SELECT count(*) FROM deliveries WHERE id = ANY($1) AND due_at > now() + interval '1 year'"

            async def all_parked() -> bool:
                return bool(await harness.pool.fetchval(parked, deferred) == len(deferred))

            await until(all_parked, "parked")


async def test_of_what_comes_back_when_a_probe_is_due_one_is_attempted_and_if_it_is_told_so_are_the_others(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, late_seconds = True, 0.0

    async def answer(_received: object) -> int:
        return await asyncio.Event().wait() if hangs else 200

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + late_seconds, perf_counter=time.perf_counter)
    monkeypatch.setattr(deliverer, "time", clock)
    async with receiving() as application:
        application.answer = answer
        await harness.endpoint(url=application.url, timeout_seconds=0.5)
        await harness.publish(*(an_event(number, EventType.RECEIVED) for number in range(8)))
        async with dispatching():
            timed_out = "SELECT count(*) >= $1 FROM attempts WHERE error = 'timeout'"
            await until(lambda: harness.pool.fetchval(timed_out, TIMEOUTS_TO_OPEN), "the circuit is open")
            events = [an_event(number, EventType.RECEIVED) for number in range(20, 30)]
            await harness.publish(*events)
            deferred = await _messages(harness, defer_queue(DEFER_WAITS_SECONDS[0]), {event.id for event in events})
            hangs, late_seconds = False, DEFER_WAITS_SECONDS[0]
            for each in deferred:
                await _publish(harness, each)
            told = "SELECT count(*) >= 1 FROM deliveries WHERE id = ANY($1) AND state = 'told'"
            await until(lambda: harness.pool.fetchval(told, deferred), "the probe is told")
            for each in deferred:
                await _publish(harness, each)
            all_told = "SELECT every(state = 'told') FROM deliveries WHERE id = ANY($1)"
            await until(lambda: harness.pool.fetchval(all_told, deferred), "the circuit is closed")


async def test_what_is_held_is_left_to_the_claim_and_nothing_is_asked_while_all_circuits_are_closed(
    harness: DispatcherHarness,
) -> None:
    endpoint = await harness.endpoint()
    held, free = (await harness.take(an_event(1), an_event(2))).deliveries
    await deliveries.release(harness.pool, [(held, 0.0), (free, 0.0)])
    holding = new_held()
    holding.hold(held.delivery_id, held)

    class Circuits:
        def __init__(self) -> None:
            self.refusing: list[Refused] = []

        def refused(self) -> list[Refused]:
            return self.refusing

    circuits = Circuits()
    releaser = Releaser(harness.pool, BackgroundPublisher(harness.publisher), holding, Metrics())
    deferrer = Deferrer(harness.pool, circuits, holding, releaser, 3_600.0)
    wanted = [(held.delivery_id, 1), (free.delivery_id, 1)]
    before = await harness.deliveries()
    assert await deferrer.defer(wanted) == []
    assert await harness.deliveries() == before
    circuits.refusing = [Refused(endpoint_id=endpoint.id, url=endpoint.url, failover_url=None, wait_seconds=15.0)]
    assert [each.delivery_id for each in await deferrer.defer(wanted)] == [free.delivery_id]


async def _publish(harness: DispatcherHarness, delivery_id: UUID) -> None:
    body = json.dumps({"delivery_id": str(delivery_id), "attempt": 1}).encode()
    await harness.publisher.publish(FAX_WORK, WORK_KEY, body, {})


async def _messages(harness: DispatcherHarness, queue: str, event_ids: set[str]) -> set[UUID]:
    """Take the messages in *queue* until there was one for each of the events; return the deliveries' ids."""
    found: set[UUID] = set()

    async def is_complete() -> bool:
        found.update(UUID(json.loads(each.body)["delivery_id"]) for each in await take_all(harness.amqp_url, queue))
        rows = await harness.pool.fetch("SELECT id FROM deliveries WHERE event_id = ANY($1)", list(event_ids))
        return {row["id"] for row in rows} <= found and len(rows) == len(event_ids)

    await until(is_complete, "each has its message")
    rows = await harness.pool.fetch("SELECT id FROM deliveries WHERE event_id = ANY($1)", list(event_ids))
    return {row["id"] for row in rows}
