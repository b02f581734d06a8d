"""Parked deliveries wait in the ledger alone, in order, and none is left behind, whichever comes first."""

import asyncio

import asyncpg
from dispatchers import STORE, DispatcherHarness, an_event
from msgspec.structs import replace

from dispatcher.ledger import parking
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pool import transaction
from dispatcher.maintenance import overdue
from dispatcher.policy.delivery import LeasedDelivery
from dispatcher.policy.endpoint import Endpoint

PARKED = "SELECT count(*) FROM deliveries WHERE due_at > now() + interval '1000 years'"


async def resume(pool: asyncpg.Pool, endpoint: Endpoint) -> None:
    await STORE.update(pool, replace(endpoint, paused=False))


async def next_of(harness: DispatcherHarness, endpoint: Endpoint, most: int) -> list[int]:
    leased = await parking.lease_next(harness.pool, STORE, endpoint.id, most, 30.0)
    return [int(each.event.fax_id) for each in leased if isinstance(each, LeasedDelivery)]


async def test_what_is_owed_to_a_paused_endpoint_is_parked_and_leased_in_order_once_it_is_resumed(
    harness: DispatcherHarness,
) -> None:
    endpoint, other = await harness.endpoint(paused=True), await harness.endpoint()
    taken = await harness.take(*[an_event(number) for number in range(5)])
    assert {each.endpoint_id for each in taken.deliveries} == {other.id}
    assert len(taken.parked) == await harness.pool.fetchval(PARKED) == 5
    assert await next_of(harness, endpoint, 10) == [], "paused"
    async with harness.pool.acquire() as connection:
        found = await overdue.find(connection, 0.0, 100)
    assert found == [], "no sweep finds them"
    await resume(harness.pool, endpoint)
    assert await parking.catching_up(harness.pool) == [endpoint.id]
    assert await next_of(harness, endpoint, 3) == [0, 1, 2]
    # What comes while it catches up is parked behind.
    assert len((await harness.take(an_event(5))).parked) == 1
    assert await next_of(harness, endpoint, 9) == [3, 4, 5]
    assert await parking.catching_up(harness.pool) == []
    assert len((await harness.take(an_event(6))).deliveries) == 2, "as before the pause"


async def test_a_lease_is_parked_if_its_endpoint_is_paused_and_due_now_if_it_was_resumed_meanwhile(
    harness: DispatcherHarness,
) -> None:
    endpoint = await harness.endpoint()
    leased = (await harness.take(*[an_event(number) for number in range(3)])).deliveries
    assert set((await parking.park(harness.pool, leased[:1])).values()) == {False}
    await STORE.update(harness.pool, replace(endpoint, paused=True))
    assert set((await parking.park(harness.pool, leased[1:2])).values()) == {True}
    await resume(harness.pool, endpoint)
    assert set((await parking.park(harness.pool, leased[2:])).values()) == {True}, "behind the one that waits"
    assert await parking.park(harness.pool, leased) == {}, "no lease, nothing to give back"
    assert await next_of(harness, endpoint, 9) == [1, 2]


async def test_an_endpoint_that_is_disabled_or_removed_while_paused_keeps_nothing_parked(
    harness: DispatcherHarness,
) -> None:
    endpoints = [await harness.endpoint(paused=True) for _ in range(3)]
    await harness.take(an_event(1))
    await STORE.update(harness.pool, replace(endpoints[0], enabled=False))
    await STORE.remove(harness.pool, endpoints[1].id)
    await STORE.gone(harness.pool, endpoints[2].id)
    for endpoint in endpoints:
        leased = await parking.lease_next(harness.pool, STORE, endpoint.id, 9, 30.0)
        assert len(leased) == 1
    assert await harness.pool.fetchval(PARKED) == 0


async def test_while_something_is_being_parked_its_endpoint_is_neither_resumed_nor_caught_up(
    harness: DispatcherHarness,
) -> None:
    endpoint = await harness.endpoint(paused=True)
    for begin in (
        lambda: asyncio.create_task(resume(harness.pool, endpoint)),
        lambda: asyncio.create_task(next_of(harness, endpoint, 9)),
    ):
        async with transaction(harness.pool) as connection:
            assert await parking.lock_waiting(connection, [endpoint.id]) == {endpoint.id}
            begun = begin()
            done, _ = await asyncio.wait({begun}, timeout=0.3)
            assert not done, "it waits for the transaction that parks"
        await begun
    async with transaction(harness.pool) as connection:
        assert await parking.lock_waiting(connection, [endpoint.id]) == frozenset()


async def test_age_counts_from_the_resumption(harness: DispatcherHarness) -> None:
    endpoint = await harness.endpoint(paused=True)
    await harness.take(an_event(1))
    await harness.pool.execute("UPDATE deliveries SET created_at = now() - interval '9 days'")
    await resume(harness.pool, endpoint)
    (leased,) = await parking.lease_next(harness.pool, STORE, endpoint.id, 9, 30.0)
    assert isinstance(leased, LeasedDelivery)
    age = await harness.pool.fetchval("SELECT now() - $1::timestamptz", leased.owed_since)
    assert age.total_seconds() < 60
    assert leased.has_waited


async def test_nothing_stays_parked_when_events_come_in_while_it_is_paused_and_resumed_again_and_again(
    harness: DispatcherHarness,
) -> None:
    endpoint = await harness.endpoint()
    intake, is_over = Intake(harness.pool, STORE), asyncio.Event()
    seen: list[int] = []

    async def take(first: int) -> None:
        for number in range(first, first + 40):
            taken = await intake.take([an_event(number)])
            parked = await parking.park(harness.pool, taken.deliveries)
            seen.extend(int(each.event.fax_id) for each in taken.deliveries if not parked[each.delivery_id])

    async def switch() -> None:
        while not is_over.is_set():
            for paused in (True, False):
                async with transaction(harness.pool) as connection:
                    current = await STORE.get(connection, endpoint.id, lock=True)
                    assert current is not None
                    await STORE.update(connection, replace(current, paused=paused))

    async def catch_up() -> None:
        while not is_over.is_set():
            seen.extend(await next_of(harness, endpoint, 3))

    async with asyncio.TaskGroup() as tasks:
        for work in (switch(), catch_up(), catch_up()):
            tasks.create_task(work)
        await asyncio.gather(*(take(first) for first in (0, 100, 200)))
        is_over.set()
    while more := await next_of(harness, endpoint, 50):
        seen.extend(more)
    assert await harness.pool.fetchval(PARKED) == 0
    assert sorted(seen) == [first + number for first in (0, 100, 200) for number in range(40)]
