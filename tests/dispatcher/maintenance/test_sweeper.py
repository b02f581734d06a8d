"""The sweeper finds what is owed without a lease or a message; the ledger rebuilds a broker that lost everything."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from dispatchers import STORE, DispatcherHarness, an_event
from stores import fresh_topology, take_all
from waiting import until

from dispatcher.delivery import held
from dispatcher.ledger import deliveries as ledger
from dispatcher.ledger.locks import Lock
from dispatcher.maintenance import overdue
from dispatcher.maintenance.sweeper import MOST_PER_SWEEP, MOST_SWEEPS, Sweeper
from dispatcher.metrics import Metrics
from shared.amqp.publisher import NotKept
from shared.backoff import parse_backoff
from shared.broker import FAX_WORK, WORK_DELIVERIES, WORK_KEY, topology
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


@pytest.fixture
def sweeper(harness: DispatcherHarness) -> Sweeper:
    return Sweeper(harness.pool, harness.publisher, Metrics(), lambda: 60.0)


async def owed(harness: DispatcherHarness, count: int = 1) -> list[UUID]:
    """Take *count* events as a dispatcher does that dies before its first attempt."""
    await harness.endpoint()
    taken = await harness.take(*(an_event(number) for number in range(count)))
    return [each.delivery_id for each in taken.deliveries]


async def expire_leases(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "UPDATE deliveries SET due_at = now() - interval '1 minute', lease_until = now() - interval '1 s'"
    )


async def test_a_live_lease_is_left_alone(harness: DispatcherHarness, sweeper: Sweeper) -> None:
    await owed(harness)
    assert await sweeper.sweep() == 0
    assert await take_all(harness.amqp_url, WORK_DELIVERIES) == []


async def test_the_lease_of_a_dead_process_is_put_back_as_the_attempt_it_was(
    harness: DispatcherHarness, sweeper: Sweeper
) -> None:
    (delivery_id,) = await owed(harness)
    await expire_leases(harness.pool)
    assert await sweeper.sweep() == 1
    (message,) = await take_all(harness.amqp_url, WORK_DELIVERIES)
    assert json.loads(message.body) == {"delivery_id": str(delivery_id), "attempt": 1}
    assert await sweeper.sweep() == 0, "looked at again at once"


async def test_what_is_due_without_a_message_is_put_back_after_its_grace(
    harness: DispatcherHarness, sweeper: Sweeper
) -> None:
    await owed(harness)
    await harness.pool.execute("UPDATE deliveries SET lease_until = NULL, due_at = now() - interval '59 seconds'")
    assert await sweeper.sweep() == 0
    await harness.pool.execute("UPDATE deliveries SET due_at = now() - interval '61 seconds'")
    assert await sweeper.sweep() == 1


async def test_one_dispatcher_sweeps_at_a_time(harness: DispatcherHarness, sweeper: Sweeper) -> None:
    await owed(harness)
    await expire_leases(harness.pool)
    async with harness.pool.acquire() as other, other.transaction():
        assert await other.fetchval("SELECT pg_try_advisory_xact_lock($1)", Lock.SWEEP)
        assert await sweeper.sweep() == 0
    assert await sweeper.sweep() == 1


class Between:
    """A publisher that does something else before, or instead of, what it is asked for."""

    def __init__(self, publisher: Any, first: Callable[[bytes], Awaitable[None]]) -> None:
        self._publisher = publisher
        self._first = first

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Any) -> None:
        await self._first(body)
        await self._publisher.publish(exchange, routing_key, body, headers)


async def test_while_the_broker_does_not_answer_nothing_is_locked_and_a_claim_keeps_its_lease(
    harness: DispatcherHarness,
) -> None:
    (delivery_id,) = await owed(harness)
    await expire_leases(harness.pool)
    claims = []

    async def claimed_meanwhile(_body: bytes) -> None:
        async with asyncio.timeout(2.0):
            claims.extend(await ledger.claim(harness.pool, STORE, [(delivery_id, 1)], 30.0))

    sweeper = Sweeper(harness.pool, Between(harness.publisher, claimed_meanwhile), Metrics(), lambda: 60.0)
    await sweeper.sweep()
    (delivery,) = await harness.deliveries()
    assert (delivery["lease_until"], delivery["sweeps"]) == (claims[0].lease_until, 0)


async def test_a_broker_that_takes_only_some_leaves_the_others_for_the_next_sweep(harness: DispatcherHarness) -> None:
    ids = await owed(harness, 5)
    await expire_leases(harness.pool)

    async def refuse_one(body: bytes) -> None:
        if str(ids[2]).encode() in body:
            raise NotKept("no")

    sweeper = Sweeper(harness.pool, Between(harness.publisher, refuse_one), Metrics(), lambda: 60.0)
    with pytest.raises(NotKept):
        await sweeper.sweep()
    put_back = {each["id"] for each in await harness.deliveries() if each["sweeps"] == 1}
    assert put_back == set(ids) - {ids[2]}
    with pytest.raises(NotKept):
        await sweeper.sweep()
    assert len(await take_all(harness.amqp_url, WORK_DELIVERIES)) == 4


async def test_a_broker_that_takes_only_some_dead_letters_gets_none_of_them_a_second_time(
    harness: DispatcherHarness,
) -> None:
    ids = await owed(harness, 5)
    await expire_leases(harness.pool)
    await harness.pool.execute("UPDATE deliveries SET sweeps = $1", MOST_SWEEPS)
    refused = {str(ids[2])}

    async def refuse_one(body: bytes) -> None:
        if json.loads(body)["delivery_id"] in refused:
            raise NotKept("no")

    sweeper = Sweeper(harness.pool, Between(harness.publisher, refuse_one), Metrics(), lambda: 60.0)
    with pytest.raises(NotKept):
        await sweeper.sweep()
    refused.clear()
    assert await sweeper.sweep() == 1
    letters = await take_all(harness.amqp_url, "dead.deliveries")
    assert sorted(json.loads(each.body)["delivery_id"] for each in letters) == sorted(map(str, ids))


async def test_a_delivery_that_is_claimed_while_its_dead_letter_is_published_is_not_given_up(
    harness: DispatcherHarness,
) -> None:
    (delivery_id,) = await owed(harness)
    await expire_leases(harness.pool)
    await harness.pool.execute("UPDATE deliveries SET sweeps = $1", MOST_SWEEPS)

    async def claimed_meanwhile(_body: bytes) -> None:
        await ledger.claim(harness.pool, STORE, [(delivery_id, 1)], 30.0)

    await Sweeper(harness.pool, Between(harness.publisher, claimed_meanwhile), Metrics(), lambda: 60.0).sweep()
    (delivery,) = await harness.deliveries()
    assert delivery["state"] == "pending"


async def test_who_cannot_tell_how_long_the_queue_is_puts_back_leases_only(harness: DispatcherHarness) -> None:
    first, second = await owed(harness, 2)
    await harness.pool.execute("UPDATE deliveries SET lease_until = NULL, due_at = now() - interval '1 day'")
    await harness.pool.execute("UPDATE deliveries SET lease_until = now() - interval '1 s' WHERE id = $1", second)
    sweeper = Sweeper(harness.pool, harness.publisher, Metrics(), lambda: None)
    assert await sweeper.sweep() == 1
    (message,) = await take_all(harness.amqp_url, WORK_DELIVERIES)
    assert json.loads(message.body)["delivery_id"] == str(second) != str(first)


async def test_two_dispatchers_together_put_back_no_faster_than_the_rate_and_nothing_twice(
    harness: DispatcherHarness,
) -> None:
    await owed(harness, 2 * MOST_PER_SWEEP)
    await expire_leases(harness.pool)
    rate = 125.0
    sweepers = [
        Sweeper(harness.pool, harness.publisher, Metrics(), lambda: 60.0, most_per_second=rate, every_seconds=0.01)
        for _ in range(2)
    ]

    async def known() -> None:
        pass

    started = time.monotonic()
    running = [asyncio.create_task(sweeper.run(known)) for sweeper in sweepers]
    count = "SELECT count(*) FROM deliveries WHERE sweeps = 1"

    async def all_put_back() -> bool:
        return await harness.pool.fetchval(count) == 2 * MOST_PER_SWEEP

    await until(all_put_back, "all put back")
    # The second batch may not begin before the first one's time is over.
    assert time.monotonic() - started >= MOST_PER_SWEEP / rate
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    assert len(await take_all(harness.amqp_url, WORK_DELIVERIES)) == 2 * MOST_PER_SWEEP


@pytest.mark.usefixtures("quick_sweeps")
async def test_a_backlog_that_is_being_worked_off_is_not_put_back_and_what_lost_its_message_among_it_is_in_the_end(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await owed(harness, 60)
    lost = ids.pop(0)
    await harness.pool.execute("UPDATE deliveries SET lease_until = NULL, due_at = now() - interval '1 hour'")
    for delivery_id in ids:
        body = b'{"delivery_id":"%s","attempt":1}' % str(delivery_id).encode()
        await harness.publisher.publish(FAX_WORK, WORK_KEY, body, {})
    # A process that holds few: the others wait in the queue, long past their due time and the plain grace.
    monkeypatch.setattr(held, "MOST_HELD", 2)
    monkeypatch.setattr("dispatcher.__main__.DELIVERIES_PER_BATCH", 2)
    put_back = []

    async def noted(connection: Any, publisher: Any, batch: Any) -> int:
        put_back.extend(each.overdue.delivery_id for each in batch)
        return await original(connection, publisher, batch)

    original = overdue.put_back
    monkeypatch.setattr(overdue, "put_back", noted)

    async def slowly(_received: object) -> int:
        await asyncio.sleep(0.1)  # an application that takes its time
        return 200

    harness.receiver.answer = slowly
    async with dispatching():
        await harness.settled(len(ids), seconds=30)
        assert put_back == []
        monkeypatch.setattr("dispatcher.consumers.lag.SEEN_SECONDS", 0.0)
        await harness.settled(len(ids) + 1, seconds=30)
    assert put_back == [lost]
    assert len(harness.receiver.received) == len(ids) + 1


async def test_what_is_put_back_without_ever_getting_on_becomes_a_dead_letter_stuck(
    harness: DispatcherHarness, sweeper: Sweeper
) -> None:
    (delivery_id,) = await owed(harness)
    for _ in range(MOST_SWEEPS):
        await expire_leases(harness.pool)
        assert await sweeper.sweep() == 1
    await expire_leases(harness.pool)
    await sweeper.sweep()
    (letter,) = await take_all(harness.amqp_url, "dead.deliveries")
    assert (json.loads(letter.body)["delivery_id"], json.loads(letter.body)["cause"]) == (str(delivery_id), "stuck")
    (delivery,) = await harness.deliveries()
    assert (delivery["state"], delivery["reason"]) == ("dead", "stuck")


@pytest.mark.usefixtures("quick_sweeps")
async def test_after_every_queue_is_lost_what_was_owed_is_told_and_what_was_told_is_not_told_again(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    harness.receiver.answer = lambda received: 200 if "phaxio:1-" in received.event_id else 500
    await harness.publish(*(an_event(number) for number in range(1, 5)))
    async with dispatching():
        await until(lambda: _retrying(harness, 3), "three are owed")
    await wiped(harness)
    await harness.pool.execute("UPDATE deliveries SET due_at = now() - interval '1 hour' WHERE state = 'retrying'")
    harness.receiver.answer = lambda _received: 200
    async with dispatching():
        deliveries = await harness.settled(4)
    assert {each["state"] for each in deliveries} == {"told"}
    told = [each.event_id for each in harness.receiver.received if each.attempt == 2]
    assert sorted(told) == [an_event(number).id for number in (2, 3, 4)]
    assert sum("phaxio:1-" in each.event_id for each in harness.receiver.received) == 1


@pytest.mark.usefixtures("quick_sweeps")
async def test_a_broker_wiped_under_a_running_dispatcher_is_rebuilt_by_it_alone(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The broker may not tell a consumer that its queue is a new one: it registers again after a minute of silence,
    # here 5 s (more than the 2 s of silence that make an idle consumer of it).
    monkeypatch.setattr("dispatcher.consumers.consumer.SILENCE_SECONDS", 5.0)
    await harness.endpoint()
    harness.receiver.answer = lambda received: 200 if "phaxio:1-" in received.event_id else 500
    async with dispatching():
        await harness.publish(*(an_event(number) for number in range(1, 6)))
        await until(lambda: _retrying(harness, 4), "four are owed")
        await wiped(harness)
        harness.receiver.answer = lambda _received: 200
        await harness.pool.execute("UPDATE deliveries SET due_at = now() - interval '1 hour' WHERE state = 'retrying'")
        deliveries = await harness.settled(5, seconds=40)
    assert {each["state"] for each in deliveries} == {"told"}
    assert sorted(each.attempt for each in harness.receiver.received) == [1] * 5 + [2] * 4


async def wiped(harness: DispatcherHarness) -> None:
    """Lose every queue with all that is in it."""
    await fresh_topology(harness.amqp_url, topology(parse_backoff(harness.environment["BACKOFF"])))


async def _retrying(harness: DispatcherHarness, count: int) -> bool:
    return [each["state"] for each in await harness.deliveries()].count("retrying") == count
