"""Lanes: each endpoint's deliveries in order, at its own pace, bounded, and none attempted twice by one process."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from delivering import NotedSettler, a_delivery, new_held
from waiting import until

from dispatcher.delivery import lanes as module
from dispatcher.delivery.lanes import Lanes
from dispatcher.policy.delivery import LeasedDelivery, UnreadableDelivery
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

    async def deliver(self, delivery: LeasedDelivery) -> None:
        self.begun.append(int(delivery.event.fax_id))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.may_end.wait()
        self.under_way -= 1


def an_endpoint(max_concurrent: int = 1) -> Endpoint:
    return Endpoint(id=uuid7(), url="http://application.example/", max_concurrent=max_concurrent)


def new_lanes(deliverer: Any) -> tuple[Lanes, NotedSettler]:
    settler = NotedSettler(new_held())
    return Lanes(deliverer, settler, settler.held), settler


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
    deferred = [(each.delivery_id, DEFER_WAITS_SECONDS[0]) for each in late]
    await until(lambda: settler.requeued == deferred, "deferred")
    deliverer.may_end.set()
    await lanes.idle()
    assert deliverer.begun == [0, 1, 2, 3]


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

    class RefusingAtOnce:
        async def deliver(self, delivery: LeasedDelivery) -> None:
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
        async def deliver(self, delivery: LeasedDelivery) -> None:
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
        async def deliver(self, delivery: LeasedDelivery) -> None:
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
