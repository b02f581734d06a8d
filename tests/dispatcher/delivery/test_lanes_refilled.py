"""Lanes: what was deferred because its lane was full is leased again in order, and overtaken by nothing that came later."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from delivering import NotedSettler, a_delivery, new_held
from held_up_lanes import HeldUp, Ledger, an_endpoint, new_lanes
from waiting import until

from dispatcher.delivery import held as held_module
from dispatcher.delivery import lanes as module
from dispatcher.delivery.lanes import Lanes
from dispatcher.ledger.pool import LedgerAway
from dispatcher.policy.delivery import Lease, LeasedDelivery, UnreadableDelivery
from shared.backoff import DEFER_WAITS_SECONDS
from shared.ids import uuid7


async def test_what_finds_its_lane_full_is_deferred_and_the_rest_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_IN_LANE", 3)
    deliverer = HeldUp()
    lanes, settler = new_lanes(deliverer)
    endpoint = an_endpoint()
    first = [a_delivery(number, endpoint) for number in range(4)]
    lanes.enter(first[:1])
    await until(lambda: deliverer.under_way, "one under way")
    late = [a_delivery(number, endpoint) for number in (8, 9)]
    lanes.enter([*first[1:], *late])
    assert settler.requeued == [(each.delivery_id, module.BEHIND_SECONDS) for each in late]
    deliverer.may_end.set()
    await lanes.idle()
    assert deliverer.begun == [0, 1, 2, 3]


async def test_a_lane_of_an_endpoint_that_answers_is_refilled_in_order_and_what_comes_meanwhile_waits_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_IN_LANE", 10)
    monkeypatch.setattr(module, "REFILL_BELOW", 5)
    monkeypatch.setattr(module, "MOST_PER_REFILL", 7)
    deliverer, ledger, endpoint = HeldUp(), Ledger(), an_endpoint()
    lanes, settler = new_lanes(deliverer, ledger)
    first = [a_delivery(number, endpoint) for number in range(60)]
    ledger.deferred = {each.delivery_id: each for each in first[10:]}
    lanes.enter(first)
    assert len(settler.requeued) == 50
    await until(lambda: deliverer.under_way, "one under way")
    late = [a_delivery(number, endpoint) for number in range(60, 70)]
    ledger.deferred |= {each.delivery_id: each for each in late}
    lanes.enter(late)
    assert len(settler.requeued) == 60, "the last in does not overtake what was deferred before"
    deliverer.may_end.set()
    await lanes.idle()
    assert deliverer.begun == list(range(70))
    assert max(ledger.sizes) > 1, "many at a time"


async def test_what_was_leased_again_and_finds_no_room_is_not_put_behind_what_came_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the ledger leased them, deliveries of others took the capacity of the process."""
    monkeypatch.setattr(module, "MOST_IN_LANE", 10)
    monkeypatch.setattr(module, "LEAST_IN_LANE", 1)
    monkeypatch.setattr(module, "REFILL_BELOW", 5)
    monkeypatch.setattr(module, "MOST_PER_REFILL", 7)
    monkeypatch.setattr(held_module, "MOST_HELD", 30)
    others = [uuid7() for _ in range(30)]

    class TakenMeanwhile(Ledger):
        async def claim(self, wanted: Sequence[tuple[UUID, int]]) -> list[LeasedDelivery | UnreadableDelivery]:
            for each in others if not self.sizes else ():
                settler.held.hold(each)
            asyncio.get_running_loop().call_later(0.05, self.give_back)
            return await super().claim(wanted)

        def give_back(self) -> None:
            for each in others:
                settler.held.free(each)

    deliverer, ledger, endpoint = HeldUp(), TakenMeanwhile(), an_endpoint()
    lanes, settler = new_lanes(deliverer, ledger)
    first = [a_delivery(number, endpoint) for number in range(30)]
    by_id = {each.delivery_id: each for each in first}
    ledger.deferred = {each.delivery_id: each for each in first[10:]}
    lanes.enter(first)
    requeue = settler.requeue

    def requeue_into_the_ledger(leases: Sequence[Lease], wait_seconds: float) -> None:
        requeue(leases, wait_seconds)
        ledger.deferred |= {each.delivery_id: by_id[each.delivery_id] for each in leases}

    monkeypatch.setattr(settler, "requeue", requeue_into_the_ledger)
    deliverer.may_end.set()
    await lanes.idle()
    assert deliverer.begun == list(range(30))


async def test_what_is_still_to_be_deferred_is_taken_back_in_order_without_a_statement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_IN_LANE", 3)
    queued: set[UUID] = set()

    class Queueing(NotedSettler):
        def requeue(self, leases: Sequence[Lease], _wait_seconds: float) -> None:
            queued.update(each.delivery_id for each in leases)

        def withdraw(self, delivery_id: UUID) -> bool:
            return delivery_id in queued and not queued.discard(delivery_id)

    deliverer, ledger, endpoint, settler = HeldUp(), Ledger(), an_endpoint(), Queueing(new_held())
    lanes = Lanes(deliverer, settler, settler.held, ledger.claim)  # type: ignore[arg-type]
    lanes.enter([a_delivery(number, endpoint) for number in range(20)])
    assert len(queued) == 17
    deliverer.may_end.set()
    await lanes.idle()
    assert deliverer.begun == list(range(20))
    assert (queued, ledger.sizes) == (set(), [])


async def test_a_lane_whose_circuit_opens_or_that_stops_leaves_what_was_deferred_to_its_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_IN_LANE", 3)
    for stops in (True, False):
        deliverer, ledger, endpoint = HeldUp(), Ledger(), an_endpoint()
        lanes, settler = new_lanes(deliverer, ledger)
        deliveries = [a_delivery(number, endpoint) for number in range(5)]
        lanes.enter(deliveries)
        assert len(settler.requeued) == 2
        if stops:
            lanes.stop()
        else:
            deliverer.open_circuits.add(endpoint.id)
            lanes.enter([a_delivery(9, endpoint)])
            assert settler.requeued[-1][1] == DEFER_WAITS_SECONDS[0]
        deliverer.may_end.set()
        await lanes.idle()
        assert deliverer.begun == [0, 1, 2]
        assert (ledger.sizes, lanes._lanes) == ([], {})


@pytest.mark.parametrize("error", [LedgerAway("no connection"), ZeroDivisionError()])
async def test_a_refill_that_fails_leaves_them_to_their_messages_and_the_lane_goes_on(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(module, "MOST_IN_LANE", 3)

    async def fail(_wanted: Any) -> Any:
        raise error

    deliverer, endpoint, settler = HeldUp(), an_endpoint(), NotedSettler(new_held())
    lanes = Lanes(deliverer, settler, settler.held, fail)  # type: ignore[arg-type]
    lanes.enter([a_delivery(number, endpoint) for number in range(5)])
    deliverer.may_end.set()
    await lanes.idle()
    lanes.enter([a_delivery(9, endpoint)])
    await lanes.idle()
    assert deliverer.begun == [0, 1, 2, 9]
