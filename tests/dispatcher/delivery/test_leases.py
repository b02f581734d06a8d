"""A lease holds as long as the work takes, and a process never attempts twice what it holds."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from dispatchers import DispatcherHarness, an_event
from proxy import proxied
from waiting import until

from dispatcher.ledger import deliveries
from shared.broker import FAX_IN, FAX_WORK
from shared.ids import uuid7
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


async def test_a_lease_is_renewed_and_released_only_by_the_process_that_knows_its_end(
    harness: DispatcherHarness,
) -> None:
    await harness.endpoint()
    (owed,) = (await harness.take(an_event(1))).deliveries
    renewed = await deliveries.renew(harness.pool, [(owed, 30.0)])
    assert set(renewed) == {owed.delivery_id}
    assert await deliveries.renew(harness.pool, [(owed, 30.0)]) == {}, "the old end proves nothing any more"
    assert await deliveries.release(harness.pool, [(owed, 0.0)]) == frozenset()
    owed.lease_for(30.0, renewed[owed.delivery_id])
    assert await deliveries.release(harness.pool, [(owed, 0.0)]) == {owed.delivery_id}


@pytest.mark.usefixtures("quick_sweeps")
async def test_a_lane_that_takes_longer_than_its_leases_tells_each_once(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint(timeout_seconds=5.0, max_concurrent=1)

    async def slowly(_received: object) -> int:
        await asyncio.sleep(0.2)  # an application that takes its time
        return 200

    harness.receiver.answer = slowly
    async with dispatching():
        await harness.publish(*(an_event(number) for number in range(30)))
        await harness.events(30)
        # As if all leases had run out while the deliveries wait: the sweeper puts back what this process holds.
        expired = 0

        async def expire() -> bool:
            nonlocal expired
            expired += 1
            await harness.pool.execute(
                "WITH locked AS (SELECT id FROM deliveries WHERE state = 'pending' ORDER BY id FOR UPDATE) "
                "UPDATE deliveries SET lease_until = now() - interval '1 s', due_at = now() - interval '1 hour' "
                "FROM locked WHERE deliveries.id = locked.id"
            )
            return await _put_back(harness) or len(harness.receiver.received) >= 30

        await until(expire, "the sweeper looked", seconds=20)
        settled = await harness.settled(30, seconds=40)
    assert {each["state"] for each in settled} == {"told"}
    assert set(Counter(each.event_id for each in harness.receiver.received).values()) == {1}


async def test_what_waits_to_be_recorded_is_not_attempted_again_by_a_message_that_comes_meanwhile(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint(timeout_seconds=5.0)
    async with proxied(harness.environment["DATABASE_URL"]) as (proxy, through), dispatching(DATABASE_URL=through):

        def cut_then_tell(_received: object) -> int:
            proxy.cut()
            return 200

        harness.receiver.answer = cut_then_tell
        await harness.publish(an_event(1))
        await harness.receiver.got(1)
        (delivery,) = await harness.deliveries()
        await harness.pool.execute("UPDATE deliveries SET lease_until = now() - interval '1 s'")
        body = b'{"delivery_id":"%s","attempt":1}' % str(delivery["id"]).encode()
        await harness.publisher.publish(FAX_WORK, "delivery", body, {})
        harness.receiver.answer = lambda _received: 200
        proxy.restore()
        (settled,) = await harness.settled(1)
    assert settled["state"] == "told"
    assert len(harness.receiver.received) == 1


async def test_bodies_that_break_the_reader_are_parked_and_the_others_go_on(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    for body in (b'{"id":"\xff"}', b"[" * 100_000, b"null"):
        await harness.publisher.publish(FAX_IN, "a.b", body, {"event_id": "x"})
    too_far = b'{"delivery_id":"%s","attempt":3000000000}' % str(uuid7()).encode()
    await harness.publisher.publish(FAX_WORK, "delivery", too_far, {})
    await harness.publish(an_event(1))
    async with dispatching():
        (delivery,) = await harness.settled(1)
    assert delivery["state"] == "told"


async def test_an_endpoint_of_a_format_that_this_version_does_not_know_waits_and_the_others_go_on(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    newer = await harness.endpoint(format="standard-v9")
    await harness.endpoint()
    await harness.publish(an_event(1))
    async with dispatching():
        await harness.settled(1)
        states = {each["endpoint_id"]: each["state"] for each in await harness.deliveries()}
    assert states.pop(newer.id) == "pending"
    assert set(states.values()) == {"told"}


async def _put_back(harness: DispatcherHarness) -> bool:
    return bool(await harness.pool.fetchval("SELECT count(*) FROM deliveries WHERE sweeps > 0"))
