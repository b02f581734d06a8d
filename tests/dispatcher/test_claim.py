"""The claim decides what may be attempted; a record counts once, and told is told."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from dispatchers import STORE, Bench, an_event

from dispatcher import ledger
from dispatcher.ledger import Lease, Record

MARGIN = 15.0


async def one_owed(bench: Bench) -> UUID:
    await bench.endpoint()
    taken = await bench.take(an_event(1))
    return taken.owed[0].delivery_id


async def release(bench: Bench, delivery_id: UUID) -> None:
    until = await bench.pool.fetchval("SELECT lease_until FROM deliveries WHERE id = $1", delivery_id)
    assert await ledger.release(bench.pool, [Lease(delivery_id, until, 0.0)]) == {delivery_id}


def record(delivery_id: UUID, attempt: int, state: str) -> Record:
    return Record(delivery_id=delivery_id, attempt=attempt, state=state, outcome=state, started_at=datetime.now(UTC))


async def claimed(pool: asyncpg.Pool, delivery_id: UUID, attempt: int) -> bool:
    return bool(await ledger.claim(pool, STORE, [(delivery_id, attempt)], MARGIN))


async def test_of_many_who_claim_the_same_at_once_one_gets_it(bench: Bench) -> None:
    delivery_id = await one_owed(bench)
    await release(bench, delivery_id)
    results = await asyncio.gather(*(claimed(bench.pool, delivery_id, 1) for _ in range(8)))
    assert sum(results) == 1


async def test_a_leased_a_wrong_and_a_settled_attempt_cannot_be_claimed(bench: Bench) -> None:
    delivery_id = await one_owed(bench)
    assert not await claimed(bench.pool, delivery_id, 1), "leased"
    await release(bench, delivery_id)
    assert not await claimed(bench.pool, delivery_id, 2), "ahead"
    assert await claimed(bench.pool, delivery_id, 1)
    await ledger.record(bench.pool, [record(delivery_id, 1, "told")])
    assert not await claimed(bench.pool, delivery_id, 2), "settled"


async def test_only_what_somebody_still_holds_and_has_yet_to_record_is_too_early_rather_than_stale(
    bench: Bench,
) -> None:
    delivery_id = await one_owed(bench)
    attempts = [(delivery_id, attempt) for attempt in (1, 2, 3)]
    assert await ledger.early(bench.pool, attempts) == {(delivery_id, 2), (delivery_id, 3)}
    await ledger.record(bench.pool, [record(delivery_id, 1, "retrying")])
    assert await ledger.early(bench.pool, attempts) == set(), "nobody holds it"
    assert await claimed(bench.pool, delivery_id, 2)
    assert await ledger.early(bench.pool, attempts) == {(delivery_id, 3)}
    await ledger.record(bench.pool, [record(delivery_id, 2, "told")])
    assert await ledger.early(bench.pool, attempts) == set(), "settled"


async def test_a_record_written_twice_counts_once(bench: Bench) -> None:
    delivery_id = await one_owed(bench)
    for _ in range(2):
        await ledger.record(bench.pool, [record(delivery_id, 1, "retrying")])
    (delivery,) = await bench.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("retrying", 1)
    assert await bench.pool.fetchval("SELECT count(*) FROM attempts") == 1


async def test_a_failure_recorded_late_does_not_undo_what_another_process_did(bench: Bench) -> None:
    delivery_id = await one_owed(bench)
    await ledger.record(bench.pool, [record(delivery_id, 1, "retrying")])
    await ledger.record(bench.pool, [record(delivery_id, 2, "told")])
    await ledger.record(bench.pool, [record(delivery_id, 1, "dead")])
    (delivery,) = await bench.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("told", 2)


async def test_an_application_that_was_told_stays_told_though_another_process_went_on(bench: Bench) -> None:
    delivery_id = await one_owed(bench)
    await ledger.record(bench.pool, [record(delivery_id, 1, "retrying")])
    await ledger.record(bench.pool, [record(delivery_id, 1, "told")])
    (delivery,) = await bench.deliveries()
    assert delivery["state"] == "told"


async def test_an_event_taken_twice_owes_once(bench: Bench) -> None:
    await bench.endpoint()
    first, second = await asyncio.gather(*(bench.take(an_event(1)) for _ in range(2)))
    assert len(first.owed) + len(second.owed) == 1
    assert len(await bench.deliveries()) == 1
