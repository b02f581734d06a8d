"""What a process holds is given back many at once, each with its message; nothing that is slow or away holds that up."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from delivering import new_held
from dispatchers import STORE, DispatcherHarness, an_event
from stores import take_all
from waiting import until

from dispatcher.delivery import leases as module
from dispatcher.delivery.leases import LeaseKeeper, Releaser
from dispatcher.ledger import deliveries
from dispatcher.ledger.pool import LedgerAway
from dispatcher.maintenance.sweeper import Sweeper
from dispatcher.messages import BackgroundPublisher
from dispatcher.metrics import Metrics
from dispatcher.policy.delivery import LeasedDelivery
from shared.amqp.publisher import NotKept
from shared.backoff import DEFER_WAITS_SECONDS
from shared.broker import WORK_DELIVERIES, defer_queue
from shared.runtime.service import end


class Releasing:
    """A releaser on real stores, with what it holds, and the sizes of its statements."""

    def __init__(self, harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch, publisher: Any = None) -> None:
        self.harness = harness
        self.held = new_held()
        self.messages = BackgroundPublisher(publisher or harness.publisher)
        self.releaser = Releaser(harness.pool, self.messages, self.held, Metrics())
        self.sizes: list[int] = []
        self.before_release: Callable[[], Any] = lambda: None
        self._release = deliveries.release
        monkeypatch.setattr(deliveries, "release", self._noted)

    async def _noted(self, pool: Any, leases: Any) -> Any:
        self.sizes.append(len(leases))
        before = self.before_release()
        if before is not None:
            await before
        return await self._release(pool, leases)

    async def lease(self, count: int) -> list[LeasedDelivery]:
        await self.harness.endpoint()
        leased = (await self.harness.take(*(an_event(number) for number in range(count)))).deliveries
        for delivery in leased:
            self.held.hold(delivery.delivery_id, delivery)
        return leased

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = {asyncio.create_task(part.run()) for part in (self.releaser, self.messages)}
        try:
            yield
        finally:
            await end(tasks)

    async def without_lease(self) -> int:
        return int(await self.harness.pool.fetchval("SELECT count(*) FROM deliveries WHERE lease_until IS NULL"))


async def test_a_lane_is_given_back_in_a_few_statements_and_every_delivery_has_its_message_and_is_due_with_it(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    releasing, wait = Releasing(harness, monkeypatch), DEFER_WAITS_SECONDS[1]
    leased = await releasing.lease(120)
    for each in leased:  # as its workers do, one by one
        releasing.releaser.release([each], wait)
    assert releasing.releaser.progress() == (120, 0)
    async with releasing.running():
        await releasing.releaser.drained()
    assert releasing.sizes == _deferred_in_turn(120)
    messages = await take_all(harness.amqp_url, defer_queue(wait))
    assert {json.loads(each.body)["delivery_id"] for each in messages} == {str(each.delivery_id) for each in leased}
    assert await releasing.without_lease() == 120
    due_in = await harness.pool.fetch("SELECT extract(epoch FROM due_at - now())::float8 AS seconds FROM deliveries")
    assert all(wait - 20 < each["seconds"] <= wait for each in due_in)
    assert releasing.held.progress() == (0, 120)


async def test_what_an_open_circuit_defers_is_gathered_and_what_is_due_at_once_takes_it_along(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    releasing = Releasing(harness, monkeypatch)
    few = module.LEAST_DEFERRED - 1
    leased = await releasing.lease(2 * few + 1)
    began = time.monotonic()
    async with releasing.running():
        for each in leased[:few]:  # as they come
            releasing.releaser.release([each], DEFER_WAITS_SECONDS[0])
            await asyncio.sleep(0.01)  # the pace of what comes
        await releasing.releaser.drained()
        assert time.monotonic() - began >= module.GATHER_SECONDS
        releasing.releaser.release(leased[few:-1], DEFER_WAITS_SECONDS[0])
        releasing.releaser.release(leased[-1:], 0.0)
        began = time.monotonic()
        await releasing.releaser.drained()
        assert time.monotonic() - began < module.GATHER_SECONDS
    assert releasing.sizes == [few, few + 1]


async def test_what_a_lane_defers_trickles_and_what_is_due_at_once_does_not(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    releasing = Releasing(harness, monkeypatch)
    leased = await releasing.lease(100)
    async with releasing.running():
        releasing.releaser.release(leased[:60], DEFER_WAITS_SECONDS[0])
        await releasing.releaser.drained()
        trickled, releasing.sizes = releasing.sizes, []
        releasing.releaser.release(leased[60:], 0.0)
        await releasing.releaser.drained()
    assert trickled == _deferred_in_turn(60)
    assert max(trickled) < 10
    assert releasing.sizes == [40]


def _deferred_in_turn(queued: int) -> list[int]:
    sizes = []
    while queued:
        sizes.append(min(queued, module.per_release(queued, is_deferred=True)))
        queued -= sizes[-1]
    return sizes


async def test_leases_are_renewed_by_their_own_age_those_taken_lately_are_not(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_SECONDS", 0.01)
    releasing = Releasing(harness, monkeypatch)
    old, new = await releasing.lease(2)
    before = new.lease_until
    old.lease_ends -= module.RENEW_EVERY_SECONDS
    keeping = asyncio.create_task(LeaseKeeper(harness.pool, releasing.held, STORE).run())
    await until(lambda: old.lease_until > before, "the old one renewed")
    await end({keeping})
    assert new.lease_until == before


async def test_its_rate_is_bounded_and_grows_with_what_is_queued_until_the_process_stops(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    releasing = Releasing(harness, monkeypatch)
    leased = await releasing.lease(160)
    began = time.monotonic()
    async with releasing.running():
        releasing.releaser.release(leased, 0.0)
        await releasing.releaser.drained()
        paced_seconds = time.monotonic() - began
    assert paced_seconds > 3 * module.RELEASE_EVERY_SECONDS
    releasing.sizes.clear()
    releasing.releaser.hurry()
    releasing.releaser.release(leased, 0.0)
    async with releasing.running():
        await releasing.releaser.drained()
    assert releasing.sizes == [160]


async def test_what_each_step_leaves_behind_when_the_process_dies_is_found_by_the_sweeper(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = asyncio.Event()

    class Dying:
        async def publish(self, *_message: Any) -> None:
            dies.set()
            await asyncio.get_running_loop().create_future()

    releasing = Releasing(harness, monkeypatch, Dying())
    leased = await releasing.lease(2)
    releasing.releaser.release(leased[:1], 0.0)
    async with releasing.running():
        await dies.wait()
    assert await releasing.without_lease() == 1, "released, and its message was never published"
    # The second was queued only: its lease runs out.
    await harness.pool.execute("UPDATE deliveries SET lease_until = now() - interval '1 s' WHERE lease_until > now()")
    await harness.pool.execute("UPDATE deliveries SET due_at = now() - interval '1 s'")
    sweeper = Sweeper(harness.pool, harness.publisher, Metrics(), lambda: 0.0)
    assert await sweeper.sweep() == 2
    assert len(await take_all(harness.amqp_url, WORK_DELIVERIES)) == 2


async def test_while_the_ledger_is_away_leases_stay_held_and_are_given_back_once_it_is_there(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.ledger.retry.RETRY_SECONDS", 0.01)
    releasing = Releasing(harness, monkeypatch)
    (delivery,) = await releasing.lease(1)

    def away() -> None:
        raise LedgerAway("no connection")

    releasing.before_release = away
    async with releasing.running():
        releasing.releaser.release([delivery], 0.0)
        await until(lambda: releasing.releaser.progress()[1] >= 3, "tried a few times")
        assert releasing.releaser.progress()[0] == 1
        assert releasing.held.holds(delivery.delivery_id)
        releasing.before_release = lambda: None
        await releasing.releaser.drained()
    assert len(await take_all(harness.amqp_url, WORK_DELIVERIES)) == 1
    assert not releasing.held.holds(delivery.delivery_id)


async def test_a_queue_that_takes_no_messages_holds_up_neither_the_leases_nor_the_messages_of_other_queues(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.messages.PUBLISH_RETRY_SECONDS", 0.01)

    class PartlyAway:
        def __init__(self) -> None:
            self.kept: Counter[str] = Counter()
            self.without_leader = defer_queue(DEFER_WAITS_SECONDS[0])

        async def publish(self, _exchange: str, key: str, _body: bytes, _headers: Mapping[str, str | int]) -> None:
            if key == self.without_leader:
                raise NotKept("without a leader")
            self.kept[key] += 1

    publisher = PartlyAway()
    releasing = Releasing(harness, monkeypatch, publisher)
    leased = await releasing.lease(60)
    async with releasing.running():
        releasing.releaser.release(leased[:30], DEFER_WAITS_SECONDS[0])
        releasing.releaser.release(leased[30:], DEFER_WAITS_SECONDS[1])
        await until(lambda: publisher.kept == {defer_queue(DEFER_WAITS_SECONDS[1]): 30}, "those of the other queue")
        assert releasing.held.progress() == (0, 60)
        publisher.without_leader = ""
        await releasing.releaser.drained()
    assert publisher.kept[defer_queue(DEFER_WAITS_SECONDS[0])] == 30


async def test_a_lease_that_is_renewed_while_it_is_released_is_released_all_the_same_and_the_others_at_once(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    releasing = Releasing(harness, monkeypatch)
    renewed_meanwhile, other = await releasing.lease(2)

    async def renew() -> None:
        releasing.before_release = away
        renewed = await deliveries.renew(harness.pool, [(renewed_meanwhile, 60.0)])
        asyncio.get_running_loop().call_later(
            0.0, renewed_meanwhile.lease_for, 60.0, renewed[renewed_meanwhile.delivery_id]
        )

    def away() -> None:
        if releasing.held.holds(other.delivery_id):
            raise AssertionError("the other one was ours to give back")
        releasing.before_release = lambda: None
        raise LedgerAway("no connection")

    monkeypatch.setattr("dispatcher.ledger.retry.RETRY_SECONDS", 0.01)
    releasing.before_release = renew
    async with releasing.running():
        releasing.releaser.release([renewed_meanwhile, other], 0.0)
        await releasing.releaser.drained()
    assert len(await take_all(harness.amqp_url, WORK_DELIVERIES)) == 2
    assert await releasing.without_lease() == 2


async def test_a_lease_whose_renewal_is_not_answered_yet_is_given_back_with_its_message(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    releasing = Releasing(harness, monkeypatch)
    (delivery,) = await releasing.lease(1)
    renewed, may_answer, renew = asyncio.Event(), asyncio.Event(), deliveries.renew

    async def answer_late(pool: Any, leases: Any) -> Any:
        answer = await renew(pool, leases)
        renewed.set()
        await may_answer.wait()
        return answer

    monkeypatch.setattr(deliveries, "renew", answer_late)
    renewing = asyncio.create_task(LeaseKeeper(harness.pool, releasing.held, STORE).ensure(delivery, 1_000.0))
    await renewed.wait()
    async with releasing.running():
        releasing.releaser.release([delivery], 0.0)
        await asyncio.sleep(0.3)  # time for a statement that would not wait for the answer
        may_answer.set()
        await releasing.releaser.drained()
    assert await renewing
    assert len(await take_all(harness.amqp_url, WORK_DELIVERIES)) == 1
    assert await releasing.without_lease() == 1
