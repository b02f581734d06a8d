"""The sweeper finds what is owed and has nobody looking; a ledger rebuilds a broker that lost everything."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import asyncpg
import pytest
from dispatchers import Bench, an_event
from stores import fresh_topology, take_all
from waiting import until

from dispatcher.metrics import Metrics
from dispatcher.sweeper import MOST_SWEEPS, Sweeper
from shared.backoff import parse_backoff
from shared.broker import WORK_DELIVERIES, topology
from shared.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


@pytest.fixture
def sweeper(bench: Bench) -> Sweeper:
    return Sweeper(bench.pool, bench.publisher, Metrics(), grace_seconds=60.0)


async def owed(bench: Bench, count: int = 1) -> list[UUID]:
    """Take *count* events as a dispatcher does that dies before its first attempt."""
    await bench.endpoint()
    taken = await bench.take(*(an_event(number) for number in range(count)))
    return [each.delivery_id for each in taken.owed]


async def expire_leases(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "UPDATE deliveries SET due_at = now() - interval '1 minute', lease_until = now() - interval '1 s'"
    )


async def test_a_live_lease_is_left_alone(bench: Bench, sweeper: Sweeper) -> None:
    await owed(bench)
    assert await sweeper.sweep() == 0
    assert await take_all(bench.amqp_url, WORK_DELIVERIES) == []


async def test_a_dead_processs_lease_is_put_back_as_the_attempt_it_was(bench: Bench, sweeper: Sweeper) -> None:
    (delivery_id,) = await owed(bench)
    await expire_leases(bench.pool)
    assert await sweeper.sweep() == 1
    (message,) = await take_all(bench.amqp_url, WORK_DELIVERIES)
    assert json.loads(message.body) == {"delivery_id": str(delivery_id), "attempt": 1}
    assert await sweeper.sweep() == 0, "looked at again at once"


async def test_what_is_due_without_a_message_is_put_back_after_its_grace(bench: Bench, sweeper: Sweeper) -> None:
    await owed(bench)
    await bench.pool.execute("UPDATE deliveries SET lease_until = NULL, due_at = now() - interval '59 seconds'")
    assert await sweeper.sweep() == 0
    await bench.pool.execute("UPDATE deliveries SET due_at = now() - interval '61 seconds'")
    assert await sweeper.sweep() == 1


async def test_one_dispatcher_sweeps_at_a_time(bench: Bench, sweeper: Sweeper) -> None:
    await owed(bench)
    await expire_leases(bench.pool)
    async with bench.pool.acquire() as other, other.transaction():
        assert await other.fetchval("SELECT pg_try_advisory_xact_lock($1)", 0xFA_0002)
        assert await sweeper.sweep() == 0
    assert await sweeper.sweep() == 1


async def test_what_is_put_back_without_ever_getting_on_becomes_a_dead_letter_stuck(
    bench: Bench, sweeper: Sweeper
) -> None:
    (delivery_id,) = await owed(bench)
    for _ in range(MOST_SWEEPS):
        await expire_leases(bench.pool)
        assert await sweeper.sweep() == 1
    await expire_leases(bench.pool)
    await sweeper.sweep()
    (letter,) = await take_all(bench.amqp_url, "dead.deliveries")
    assert (json.loads(letter.body)["delivery_id"], json.loads(letter.body)["cause"]) == (str(delivery_id), "stuck")
    (delivery,) = await bench.deliveries()
    assert (delivery["state"], delivery["reason"]) == ("dead", "stuck")


async def test_after_every_queue_is_lost_what_was_owed_is_told_and_what_was_told_is_not_told_again(
    bench: Bench, dispatching: Dispatching
) -> None:
    await bench.endpoint()
    bench.receiver.answer = lambda received: 200 if "phaxio:1-" in received.event_id else 500
    await bench.publish(*(an_event(number) for number in range(1, 5)))
    async with dispatching():
        await until(lambda: _retrying(bench, 3), "three are owed")
    await fresh_topology(bench.amqp_url, topology(parse_backoff(bench.environment["BACKOFF"])))
    await bench.pool.execute("UPDATE deliveries SET due_at = now() - interval '1 hour' WHERE state = 'retrying'")
    bench.receiver.answer = lambda _received: 200
    async with dispatching():
        deliveries = await bench.settled(4)
    assert {each["state"] for each in deliveries} == {"told"}
    told = [each.event_id for each in bench.receiver.received if each.attempt == 2]
    assert sorted(told) == [an_event(number).id for number in (2, 3, 4)]
    assert sum("phaxio:1-" in each.event_id for each in bench.receiver.received) == 1


async def _retrying(bench: Bench, count: int) -> bool:
    return [each["state"] for each in await bench.deliveries()].count("retrying") == count
