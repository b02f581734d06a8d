"""A replay: each letter that matched is counted once, told once and removed from its queue, whichever process dies."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import aiohttp
import msgspec
import pytest
from apis import TOKENS, Api
from dead_letters import add_dead_deliveries
from dispatchers import DispatcherHarness, an_event
from stores import count, take_all
from waiting import until

from dispatcher.ops.dead.errors import NothingMatches, TakenByAnother, UnknownLetter
from dispatcher.ops.dead.jobs import store as jobs
from dispatcher.ops.dead.jobs.bodies import Job, Selection
from dispatcher.ops.dead.jobs.moves import deliveries
from dispatcher.ops.dead.letters import DeadFilter
from dispatcher.ops.dead.service import DeadLetterService
from shared.broker import WORK_DELIVERIES
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
Opening = Callable[..., AbstractAsyncContextManager[DeadLetterService]]


async def replayed(dead: DeadLetterService, selection: Selection, seconds: float = 30.0) -> Job:
    job = await dead.jobs.begin("dead.replay", selection, who="test")
    job = await dead.jobs.wait(job.id, seconds)
    assert job.state == "done"
    assert job.total == job.done + job.failed + job.skipped_told + job.skipped_gone + job.skipped_taken + (
        job.skipped_endpoint
    )
    return job


def of(*ids: UUID | str) -> Selection:
    return Selection(ids=tuple(map(str, ids)))


async def test_a_group_is_replayed_told_once_and_gone_from_the_queue(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching
) -> None:
    endpoint = await harness.endpoint()
    await add_dead_deliveries(harness, [endpoint], 50)
    by_cause = Selection(filter=DeadFilter(cause="timeout"))
    preview = await dead.planner.preview("dead.replay", by_cause)
    assert (preview.matched, preview.count) == (10, 10)
    assert [(each.endpoint_id, each.count) for each in preview.endpoints] == [(endpoint.id, 10)]
    async with dispatching():
        job = await replayed(dead, by_cause)
        assert (job.total, job.done) == (10, 10)
        received = await harness.receiver.got(10)
        await harness.settled(50)
    assert sorted({webhook.delivery_id for webhook in received}) == sorted(w.delivery_id for w in received)
    assert {webhook.attempt for webhook in received} == {18}, "attempt numbers go on"
    assert await count(harness.amqp_url, "dead.deliveries") == 40
    groups = await dead.groups(DeadFilter())
    assert sorted(group.count for group in groups.items) == [10, 10, 10, 10]


async def test_a_replayed_letter_has_a_new_budget_and_its_time_starts_again(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching
) -> None:
    harness.receiver.answer = lambda _: 503
    (delivery_id,) = await add_dead_deliveries(harness, [await harness.endpoint()], 1)
    await harness.pool.execute("UPDATE deliveries SET created_at = now() - interval '30 days'")
    async with dispatching():
        await replayed(dead, of(delivery_id))
        await harness.receiver.got(1)

        async def is_waiting() -> bool:
            (row,) = await harness.deliveries()
            return row["state"] == "retrying" and row["attempts"] == 18

        await until(is_waiting, "the eighteenth attempt is recorded")
    (retry,) = await take_all(harness.amqp_url, "retry.5m")
    assert msgspec.json.decode(retry.body) == {"delivery_id": str(delivery_id), "attempt": 19}


async def test_what_was_told_or_replayed_meanwhile_is_counted_and_skipped(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    told, replayed_before, waiting = await add_dead_deliveries(harness, [await harness.endpoint()], 3)
    await harness.pool.execute("UPDATE deliveries SET state = 'told' WHERE id = $1", told)
    await harness.pool.execute("UPDATE deliveries SET state = 'retrying' WHERE id = $1", replayed_before)
    preview = await dead.planner.preview("dead.replay", of(told, replayed_before, waiting))
    assert (preview.matched, preview.count, preview.skipped_told, preview.skipped_gone) == (3, 1, 1, 1)
    job = await replayed(dead, of(told, replayed_before, waiting))
    assert (job.total, job.done, job.skipped_told, job.skipped_gone) == (3, 1, 1, 1)
    assert len(await take_all(harness.amqp_url, WORK_DELIVERIES)) == 1
    assert await count(harness.amqp_url, "dead.deliveries") == 1, "what the ledger has under way keeps its copy"


async def test_what_would_die_again_at_once_is_skipped_and_stays(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    off = await harness.endpoint(enabled=False)
    (delivery_id,) = await add_dead_deliveries(harness, [off], 1)
    job = await replayed(dead, of(delivery_id))
    assert (job.done, job.skipped_endpoint) == (0, 1)
    assert [letter.id for letter in (await dead.page(DeadFilter(), None, 10)).items] == [str(delivery_id)]


async def test_a_wrong_id_changes_nothing_of_the_right_ones(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    (delivery_id,) = await add_dead_deliveries(harness, [await harness.endpoint()], 1)
    with pytest.raises(UnknownLetter, match="no dead letter"):
        await dead.jobs.begin("dead.replay", of(delivery_id, "nonsense"), who="test")
    assert [row["state"] for row in await harness.deliveries()] == ["dead"]
    assert await dead.jobs.latest() == []


async def test_a_filter_that_matches_nothing_says_so(harness: DispatcherHarness, dead: DeadLetterService) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 1, ["tls"])
    nothing = Selection(filter=DeadFilter(cause="gone"))
    assert (await dead.planner.preview("dead.replay", nothing)).matched == 0
    with pytest.raises(NothingMatches):
        await dead.jobs.begin("dead.replay", nothing, who="test")


async def test_of_two_clients_at_once_one_replays_and_the_other_is_refused(
    harness: DispatcherHarness, dead: DeadLetterService, opening: Opening
) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 200, ["tls"])
    everything = Selection(filter=DeadFilter(cause="tls"))
    async with opening() as other:
        begun = await asyncio.gather(
            dead.jobs.begin("dead.replay", everything, who="one"),
            other.jobs.begin("dead.replay", everything, who="two"),
            return_exceptions=True,
        )
        (job,) = [each for each in begun if isinstance(each, Job)]
        (refusal,) = [each for each in begun if not isinstance(each, Job)]
        assert isinstance(refusal, TakenByAnother)

        async def is_done() -> bool:
            return (await dead.jobs.get(job.id)).state == "done"

        await until(is_done, "the one replay is done")
    assert (await dead.jobs.get(job.id)).done == 200
    messages = [message.body for message in await take_all(harness.amqp_url, WORK_DELIVERIES)]
    assert len(messages) == len(set(messages)) == 200


async def test_overlapping_replays_share_out_what_they_match(harness: DispatcherHarness, opening: Opening) -> None:
    ids = await add_dead_deliveries(harness, [await harness.endpoint()], 60, ["tls"])
    async with opening(rate=50.0) as one, opening() as two:
        first = await one.jobs.begin("dead.replay", of(*ids[:40]), who="one")
        job = await replayed(two, Selection(filter=DeadFilter()))
        assert (job.done, job.skipped_taken + job.skipped_gone) == (20, job.total - 20)
        assert (await one.jobs.wait(first.id, 30.0)).done == 40
    assert len(await take_all(harness.amqp_url, WORK_DELIVERIES)) == 60


async def test_a_job_whose_holder_died_is_continued_by_the_next_and_its_counts_add_up(
    harness: DispatcherHarness, dead: DeadLetterService, opening: Opening
) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 100, ["tls"])
    everything = Selection(filter=DeadFilter(cause="tls"))
    async with opening(rate=50.0) as killed:
        job = await killed.jobs.begin("dead.replay", everything, who="one")

        async def has_begun() -> bool:
            return 0 < (await dead.jobs.get(job.id)).done < 90

        await until(has_begun, "some are replayed")
    assert (await dead.jobs.get(job.id)).state == "running", "the lease still says that its holder is alive"
    await harness.pool.execute("UPDATE jobs SET lease_until = now()")
    again = await replayed(dead, everything)
    assert again.id == job.id
    assert (again.total, again.done) == (100, 100)
    assert await count(harness.amqp_url, "dead.deliveries") == 0
    bodies = {message.body for message in await take_all(harness.amqp_url, WORK_DELIVERIES)}
    assert len(bodies) == 100


async def test_what_was_moved_but_not_published_is_published_by_the_next_holder(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    (delivery_id,) = await add_dead_deliveries(harness, [await harness.endpoint()], 1)
    plan = await dead.planner.plan("dead.replay", of(delivery_id))
    async with harness.pool.acquire() as connection, connection.transaction():
        job_id = await dead.planner.write(connection, plan, who="test", reason=None)
        _, moved = await deliveries.move(connection, job_id, "dead.replay", 10)
    assert len(moved) == 1
    assert await take_all(harness.amqp_url, WORK_DELIVERIES) == []
    await dead.jobs.go_on(job_id)
    job = await dead.jobs.wait(job_id, 10.0)
    assert (job.state, job.done) == ("done", 1)
    (message,) = await take_all(harness.amqp_url, WORK_DELIVERIES)
    assert msgspec.json.decode(message.body) == {"delivery_id": str(delivery_id), "attempt": 18}


async def test_a_stopped_job_leaves_the_rest_dead(harness: DispatcherHarness, opening: Opening) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 300, ["tls"])
    async with opening(rate=50.0) as dead:
        job = await dead.jobs.begin("dead.replay", Selection(filter=DeadFilter()), who="one")
        job = await dead.jobs.stop(job.id, who="two")
        assert job.state == "stopped"
        await dead.jobs.wait(job.id, 10.0)
        job = await dead.jobs.get(job.id)
    still_dead = await harness.pool.fetchval("SELECT count(*) FROM deliveries WHERE state = 'dead'")
    assert job.left > 0
    assert still_dead + job.done <= 300
    assert still_dead >= 300 - job.done - 25


async def test_a_replay_waits_behind_what_is_not_attempted_yet(
    harness: DispatcherHarness, opening: Opening, dispatching: Dispatching
) -> None:
    holding = asyncio.Event()

    async def answer(_received: object) -> int:
        await holding.wait()
        return 200

    harness.receiver.answer = answer
    await add_dead_deliveries(harness, [await harness.endpoint(max_concurrent=1)], 300, ["tls"])
    async with opening() as dead, dispatching():
        job = await dead.jobs.begin("dead.replay", Selection(filter=DeadFilter()), who="one")

        async def stands() -> bool:
            return (await dead.jobs.get(job.id)).done >= 100

        await until(stands, "the line is full")
        job = await dead.jobs.wait(job.id, 1.0)
        assert job.done < 150
        holding.set()
        assert (await dead.jobs.wait(job.id, 30.0)).done == 300
        await harness.receiver.got(300)


async def test_events_of_a_living_fax_are_untouched(harness: DispatcherHarness, dead: DeadLetterService) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 1)
    taken = await harness.take(an_event(9_999))
    assert len(taken.deliveries) == 1
    await replayed(dead, Selection(filter=DeadFilter()))
    states = {row["id"]: row["state"] for row in await harness.deliveries()}
    assert states[taken.deliveries[0].delivery_id] == "pending"


async def test_a_job_that_our_code_fails_at_is_given_up_after_a_few_tries_and_says_where(
    harness: DispatcherHarness, dead: DeadLetterService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_dead_deliveries(harness, [await harness.endpoint()], 3)

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("the number +15550001 was")

    monkeypatch.setattr(deliveries, "move", broken)
    job = await dead.jobs.begin("dead.replay", Selection(filter=DeadFilter()), who="test")
    for tries in range(1, jobs.MOST_CRASHES + 1):
        job = await dead.jobs.wait((await dead.jobs.go_on(job.id)).id, 10.0)
        assert (job.state == "failed") == (tries == jobs.MOST_CRASHES)
    assert job.finished_at is not None
    assert (job.total, job.left) == (3, 3)
    assert job.crash is not None
    assert job.crash.startswith("ZeroDivisionError at ")
    assert "+15550001" not in job.crash
    monkeypatch.undo()
    again = await dead.jobs.begin("dead.replay", Selection(filter=DeadFilter()), who="test")
    assert again.id != job.id
    assert (await dead.jobs.wait(again.id, 30.0)).done == 3


async def test_a_pause_in_the_middle_of_a_replay_lets_the_rest_wait_and_each_is_told_once(
    harness: DispatcherHarness, opening: Opening, dispatching: Dispatching, unused_tcp_port: int
) -> None:
    endpoint = await harness.endpoint()
    await add_dead_deliveries(harness, [endpoint], 100)
    async with dispatching(**TOKENS), opening(rate=50.0) as slow, aiohttp.ClientSession() as http:
        api = Api(http, f"http://127.0.0.1:{unused_tcp_port}")
        job = await slow.jobs.begin("dead.replay", Selection(filter=DeadFilter()), who="one")
        await harness.receiver.got(10)
        assert (await api.ask("POST", f"/v1/endpoints/{endpoint.id}/pause", {}))[0] == 200
        told_before_the_pause = len(harness.receiver.received)
        job = await slow.jobs.wait(job.id, 30.0)
        assert (job.state, job.total, job.done) == ("done", 100, 100)

        async def rest_waits() -> bool:
            rows = [row for row in await harness.deliveries() if row["state"] == "retrying"]
            return all(row["due_at"].year == 9999 for row in rows)

        await until(rest_waits, "what was not attempted yet waits")
        waiting = [row for row in await harness.deliveries() if row["state"] == "retrying"]
        assert len(harness.receiver.received) == told_before_the_pause == 100 - len(waiting) < 100
        assert (await api.ask("POST", f"/v1/endpoints/{endpoint.id}/resume", {}))[0] == 200
        await harness.settled(100)
    assert {row["state"] for row in await harness.deliveries()} == {"told"}
    told = [each.delivery_id for each in harness.receiver.received]
    assert len(told) == len(set(told)) == 100
