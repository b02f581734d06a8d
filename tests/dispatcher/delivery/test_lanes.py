"""Lanes: each endpoint's deliveries in order, at its own pace, bounded, and none attempted twice by one process."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from delivering import NotedSettler, a_delivery, new_held
from waiting import until

from dispatcher.delivery import held as held_module
from dispatcher.delivery import lanes as module
from dispatcher.delivery.lanes import Lanes
from dispatcher.ledger.pool import LedgerAway
from dispatcher.policy.delivery import Lease, LeasedDelivery, UnreadableDelivery
from dispatcher.policy.endpoint import Endpoint
from shared.backoff import DEFER_WAITS_SECONDS
from shared.ids import uuid7


class HeldUp:
    """A deliverer whose attempts end when a test says so."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.under_way = 0
        self.most_under_way = 0
        self.may_end = asyncio.Event()
        self.open_circuits: set[UUID] = set()

    def circuit_is_open(self, endpoint_id: UUID) -> bool:
        return endpoint_id in self.open_circuits

    async def deliver(self, delivery: LeasedDelivery, _coming: Iterable[LeasedDelivery] = ()) -> None:
        self.begun.append(int(delivery.event.fax_id))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.may_end.wait()
        self.under_way -= 1


def an_endpoint(max_concurrent: int = 1) -> Endpoint:
    return Endpoint(id=uuid7(), url="http://application.example/", max_concurrent=max_concurrent)


class Ledger:
    """Leases again what was deferred, in no particular order, as the ledger does."""

    def __init__(self) -> None:
        self.deferred: dict[UUID, LeasedDelivery] = {}
        self.sizes: list[int] = []

    async def claim(self, wanted: Sequence[tuple[UUID, int]]) -> list[LeasedDelivery | UnreadableDelivery]:
        self.sizes.append(len(wanted))
        await asyncio.sleep(0)  # as long as a statement takes
        found = [self.deferred.pop(delivery_id, None) for delivery_id, _ in sorted(wanted, reverse=True)]
        return [each for each in found if each is not None]


def new_lanes(deliverer: Any, ledger: Ledger | None = None) -> tuple[Lanes, NotedSettler]:
    settler = NotedSettler(new_held())
    return Lanes(deliverer, settler, settler.held, (ledger or Ledger()).claim), settler


async def test_an_endpoints_deliveries_are_attempted_in_order_and_never_more_at_once_than_it_allows() -> None:
    deliverer = HeldUp()
    lanes, _ = new_lanes(deliverer)
    endpoint = an_endpoint(max_concurrent=3)
    lanes.enter([a_delivery(number, endpoint) for number in range(10)])
    await until(lambda: deliverer.under_way == 3, "three under way")
    assert deliverer.begun == [0, 1, 2]
    deliverer.may_end.set()
    await lanes.idle()
    assert deliverer.begun == list(range(10))
    assert deliverer.most_under_way == 3


async def test_an_endpoint_that_hangs_holds_up_no_other() -> None:
    deliverer = HeldUp()
    lanes, _ = new_lanes(deliverer)
    lanes.enter([a_delivery(number, hanging) for hanging in [an_endpoint()] for number in range(5)])
    lanes.enter([a_delivery(7)])
    await until(lambda: 7 in deliverer.begun, "the other endpoint's attempt")
    deliverer.may_end.set()
    await lanes.idle()


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


async def test_a_lane_leaves_as_much_capacity_as_it_takes_however_many_endpoints_do_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dispatcher.delivery.held.MOST_HELD", 400)
    deliverer = HeldUp()
    lanes, settler = new_lanes(deliverer)
    for _ in range(4):
        hanging = an_endpoint()
        lanes.enter([a_delivery(number, hanging) for number in range(400)])
    assert settler.held.has_capacity, "consuming goes on"
    lanes.enter([a_delivery(7)])
    await until(lambda: 7 in deliverer.begun, "the attempt of an endpoint that answers")
    deliverer.may_end.set()
    await lanes.idle()


async def test_a_lane_full_of_what_is_refused_at_once_lets_the_others_in_between() -> None:
    refused: list[int] = []
    among: list[int] = []

    class RefusingAtOnce(HeldUp):
        async def deliver(self, delivery: LeasedDelivery, _coming: Iterable[LeasedDelivery] = ()) -> None:
            refused.append(int(delivery.event.fax_id))

    lanes, _ = new_lanes(RefusingAtOnce())
    endpoint = an_endpoint()
    lanes.enter([a_delivery(number, endpoint) for number in range(100)])

    async def live_traffic() -> None:
        for _ in range(5):
            await asyncio.sleep(0)  # a turn of the loop
            among.append(len(refused))

    await live_traffic()
    assert among[-1] < 50, "a turn of the loop for each, not one for all"
    await lanes.idle()
    assert len(refused) == 100


async def test_what_this_process_holds_already_is_leased_again_and_not_attempted_a_second_time() -> None:
    deliverer = HeldUp()
    lanes, settler = new_lanes(deliverer)
    delivery = a_delivery(1)
    lanes.enter([delivery])
    delivery.is_lost = True
    claimed_again = a_delivery(
        *(1, delivery.endpoint, delivery.event),
        delivery_id=delivery.delivery_id,
        lease_until=delivery.lease_until + timedelta(minutes=5),
    )
    lanes.enter([claimed_again])
    assert (delivery.lease_until, delivery.is_lost) == (claimed_again.lease_until, False)
    deliverer.may_end.set()
    await lanes.idle()
    assert deliverer.begun == [1]
    assert settler.held.holds(delivery.delivery_id), "until it is recorded"


async def test_a_delivery_whose_row_cannot_be_read_is_settled_as_crashed_and_the_others_go_on() -> None:
    deliverer = HeldUp()
    deliverer.may_end.set()
    lanes, settler = new_lanes(deliverer)
    good, error = a_delivery(1), ValueError("unreadable")
    bad = UnreadableDelivery(
        *(),
        delivery_id=uuid7(),
        event_id="phaxio:2",
        endpoint_id=good.endpoint_id,
        attempt=1,
        lease_until=good.lease_until,
        error=error,
    )
    lanes.enter([bad, good])
    await lanes.idle()
    assert settler.crashes == [(bad.delivery_id, error)]
    assert deliverer.begun == [1]


async def test_an_unreadable_delivery_that_cannot_be_settled_is_freed_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deliverer = HeldUp()
    deliverer.may_end.set()
    lanes, settler = new_lanes(deliverer)

    async def fail(*_arguments: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(settler, "crashed", fail)
    good = a_delivery(1)
    bad = UnreadableDelivery(
        *(),
        delivery_id=uuid7(),
        event_id="phaxio:2",
        endpoint_id=good.endpoint_id,
        attempt=1,
        lease_until=good.lease_until,
        error=ValueError("unreadable"),
    )
    lanes.enter([bad, good])
    await lanes.idle()
    assert deliverer.begun == [1]
    assert not settler.held.holds(bad.delivery_id), "its next message would find it held, for ever"


async def test_a_cancellation_that_comes_out_of_a_library_ends_one_delivery_and_not_its_lane() -> None:
    class Cancelling(HeldUp):
        async def deliver(self, delivery: LeasedDelivery, _coming: Iterable[LeasedDelivery] = ()) -> None:
            await super().deliver(delivery)
            if delivery.event.fax_id == "1":
                raise asyncio.CancelledError

    deliverer = Cancelling()
    deliverer.may_end.set()
    lanes, settler = new_lanes(deliverer)
    endpoint = an_endpoint()
    deliveries = [a_delivery(number, endpoint) for number in (1, 2)]
    lanes.enter(deliveries)
    await lanes.idle()
    assert deliverer.begun == [1, 2]
    assert [settler.held.holds(each.delivery_id) for each in deliveries] == [False, True]


async def test_a_delivery_that_enters_as_the_last_worker_leaves_is_delivered() -> None:
    endpoint = an_endpoint()

    class EnteringOneMore(HeldUp):
        async def deliver(self, delivery: LeasedDelivery, _coming: Iterable[LeasedDelivery] = ()) -> None:
            await super().deliver(delivery)
            if delivery.event.fax_id == "1":
                # In the turn after this one the worker has found its lane empty and returned.
                asyncio.get_running_loop().call_soon(enter_second)

    def enter_second() -> None:
        lanes.enter([a_delivery(2, endpoint)])

    deliverer = EnteringOneMore()
    deliverer.may_end.set()
    lanes, _ = new_lanes(deliverer)
    lanes.enter([a_delivery(1, endpoint)])
    await until(lambda: deliverer.begun == [1, 2], "both delivered", seconds=2)


async def test_an_empty_lane_leaves_nothing_behind() -> None:
    deliverer = HeldUp()
    deliverer.may_end.set()
    lanes, _ = new_lanes(deliverer)
    lanes.enter([a_delivery(number) for number in range(20)])
    await lanes.idle()
    assert lanes._lanes == {}, "endpoints of single faxes would fill the memory"
