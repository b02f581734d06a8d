"""Lanes: what this process holds already, or what cannot be read, holds up no other delivery."""

from datetime import timedelta
from typing import Any

import pytest
from delivering import a_delivery
from held_up_lanes import HeldUp, new_lanes

from dispatcher.policy.delivery import UnreadableDelivery
from shared.ids import uuid7


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
