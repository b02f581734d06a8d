"""What a process holds: counted, bounded, and freed once."""

import pytest
from delivering import a_delivery, new_held

from dispatcher.delivery import held as module
from shared.ids import uuid7


async def test_at_the_bound_there_is_no_capacity_until_something_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_HELD", 2)
    held, first, second = new_held(), a_delivery(1), a_delivery(2)
    held.hold(first.delivery_id, first)
    assert held.has_capacity
    held.hold(second.delivery_id, second)
    assert not held.has_capacity
    held.free(first.delivery_id)
    assert held.has_capacity
    await held.capacity()


def test_freeing_twice_is_counted_once() -> None:
    held, delivery = new_held(), a_delivery(1)
    held.hold(delivery.delivery_id, delivery)
    for _ in range(2):
        held.free(delivery.delivery_id)
    assert held.progress() == (0, 1)
    assert held.get(delivery.delivery_id) is None


def test_an_unreadable_delivery_is_held_and_has_no_lease_to_keep() -> None:
    held, delivery_id = new_held(), uuid7()
    held.hold(delivery_id)
    assert held.holds(delivery_id)
    assert (held.get(delivery_id), held.leased()) == (None, [])
