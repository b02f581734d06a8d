"""Lanes: each endpoint's deliveries in order, at its own pace, bounded; an empty one leaves nothing behind."""

import asyncio
from collections.abc import Iterable

import pytest
from delivering import a_delivery
from held_up_lanes import HeldUp, an_endpoint, new_lanes
from waiting import until

from dispatcher.policy.delivery import LeasedDelivery


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
