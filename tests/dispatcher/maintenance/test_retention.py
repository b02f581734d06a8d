"""Retention: old events that are settled lose their content, what is owed or dead stays, and no other work waits."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from dispatchers import STORE, DispatcherHarness, an_event
from old_events import AGE, Dispatching, an_old_event, in_state, in_state_of_one, many_old, payloads, tried
from waiting import until

from dispatcher.ledger import deliveries as ledger
from dispatcher.ledger import pruning
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.locks import Lock
from dispatcher.maintenance.retention import Pruned, Retention
from dispatcher.policy.endpoint import FaxMatch
from shared.domain import EventType


async def test_what_is_old_and_over_loses_payload_and_attempts_and_everything_else_stays(
    harness: DispatcherHarness, retention: Retention
) -> None:
    await harness.endpoint()
    await in_state(harness, an_old_event(1), "told", tried=3)
    await in_state(harness, an_old_event(2), "skipped")
    await in_state(harness, an_old_event(3), "pending", settled=None)
    await in_state(harness, an_old_event(4), "retrying", settled=None)
    await in_state(harness, an_old_event(5), "dead")
    await in_state(harness, an_old_event(6), "told", settled=timedelta(days=29))
    await in_state(harness, an_event(7, received_at=datetime.now(UTC) - timedelta(days=29)), "told")
    unowed = an_old_event(8, EventType.QUEUED)
    await harness.take(unowed)
    await harness.pool.execute("UPDATE events SET recorded_at = now() - interval '31 days' WHERE id = $1", unowed.id)
    late = an_old_event(9, EventType.QUEUED)
    await harness.take(late)
    pruned = await retention.prune()
    assert await payloads(harness) == {"3", "4", "5", "6", "7", "9"}
    assert await tried(harness) == {"3", "4", "5", "6", "7"}
    assert (pruned.events, pruned.attempts) == (3, 4)
    assert await harness.pool.fetchval("SELECT count(*) FROM events") == 9
    assert len(await harness.deliveries()) == 7
    assert await harness.pool.fetchval("SELECT count(*) FROM faxes") == 9
    assert (await retention.prune()).events == 0


async def test_an_event_told_to_one_and_dead_for_another_is_kept(
    harness: DispatcherHarness, retention: Retention
) -> None:
    await harness.endpoint()
    await in_state(harness, an_old_event(1), "told")
    other = await harness.endpoint()
    await harness.pool.execute(
        "INSERT INTO deliveries (id, event_id, endpoint_id, state, settled_at) "
        "SELECT gen_random_uuid(), event_id, $1, 'dead', settled_at FROM deliveries",
        other.id,
    )
    assert (await retention.prune()).events == 0
    assert await payloads(harness) == {"1"}


async def test_a_pruned_event_that_is_repeated_is_known_and_not_owed_again(
    harness: DispatcherHarness, retention: Retention, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    event = an_old_event(1)
    await in_state(harness, event, "told")
    await retention.prune()
    await harness.publish(event, an_event(2))
    async with dispatching():
        await until(lambda: len(harness.receiver.received) == 1, "the new one is told")
    assert [each.event_id for each in harness.receiver.received] == [an_event(2).id]
    assert await harness.pool.fetchval("SELECT count(*) FROM events") == 2


async def test_a_delivery_whose_payload_is_gone_is_never_claimed(harness: DispatcherHarness) -> None:
    await harness.endpoint()
    first, second = (await harness.take(an_event(1), an_event(2))).deliveries
    await harness.pool.execute("UPDATE deliveries SET lease_until = NULL")
    await harness.pool.execute("UPDATE events SET body = NULL WHERE id = $1", first.event.id)
    wanted = [(first.delivery_id, 1), (second.delivery_id, 1)]
    claims = await ledger.claim(harness.pool, STORE, wanted, 30.0)
    assert [claim.delivery_id for claim in claims] == [second.delivery_id]


async def test_an_event_that_is_owed_late_while_it_is_being_pruned_keeps_its_payload(
    harness: DispatcherHarness, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = an_old_event(1)
    await harness.take(event)
    await harness.pool.execute("UPDATE events SET recorded_at = now() - interval '31 days'")
    endpoint = await harness.endpoint(scope="fax", match=FaxMatch(provider=event.provider, fax_id=event.fax_id))
    find = pruning.old_events

    async def found_then_owed(*arguments: Any) -> Any:
        found = await find(*arguments)
        if found:
            await Intake(harness.pool, STORE).owe_registered(endpoint)
        return found

    monkeypatch.setattr(pruning, "old_events", found_then_owed)
    assert (await retention.prune()).events == 0
    (delivery,) = await harness.deliveries()
    assert delivery["state"] == "pending"
    assert await payloads(harness) == {"1"}


async def test_intake_claims_and_records_do_not_wait_for_pruning(harness: DispatcherHarness) -> None:
    await harness.endpoint()
    old = [an_old_event(number) for number in range(1, 11)]
    for event in old:
        await in_state(harness, event, "told")
    (owed,) = (await harness.take(an_event(20))).deliveries
    await harness.pool.execute("UPDATE deliveries SET lease_until = NULL WHERE id = $1", owed.delivery_id)
    async with harness.pool.acquire() as connection, connection.transaction():
        await connection.fetch(pruning.LOCK, [event.id for event in old])
        await connection.execute(pruning.PRUNE_ATTEMPTS, [event.id for event in old])
        async with asyncio.timeout(5.0):
            taken = await harness.take(an_event(21), *old)
            (claim,) = await ledger.claim(harness.pool, STORE, [(owed.delivery_id, 1)], 30.0)
            await ledger.record(harness.pool, [ledger.Record(delivery_id=claim.delivery_id, attempt=1, state="told")])
    assert taken.fresh == {an_event(21).id}


async def test_pruning_does_not_wait_for_a_locked_event(harness: DispatcherHarness, retention: Retention) -> None:
    await harness.endpoint()
    for number in (1, 2):
        await in_state(harness, an_old_event(number), "told")
    async with harness.pool.acquire() as other, other.transaction():
        await other.fetch("SELECT 1 FROM events WHERE fax_id = '1' FOR KEY SHARE")
        async with asyncio.timeout(5.0):
            assert (await retention.prune()).events == 1
    assert await payloads(harness) == {"1"}
    assert (await retention.prune()).events == 1


async def test_a_long_backlog_goes_in_small_steps_and_is_not_read_again_from_the_beginning(
    harness: DispatcherHarness, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = await harness.endpoint()
    await many_old(harness, endpoint.id, 2_000, attempts=10)
    steps: list[tuple[int, int]] = []
    original = pruning.prune

    async def measured(*arguments: Any) -> pruning.Step:
        step = await original(*arguments)
        steps.append((len(step.event_ids), step.attempts))
        return step

    monkeypatch.setattr(pruning, "prune", measured)
    monkeypatch.setattr("dispatcher.maintenance.retention.PAUSE_SECONDS", 0.0)
    pruned = await retention.prune()
    # One of ten is dead and stays.
    assert (pruned.events, pruned.attempts) == (1_800, 18_000)
    assert sum(events for events, _ in steps) == 1_800
    assert max(events for events, _ in steps) <= 200
    assert max(attempts for _, attempts in steps) <= 1_000
    assert len(steps) < 30


async def test_one_dispatcher_prunes_at_a_time(harness: DispatcherHarness, retention: Retention) -> None:
    await harness.endpoint()
    await in_state(harness, an_old_event(1), "told")
    async with harness.pool.acquire() as other, other.transaction():
        assert await other.fetchval("SELECT pg_try_advisory_xact_lock($1)", Lock.PRUNE)
        assert await retention.prune() == Pruned()
    assert (await retention.prune()).events == 1


async def test_a_crash_in_the_middle_of_a_step_leaves_all_of_an_event_or_nothing(
    harness: DispatcherHarness, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.endpoint()
    await in_state(harness, an_old_event(1), "told")
    monkeypatch.setattr(pruning, "PRUNE_EVENTS", "SELECT 1 / 0, $1::text[]")
    with pytest.raises(Exception, match="division by zero"):
        await retention.prune()
    assert (await payloads(harness), await tried(harness)) == ({"1"}, {"1"})
    monkeypatch.undo()
    assert (await retention.prune()).events == 1


async def test_answers_to_commands_are_forgotten_and_the_audit_is_not(
    harness: DispatcherHarness, retention: Retention
) -> None:
    await harness.pool.execute(
        "INSERT INTO commands (id, digest, seen_at) VALUES ('old', '', now() - interval '26 hours'), "
        "('new', '', now() - interval '24 hours')"
    )
    await harness.pool.execute("INSERT INTO audit (at, who, what, subject) VALUES ('2020-01-01', 'a', 'b', 'c')")
    await in_state_of_one(harness)

    async def known() -> None:
        pass

    task = asyncio.create_task(retention.run(known))

    async def is_done() -> bool:
        return await payloads(harness) == set()

    await until(is_done, "a pass")
    task.cancel()
    await asyncio.wait({task})
    assert [row["id"] for row in await harness.pool.fetch("SELECT id FROM commands")] == ["new"]
    assert await harness.pool.fetchval("SELECT count(*) FROM audit") == 1


async def test_finished_jobs_are_forgotten_with_their_items_and_those_under_way_are_not(
    harness: DispatcherHarness, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.maintenance.retention.ITEMS_PER_STEP", 2)
    for number, finished_at in enumerate((datetime.now(UTC) - AGE, datetime.now(UTC), None)):
        job_id = UUID(int=number)
        await harness.pool.execute(
            "INSERT INTO jobs (id, what, who, selection, created_at, finished_at, lease_until) "
            "VALUES ($1, 'dead.replay', 'cli', '{}', '2020-01-01', $2, now())",
            job_id,
            finished_at,
        )
        await harness.pool.executemany(
            "INSERT INTO job_items (job_id, letter_id, kind, state) VALUES ($1, $2, 'event', 'done')",
            [(job_id, f"event-{item}") for item in range(5)],
        )
    await retention.prune()
    kept = {UUID(int=1), UUID(int=2)}
    assert {row["id"] for row in await harness.pool.fetch("SELECT id FROM jobs")} == kept
    items = await harness.pool.fetch("SELECT job_id, count(*) AS count FROM job_items GROUP BY 1")
    assert {row["job_id"]: row["count"] for row in items} == dict.fromkeys(kept, 5)
