"""The claim decides what may be attempted; a record counts once, and told is told."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from dispatchers import STORE, DispatcherHarness, an_event

from dispatcher.ledger import deliveries
from dispatcher.ledger.deliveries import Record
from dispatcher.policy.delivery import LeasedDelivery
from shared.domain import EventType

MARGIN = 15.0


async def one_owed(harness: DispatcherHarness) -> LeasedDelivery:
    await harness.endpoint()
    (delivery,) = (await harness.take(an_event(1))).deliveries
    return delivery


async def release(harness: DispatcherHarness, delivery: LeasedDelivery) -> None:
    assert await deliveries.release(harness.pool, [(delivery, 0.0)]) == {delivery.delivery_id}


def record(delivery_id: UUID, attempt: int, state: str) -> Record:
    return Record(delivery_id=delivery_id, attempt=attempt, state=state, outcome=state, started_at=datetime.now(UTC))


async def claimed(pool: asyncpg.Pool, delivery_id: UUID, attempt: int) -> bool:
    return bool(await deliveries.claim(pool, STORE, [(delivery_id, attempt)], MARGIN))


async def test_of_many_who_claim_the_same_at_once_one_gets_it(harness: DispatcherHarness) -> None:
    delivery = await one_owed(harness)
    delivery_id = delivery.delivery_id
    await release(harness, delivery)
    results = await asyncio.gather(*(claimed(harness.pool, delivery_id, 1) for _ in range(8)))
    assert sum(results) == 1


async def test_a_leased_a_wrong_and_a_settled_attempt_cannot_be_claimed(harness: DispatcherHarness) -> None:
    delivery = await one_owed(harness)
    delivery_id = delivery.delivery_id
    assert not await claimed(harness.pool, delivery_id, 1), "leased"
    await release(harness, delivery)
    assert not await claimed(harness.pool, delivery_id, 2), "ahead"
    assert await claimed(harness.pool, delivery_id, 1)
    await deliveries.record(harness.pool, [record(delivery_id, 1, "told")])
    assert not await claimed(harness.pool, delivery_id, 2), "settled"


async def test_a_release_waits_for_no_disk(harness: DispatcherHarness) -> None:
    is_waited_for = []
    for number in range(10):  # another flush may come by chance
        await harness.endpoint(scope="number", match=f"+1555{number:07}")
        event = an_event(number, EventType.RECEIVED, to_number=f"+1555{number:07}")
        (delivery,) = (await harness.take(event)).deliveries
        async with harness.pool.acquire() as connection:
            assert await deliveries.release(connection, [(delivery, 0.0)])
            is_waited_for.append(
                await connection.fetchval("SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()")
            )
            assert await connection.fetchval("SHOW synchronous_commit") == "on", "for what follows on the connection"
    assert not all(is_waited_for)


async def test_what_was_pruned_can_never_be_claimed(harness: DispatcherHarness) -> None:
    delivery = await one_owed(harness)
    await release(harness, delivery)
    await harness.pool.execute("UPDATE events SET body = NULL")
    assert not await claimed(harness.pool, delivery.delivery_id, 1)


async def test_a_record_written_twice_counts_once(harness: DispatcherHarness) -> None:
    delivery_id = (await one_owed(harness)).delivery_id
    for _ in range(2):
        await deliveries.record(harness.pool, [record(delivery_id, 1, "retrying")])
    (delivery,) = await harness.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("retrying", 1)
    assert await harness.pool.fetchval("SELECT count(*) FROM attempts") == 1


async def test_a_failure_recorded_late_does_not_undo_what_another_process_did(harness: DispatcherHarness) -> None:
    delivery_id = (await one_owed(harness)).delivery_id
    await deliveries.record(harness.pool, [record(delivery_id, 1, "retrying")])
    await deliveries.record(harness.pool, [record(delivery_id, 2, "told")])
    await deliveries.record(harness.pool, [record(delivery_id, 1, "dead")])
    (delivery,) = await harness.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("told", 2)


async def test_an_application_that_was_told_stays_told_though_another_process_went_on(
    harness: DispatcherHarness,
) -> None:
    delivery_id = (await one_owed(harness)).delivery_id
    await deliveries.record(harness.pool, [record(delivery_id, 1, "retrying")])
    await deliveries.record(harness.pool, [record(delivery_id, 1, "told")])
    (delivery,) = await harness.deliveries()
    assert delivery["state"] == "told"


async def test_an_event_taken_twice_owes_once(harness: DispatcherHarness) -> None:
    await harness.endpoint()
    first, second = await asyncio.gather(*(harness.take(an_event(1)) for _ in range(2)))
    assert len(first.deliveries) + len(second.deliveries) == 1
    assert len(await harness.deliveries()) == 1
