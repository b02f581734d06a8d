"""The claim decides what may be attempted; a record counts once, and told is told."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from dispatchers import STORE, DispatcherHarness, an_event
from stores import count, take_all
from waiting import until

from dispatcher.ledger import deliveries as ledger
from dispatcher.ledger.deliveries import Lease, Record
from shared.broker import FAX_WORK
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

MARGIN = 15.0


async def one_owed(harness: DispatcherHarness) -> UUID:
    await harness.endpoint()
    taken = await harness.take(an_event(1))
    return taken.owed[0].delivery_id


async def release(harness: DispatcherHarness, delivery_id: UUID) -> None:
    until = await harness.pool.fetchval("SELECT lease_until FROM deliveries WHERE id = $1", delivery_id)
    assert await ledger.release(harness.pool, [Lease(delivery_id, until, 0.0)]) == {delivery_id}


def record(delivery_id: UUID, attempt: int, state: str) -> Record:
    return Record(delivery_id=delivery_id, attempt=attempt, state=state, outcome=state, started_at=datetime.now(UTC))


async def claimed(pool: asyncpg.Pool, delivery_id: UUID, attempt: int) -> bool:
    return bool(await ledger.claim(pool, STORE, [(delivery_id, attempt)], MARGIN))


async def test_of_many_who_claim_the_same_at_once_one_gets_it(harness: DispatcherHarness) -> None:
    delivery_id = await one_owed(harness)
    await release(harness, delivery_id)
    results = await asyncio.gather(*(claimed(harness.pool, delivery_id, 1) for _ in range(8)))
    assert sum(results) == 1


async def test_a_leased_a_wrong_and_a_settled_attempt_cannot_be_claimed(harness: DispatcherHarness) -> None:
    delivery_id = await one_owed(harness)
    assert not await claimed(harness.pool, delivery_id, 1), "leased"
    await release(harness, delivery_id)
    assert not await claimed(harness.pool, delivery_id, 2), "ahead"
    assert await claimed(harness.pool, delivery_id, 1)
    await ledger.record(harness.pool, [record(delivery_id, 1, "told")])
    assert not await claimed(harness.pool, delivery_id, 2), "settled"


async def test_what_waits_for_a_record_or_got_it_since_the_claim_looked_is_too_early_rather_than_stale(
    harness: DispatcherHarness,
) -> None:
    delivery_id = await one_owed(harness)
    attempts = [(delivery_id, attempt) for attempt in (1, 2, 3)]
    assert await ledger.early(harness.pool, attempts) == {(delivery_id, 2), (delivery_id, 3)}
    await ledger.record(harness.pool, [record(delivery_id, 1, "retrying")])
    assert await ledger.early(harness.pool, attempts) == {(delivery_id, 2)}, "may be claimed now"
    assert await claimed(harness.pool, delivery_id, 2)
    assert await ledger.early(harness.pool, attempts) == {(delivery_id, 3)}
    await harness.pool.execute("UPDATE deliveries SET lease_until = now() - interval '1 s'")
    assert await ledger.early(harness.pool, attempts) == {(delivery_id, 2)}, "nobody holds it: what comes third is lost"
    await ledger.record(harness.pool, [record(delivery_id, 2, "told")])
    assert await ledger.early(harness.pool, attempts) == set(), "settled"


async def test_what_can_never_be_claimed_is_never_too_early(harness: DispatcherHarness) -> None:
    delivery_id = await one_owed(harness)
    await release(harness, delivery_id)
    await harness.pool.execute("UPDATE events SET body = NULL")
    assert not await claimed(harness.pool, delivery_id, 1)
    assert await ledger.early(harness.pool, [(delivery_id, 1)]) == set(), "it would go round for ever"


async def test_a_record_that_comes_between_the_claim_and_the_second_look_costs_no_retry(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery_id = await one_owed(harness)
    claim = ledger.claim

    async def claim_then_record(*arguments: Any) -> list[ledger.Claim | ledger.BrokenClaim]:
        claims = await claim(*arguments)
        await ledger.record(harness.pool, [record(delivery_id, 1, "retrying")])
        return claims

    async def put_off() -> bool:
        return await count(harness.amqp_url, "defer.15s") == 1

    monkeypatch.setattr(ledger, "claim", claim_then_record)
    async with dispatching():
        body = json.dumps({"delivery_id": str(delivery_id), "attempt": 2}).encode()
        await harness.publisher.publish(FAX_WORK, "delivery", body, {})
        await until(put_off, "the retry is put off")
    (message,) = await take_all(harness.amqp_url, "defer.15s")
    assert json.loads(message.body) == json.loads(body)


async def test_a_record_written_twice_counts_once(harness: DispatcherHarness) -> None:
    delivery_id = await one_owed(harness)
    for _ in range(2):
        await ledger.record(harness.pool, [record(delivery_id, 1, "retrying")])
    (delivery,) = await harness.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("retrying", 1)
    assert await harness.pool.fetchval("SELECT count(*) FROM attempts") == 1


async def test_a_failure_recorded_late_does_not_undo_what_another_process_did(harness: DispatcherHarness) -> None:
    delivery_id = await one_owed(harness)
    await ledger.record(harness.pool, [record(delivery_id, 1, "retrying")])
    await ledger.record(harness.pool, [record(delivery_id, 2, "told")])
    await ledger.record(harness.pool, [record(delivery_id, 1, "dead")])
    (delivery,) = await harness.deliveries()
    assert (delivery["state"], delivery["attempts"]) == ("told", 2)


async def test_an_application_that_was_told_stays_told_though_another_process_went_on(
    harness: DispatcherHarness,
) -> None:
    delivery_id = await one_owed(harness)
    await ledger.record(harness.pool, [record(delivery_id, 1, "retrying")])
    await ledger.record(harness.pool, [record(delivery_id, 1, "told")])
    (delivery,) = await harness.deliveries()
    assert delivery["state"] == "told"


async def test_an_event_taken_twice_owes_once(harness: DispatcherHarness) -> None:
    await harness.endpoint()
    first, second = await asyncio.gather(*(harness.take(an_event(1)) for _ in range(2)))
    assert len(first.owed) + len(second.owed) == 1
    assert len(await harness.deliveries()) == 1
