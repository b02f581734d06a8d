"""Retention: what is old and over goes, what is owed or dead stays, and nobody has to wait for it."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from dispatchers import STORE, Bench, an_event
from stores import take_all
from waiting import until

from dispatcher import ledger, prunable
from dispatcher.endpoints import EndpointBook
from dispatcher.intake import Intake
from dispatcher.locks import Lock
from dispatcher.retention import Pruned, Retention, nothing_waits
from dispatcher.routing import FaxMatch
from shared.broker import DEAD_EVENT, FAX_DEAD, FAX_IN
from shared.domain import Event, EventType, Media
from shared.media import MediaStore
from shared.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

AGE = timedelta(days=31, hours=1)


async def yes() -> bool:
    return True


@pytest.fixture
def store(tmp_path: Path) -> MediaStore:
    return MediaStore((tmp_path / "media").as_uri())


@pytest.fixture
def retention(bench: Bench, store: MediaStore) -> Retention:
    return Retention(bench.pool, store, yes, 30, look_every_seconds=0.05)


def an_old_event(number: int, event_type: EventType = EventType.DELIVERED, **fields: Any) -> Event:
    return an_event(number, event_type, received_at=datetime.now(UTC) - AGE, **fields)


async def in_state(bench: Bench, event: Event, state: str, *, settled: timedelta | None = AGE, tried: int = 1) -> UUID:
    """Take *event* in as long ago as it was received, with one delivery in *state* and *tried* attempts."""
    (owed,) = (await bench.take(event)).owed
    age = datetime.now(UTC) - event.received_at
    await bench.pool.execute("UPDATE events SET recorded_at = now() - $2::interval WHERE id = $1", event.id, age)
    await bench.pool.execute(
        "UPDATE deliveries SET state = $2, attempts = $3, lease_until = NULL, settled_at = now() - $4::interval "
        "WHERE id = $1",
        owed.delivery_id,
        state,
        tried,
        settled,
    )
    await bench.pool.executemany(
        "INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome) VALUES ($1, $2, now(), 1, 'told')",
        [(owed.delivery_id, number + 1) for number in range(tried)],
    )
    return owed.delivery_id


async def payloads(bench: Bench) -> set[str]:
    """Return the faxes whose events have a payload."""
    return {row["fax_id"] for row in await bench.pool.fetch("SELECT fax_id FROM events WHERE body IS NOT NULL")}


async def tried(bench: Bench) -> set[str]:
    """Return the faxes that have attempts."""
    rows = await bench.pool.fetch(
        "SELECT fax_id FROM attempts JOIN deliveries d ON d.id = delivery_id JOIN events ON events.id = d.event_id"
    )
    return {row["fax_id"] for row in rows}


async def test_what_is_old_and_over_loses_payload_and_attempts_and_everything_else_stays(
    bench: Bench, retention: Retention
) -> None:
    await bench.endpoint()
    await in_state(bench, an_old_event(1), "told", tried=3)
    await in_state(bench, an_old_event(2), "skipped")
    await in_state(bench, an_old_event(3), "pending", settled=None)
    await in_state(bench, an_old_event(4), "retrying", settled=None)
    await in_state(bench, an_old_event(5), "dead")
    await in_state(bench, an_old_event(6), "told", settled=timedelta(days=29))
    await in_state(bench, an_event(7, received_at=datetime.now(UTC) - timedelta(days=29)), "told")
    nobody = an_old_event(8, EventType.QUEUED)
    await bench.take(nobody)
    await bench.pool.execute("UPDATE events SET recorded_at = now() - interval '31 days' WHERE id = $1", nobody.id)
    late = an_old_event(9, EventType.QUEUED)
    await bench.take(late)
    pruned = await retention.prune()
    assert await payloads(bench) == {"3", "4", "5", "6", "7", "9"}
    assert await tried(bench) == {"3", "4", "5", "6", "7"}
    assert (pruned.events, pruned.attempts) == (3, 4)
    assert await bench.pool.fetchval("SELECT count(*) FROM events") == 9
    assert len(await bench.deliveries()) == 7
    assert await bench.pool.fetchval("SELECT count(*) FROM faxes") == 9
    assert (await retention.prune()).events == 0


async def test_an_event_told_to_one_and_dead_for_another_is_kept(bench: Bench, retention: Retention) -> None:
    await bench.endpoint()
    await in_state(bench, an_old_event(1), "told")
    other = await bench.endpoint()
    await bench.pool.execute(
        "INSERT INTO deliveries (id, event_id, endpoint_id, state, settled_at) "
        "SELECT gen_random_uuid(), event_id, $1, 'dead', settled_at FROM deliveries",
        other.id,
    )
    assert (await retention.prune()).events == 0
    assert await payloads(bench) == {"1"}


async def test_a_pruned_event_that_is_repeated_is_known_and_owed_to_nobody_again(
    bench: Bench, retention: Retention, dispatching: Dispatching
) -> None:
    await bench.endpoint()
    event = an_old_event(1)
    await in_state(bench, event, "told")
    await retention.prune()
    await bench.publish(event, an_event(2))
    async with dispatching():
        await until(lambda: len(bench.receiver.received) == 1, "the new one is told")
    assert [each.event_id for each in bench.receiver.received] == [an_event(2).id]
    assert await bench.pool.fetchval("SELECT count(*) FROM events") == 2


async def test_a_delivery_whose_payload_is_gone_is_never_claimed(bench: Bench) -> None:
    await bench.endpoint()
    first, second = (await bench.take(an_event(1), an_event(2))).owed
    await bench.pool.execute("UPDATE deliveries SET lease_until = NULL")
    await bench.pool.execute("UPDATE events SET body = NULL WHERE id = $1", first.owed.event.id)
    wanted = [(first.delivery_id, 1), (second.delivery_id, 1)]
    claims = await ledger.claim(bench.pool, STORE, wanted, 30.0)
    assert [claim.delivery_id for claim in claims] == [second.delivery_id]


async def test_an_event_that_is_owed_late_while_it_is_being_pruned_keeps_its_payload(
    bench: Bench, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = an_old_event(1)
    await bench.take(event)
    await bench.pool.execute("UPDATE events SET recorded_at = now() - interval '31 days'")
    endpoint = await bench.endpoint(scope="fax", match=FaxMatch(provider=event.provider, fax_id=event.fax_id))
    find = prunable.old_events

    async def found_then_owed(*arguments: Any) -> Any:
        found = await find(*arguments)
        if found:
            await Intake(bench.pool, STORE, EndpointBook(bench.pool, STORE)).owe_registered(endpoint)
        return found

    monkeypatch.setattr(prunable, "old_events", found_then_owed)
    assert (await retention.prune()).events == 0
    (delivery,) = await bench.deliveries()
    assert delivery["state"] == "pending"
    assert await payloads(bench) == {"1"}


async def test_intake_claims_and_records_do_not_wait_for_pruning(bench: Bench) -> None:
    await bench.endpoint()
    old = [an_old_event(number) for number in range(1, 11)]
    for event in old:
        await in_state(bench, event, "told")
    (owed,) = (await bench.take(an_event(20))).owed
    await bench.pool.execute("UPDATE deliveries SET lease_until = NULL WHERE id = $1", owed.delivery_id)
    async with bench.pool.acquire() as pruning, pruning.transaction():
        await pruning.fetch(prunable.LOCK, [event.id for event in old])
        await pruning.execute(prunable.PRUNE_ATTEMPTS, [event.id for event in old])
        async with asyncio.timeout(5.0):
            taken = await bench.take(an_event(21), *old)
            (claim,) = await ledger.claim(bench.pool, STORE, [(owed.delivery_id, 1)], 30.0)
            await ledger.record(bench.pool, [ledger.Record(delivery_id=claim.delivery_id, attempt=1, state="told")])
    assert taken.fresh == {an_event(21).id}


async def test_pruning_does_not_wait_for_who_holds_an_event(bench: Bench, retention: Retention) -> None:
    await bench.endpoint()
    for number in (1, 2):
        await in_state(bench, an_old_event(number), "told")
    async with bench.pool.acquire() as other, other.transaction():
        await other.fetch("SELECT 1 FROM events WHERE fax_id = '1' FOR KEY SHARE")
        async with asyncio.timeout(5.0):
            assert (await retention.prune()).events == 1
    assert await payloads(bench) == {"1"}
    assert (await retention.prune()).events == 1


async def test_a_long_backlog_goes_in_small_steps_and_is_not_read_again_from_the_beginning(
    bench: Bench, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = await bench.endpoint()
    await many_old(bench, endpoint.id, 2_000, attempts=10)
    steps: list[tuple[int, int]] = []
    original = prunable.prune

    async def measured(*arguments: Any) -> prunable.Step:
        step = await original(*arguments)
        steps.append((len(step.event_ids), step.attempts))
        return step

    monkeypatch.setattr(prunable, "prune", measured)
    monkeypatch.setattr("dispatcher.retention.PAUSE_SECONDS", 0.0)
    pruned = await retention.prune()
    # One of ten is dead and stays.
    assert (pruned.events, pruned.attempts) == (1_800, 18_000)
    assert sum(events for events, _ in steps) == 1_800
    assert max(events for events, _ in steps) <= 200
    assert max(attempts for _, attempts in steps) <= 1_000
    assert len(steps) < 30


async def many_old(bench: Bench, endpoint_id: UUID, number: int, *, attempts: int) -> None:
    """Write *number* old events of one moment, each with a delivery; every tenth is dead."""
    await bench.pool.execute(
        "INSERT INTO events (id, provider, fax_id, type, received_at, recorded_at, body) "
        "SELECT 'phaxio:' || n, 'phaxio', n::text, 'fax.delivered', now() - interval '40 days', "
        "now() - interval '40 days', '{}' FROM generate_series(1, $1::int) n",
        number,
    )
    await bench.pool.execute(
        "INSERT INTO deliveries (id, event_id, endpoint_id, state, attempts, settled_at) "
        "SELECT gen_random_uuid(), 'phaxio:' || n, $1, CASE WHEN n % 10 = 0 THEN 'dead' ELSE 'told' END, $3, "
        "now() - interval '39 days' FROM generate_series(1, $2::int) n",
        endpoint_id,
        number,
        attempts,
    )
    await bench.pool.execute(
        "INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome) "
        "SELECT id, n, now(), 1, 'told' FROM deliveries, generate_series(1, $1::int) n",
        attempts,
    )


async def test_one_dispatcher_prunes_at_a_time(bench: Bench, retention: Retention) -> None:
    await bench.endpoint()
    await in_state(bench, an_old_event(1), "told")
    async with bench.pool.acquire() as other, other.transaction():
        assert await other.fetchval("SELECT pg_try_advisory_xact_lock($1)", Lock.PRUNE)
        assert await retention.prune() == Pruned()
    assert (await retention.prune()).events == 1


async def test_a_crash_in_the_middle_of_a_step_leaves_all_of_an_event_or_nothing(
    bench: Bench, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.endpoint()
    await in_state(bench, an_old_event(1), "told")
    monkeypatch.setattr(prunable, "PRUNE_EVENTS", "SELECT 1 / 0, $1::text[]")
    with pytest.raises(Exception, match="division by zero"):
        await retention.prune()
    assert (await payloads(bench), await tried(bench)) == ({"1"}, {"1"})
    monkeypatch.undo()
    assert (await retention.prune()).events == 1


async def test_answers_to_commands_are_forgotten_and_the_audit_is_not(bench: Bench, retention: Retention) -> None:
    await bench.pool.execute(
        "INSERT INTO commands (id, digest, seen_at) VALUES ('old', '', now() - interval '11 minutes'), "
        "('new', '', now() - interval '59 seconds')"
    )
    await bench.pool.execute("INSERT INTO audit (at, who, what, subject) VALUES ('2020-01-01', 'a', 'b', 'c')")
    await in_state_of_one(bench)

    async def known() -> None:
        pass

    task = asyncio.create_task(retention.run(known))

    async def is_done() -> bool:
        return await payloads(bench) == set()

    await until(is_done, "a pass")
    task.cancel()
    await asyncio.wait({task})
    assert [row["id"] for row in await bench.pool.fetch("SELECT id FROM commands")] == ["new"]
    assert await bench.pool.fetchval("SELECT count(*) FROM audit") == 1


async def test_finished_jobs_are_forgotten_with_their_items_and_those_under_way_are_not(
    bench: Bench, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.retention.ITEMS_PER_STEP", 2)
    for number, finished_at in enumerate((datetime.now(UTC) - AGE, datetime.now(UTC), None)):
        job_id = UUID(int=number)
        await bench.pool.execute(
            "INSERT INTO jobs (id, what, who, selection, created_at, finished_at, lease_until) "
            "VALUES ($1, 'dead.replay', 'cli', '{}', '2020-01-01', $2, now())",
            job_id,
            finished_at,
        )
        await bench.pool.executemany(
            "INSERT INTO job_items (job_id, letter_id, kind, state) VALUES ($1, $2, 'event', 'done')",
            [(job_id, f"event-{item}") for item in range(5)],
        )
    await retention.prune()
    kept = {UUID(int=1), UUID(int=2)}
    assert {row["id"] for row in await bench.pool.fetch("SELECT id FROM jobs")} == kept
    items = await bench.pool.fetch("SELECT job_id, count(*) AS count FROM job_items GROUP BY 1")
    assert {row["job_id"]: row["count"] for row in items} == dict.fromkeys(kept, 5)


async def in_state_of_one(bench: Bench) -> None:
    await bench.endpoint()
    await in_state(bench, an_old_event(1), "told")


# ---------------------------------------------------------------------------------------------------------------------
# Documents


async def stored(store: MediaStore, tmp_path: Path, content: bytes, age: timedelta = AGE) -> Media:
    """Keep a document as if *age* ago."""
    media = await store.put(content, "application/pdf")
    then = (datetime.now(UTC) - age).timestamp()
    os.utime(tmp_path / "media" / str(media.key), (then, then))
    return media


@pytest.fixture
def is_kept(tmp_path: Path) -> Callable[[Media], bool]:
    return lambda media: (tmp_path / "media" / str(media.key)).exists()


async def test_a_document_that_only_pruned_events_name_is_deleted_and_no_other(
    bench: Bench, retention: Retention, store: MediaStore, tmp_path: Path, is_kept: Callable[[Media], bool]
) -> None:
    await bench.endpoint()
    over, fetched, shared_with_dead, dead, quarantined = [
        await stored(store, tmp_path, content) for content in (b"1", b"2", b"3", b"4", b"5")
    ]
    again = await stored(store, tmp_path, b"6", timedelta(days=2))
    await in_state(bench, an_old_event(1, media=over), "told")
    await in_state(bench, an_old_event(2, media=Media(url="https://provider.example/")), "told")
    await ledger.keep_media(bench.pool, an_event(2).id, fetched)
    await in_state(bench, an_old_event(3, media=shared_with_dead), "told")
    await in_state(bench, an_old_event(4, media=shared_with_dead), "dead")
    await in_state(bench, an_old_event(5, media=dead), "dead")
    await in_state(bench, an_old_event(6, media=again), "told")
    assert (await retention.prune()).documents == 2
    assert [is_kept(each) for each in (over, fetched, shared_with_dead, dead, quarantined, again)] == [
        False,
        False,
        True,
        True,
        True,
        True,
    ]
    # Once a person has decided about the dead one, nothing holds it any more.
    await bench.pool.execute("UPDATE deliveries SET state = 'told' WHERE state = 'dead'")
    assert (await retention.prune()).documents == 2
    assert [is_kept(each) for each in (shared_with_dead, dead)] == [False, False]


async def test_a_document_whose_event_was_replayed_late_is_kept_though_it_was_stored_long_ago(
    bench: Bench, retention: Retention, store: MediaStore, tmp_path: Path, is_kept: Callable[[Media], bool]
) -> None:
    await bench.endpoint()
    document = await stored(store, tmp_path, b"1")
    await in_state(bench, an_old_event(1, media=document), "told")
    await bench.take(an_old_event(2, media=document))
    await retention.prune()
    assert is_kept(document)


@pytest.mark.parametrize(
    ("exchange", "key"), [(FAX_DEAD, DEAD_EVENT), (FAX_DEAD, "callback"), (FAX_IN, "phaxio.fax.received")]
)
async def test_while_a_message_that_the_ledger_does_not_know_may_name_it_no_document_is_deleted(
    bench: Bench, store: MediaStore, tmp_path: Path, is_kept: Callable[[Media], bool], exchange: str, key: str
) -> None:
    await bench.endpoint()
    document = await stored(store, tmp_path, b"1")
    await in_state(bench, an_old_event(1, media=document), "told")
    retention = Retention(bench.pool, store, lambda: nothing_waits(bench.amqp_url), 30)
    await bench.publisher.publish(exchange, key, b"{}", {})
    assert (await retention.prune()).events == 1
    assert is_kept(document)
    for queue in ("work.events", "dead.events", "dead.callbacks"):
        await take_all(bench.amqp_url, queue)
    assert (await retention.prune()).documents == 1
    assert not is_kept(document)


async def test_a_broker_that_is_away_says_nothing_about_what_waits(unused_tcp_port: int) -> None:
    assert not await nothing_waits(f"amqp://127.0.0.1:{unused_tcp_port}/")
