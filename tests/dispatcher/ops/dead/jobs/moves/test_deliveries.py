"""A recovery: what an endpoint was not owed while it was off is told once, with the same delivery id, and counted."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from dispatchers import STORE, DispatcherHarness, an_event
from stores import take_all
from waiting import until

from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pruning import prune
from dispatcher.ops.api.lookups import NoSuch
from dispatcher.ops.dead.errors import BadSelection, EndpointOff, NothingMatches, TakenByAnother
from dispatcher.ops.dead.jobs.bodies import Job, Selection, Skipped
from dispatcher.ops.dead.jobs.moves import deliveries
from dispatcher.ops.dead.service import DeadLetterService
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.broker import WORK_DELIVERIES
from shared.ids import uuid7
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
Opening = Callable[..., AbstractAsyncContextManager[DeadLetterService]]

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def endpoint_that_was_off(harness: DispatcherHarness, count: int, **fields: Any) -> Endpoint:
    """Return an endpoint that is on again, and was off while *count* events came."""
    endpoint = await harness.endpoint(**{"enabled": False, "match": None, **fields})
    for start in range(0, count, 100):
        await harness.take(*(an_event(number) for number in range(start, min(count, start + 100))))
    await switch(harness, endpoint, on=True)
    return endpoint


async def switch(harness: DispatcherHarness, endpoint: Endpoint, *, on: bool) -> None:
    await harness.pool.execute("UPDATE endpoints SET enabled = $2 WHERE id = $1", endpoint.id, on)


def since(endpoint: Endpoint, moment: datetime = LONG_AGO, until: datetime | None = None) -> Selection:
    return Selection(skipped=Skipped(endpoint_id=endpoint.id, since=moment, until=until))


async def recovered(dead: DeadLetterService, selection: Selection) -> Job:
    job = await dead.jobs.begin("endpoint.recover", selection, who="test")
    job = await dead.jobs.wait(job.id, 30.0)
    assert job.state == "done"
    counts = [getattr(job, name) for name in Job.__struct_fields__ if name.startswith("skipped_")]
    assert job.total == job.done + job.failed + sum(counts)
    return job


async def test_what_was_skipped_is_told_once_under_the_same_id_and_a_second_time_not_again(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching
) -> None:
    endpoint = await endpoint_that_was_off(harness, 30)
    other, later = await endpoint_that_was_off(harness, 0), datetime.now(UTC)
    ids = {row["id"] for row in await harness.deliveries()}
    preview = await dead.planner.preview("endpoint.recover", since(endpoint))
    assert (preview.matched, preview.count) == (30, 30)
    assert [(each.endpoint_id, each.count) for each in preview.endpoints] == [(endpoint.id, 30)]
    assert {row["state"] for row in await harness.deliveries()} == {"skipped"}, "a preview changes nothing"
    async with dispatching():
        job = await recovered(dead, since(endpoint))
        assert (job.total, job.done) == (30, 30)
        received = await harness.receiver.got(30)
        rows = await harness.settled(30)
        for selection in (since(endpoint), since(other, later)):
            with pytest.raises(NothingMatches, match="nothing was skipped"):
                await dead.jobs.begin("endpoint.recover", selection, who="test")
    assert len(harness.receiver.received) == 30
    assert {UUID(webhook.delivery_id) for webhook in received} == ids == {row["id"] for row in rows}
    assert {(row["state"], row["reason"], row["attempts"]) for row in rows} == {("told", None, 1)}
    assert await harness.pool.fetchval("SELECT count(*) FROM audit WHERE what = 'endpoint.recover'") == 1


async def test_only_this_endpoint_only_this_reason_and_only_between_since_and_until(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    endpoint = await endpoint_that_was_off(harness, 6)
    await harness.endpoint(enabled=False)
    await harness.take(an_event(50))
    rows = [row for row in await harness.deliveries() if row["endpoint_id"] == endpoint.id]
    assert len(rows) == 7, "the last one is owed"
    start = datetime.now(UTC) - timedelta(hours=10)
    skipped = [row for row in rows if row["state"] == "skipped"]
    for hour, row in enumerate(skipped):
        await harness.pool.execute(
            "UPDATE deliveries SET created_at = $2 WHERE id = $1", row["id"], start + timedelta(hours=hour)
        )
    await harness.pool.execute("UPDATE deliveries SET reason = 'superseded' WHERE id = $1", skipped[2]["id"])
    await harness.pool.execute("UPDATE deliveries SET reason = 'discarded' WHERE id = $1", skipped[3]["id"])
    job = await recovered(dead, since(endpoint, start + timedelta(hours=1), start + timedelta(hours=5)))
    assert job.done == 2
    states = {row["id"]: row["state"] for row in await harness.deliveries()}
    assert [states[row["id"]] for row in skipped] == ["skipped", "pending", "skipped", "skipped", "pending", "skipped"]
    assert len(await take_all(harness.amqp_url, WORK_DELIVERIES)) == 2


async def test_what_was_pruned_is_left_out_and_counted(harness: DispatcherHarness, dead: DeadLetterService) -> None:
    endpoint = await endpoint_that_was_off(harness, 5)
    gone = an_event(0).id
    await harness.pool.execute("UPDATE events SET body = NULL WHERE id = $1", gone)
    preview = await dead.planner.preview("endpoint.recover", since(endpoint))
    assert (preview.matched, preview.count, preview.skipped_pruned) == (5, 4, 1)
    plan = await dead.planner.plan("endpoint.recover", since(endpoint))
    async with harness.pool.acquire() as connection, connection.transaction():
        job_id = await dead.planner.write(connection, plan, who="test", reason=None)
    await harness.pool.execute(
        "UPDATE events SET body = NULL WHERE id = $1", an_event(1).id
    )  # after the job was written
    await dead.jobs.go_on(job_id)
    job = await dead.jobs.wait(job_id, 30.0)
    assert (job.total, job.done, job.skipped_pruned, job.skipped_gone) == (5, 3, 2, 0)
    assert {row["event_id"] for row in await harness.deliveries() if row["state"] == "skipped"} == {
        gone,
        an_event(1).id,
    }


async def test_nothing_is_pruned_that_is_recovered_at_this_moment(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    endpoint = await endpoint_that_was_off(harness, 1)
    plan = await dead.planner.plan("endpoint.recover", since(endpoint))
    async with harness.pool.acquire() as connection, connection.transaction():
        job_id = await dead.planner.write(connection, plan, who="test", reason=None)
    async with harness.pool.acquire() as connection, connection.transaction():
        _, moved = await deliveries.move(connection, job_id, "endpoint.recover", 10)
        async with harness.pool.acquire() as another:
            step = await prune(another, [an_event(0).id], datetime.now(UTC) + timedelta(hours=1))
    assert (len(moved), step.event_ids) == (1, frozenset())


@pytest.mark.parametrize("how", ["disabled", "removed", "unknown", "backwards"])
async def test_an_endpoint_that_takes_nothing_is_refused_with_a_sentence(
    harness: DispatcherHarness, dead: DeadLetterService, how: str
) -> None:
    endpoint = await endpoint_that_was_off(harness, 2)
    selection, error, sentence = since(endpoint), NoSuch, "endpoint"
    if how == "disabled":
        await switch(harness, endpoint, on=False)
        assert (await dead.planner.preview("endpoint.recover", selection)).skipped_endpoint == 2
        error, sentence = EndpointOff, "is disabled: enable it first"
    elif how == "removed":
        await STORE.remove(harness.pool, endpoint.id)
    elif how == "unknown":
        selection = since(msgspec.structs.replace(endpoint, id=uuid7()))
    else:
        selection, error, sentence = since(endpoint, LONG_AGO, LONG_AGO), BadSelection, "later than `since`"
    with pytest.raises(error, match=sentence):
        await dead.jobs.begin("endpoint.recover", selection, who="test")
    assert await dead.jobs.latest() == []
    assert {row["state"] for row in await harness.deliveries()} == {"skipped"}


async def test_of_two_clients_at_once_one_recovers_and_the_other_is_refused(
    harness: DispatcherHarness, dead: DeadLetterService, opening: Opening
) -> None:
    endpoint = await endpoint_that_was_off(harness, 100)
    async with opening() as other:
        begun = await asyncio.gather(
            dead.jobs.begin("endpoint.recover", since(endpoint), who="one"),
            other.jobs.begin("endpoint.recover", since(endpoint, LONG_AGO - timedelta(days=1)), who="two"),
            return_exceptions=True,
        )
        (job,) = [each for each in begun if isinstance(each, Job)]
        assert [type(each) for each in begun if not isinstance(each, Job)] == [TakenByAnother]

        async def is_done() -> bool:
            return (await dead.jobs.get(job.id)).state == "done"

        await until(is_done, "the one recovery is done")
    messages = [message.body for message in await take_all(harness.amqp_url, WORK_DELIVERIES)]
    assert len(messages) == len(set(messages)) == 100


async def test_a_recovery_whose_process_died_is_continued_and_each_is_told_once(
    harness: DispatcherHarness, opening: Opening, dispatching: Dispatching
) -> None:
    endpoint = await endpoint_that_was_off(harness, 100)
    async with opening(rate=50.0) as killed:
        job = await killed.jobs.begin("endpoint.recover", since(endpoint), who="one")

        async def has_begun() -> bool:
            return 0 < (await killed.jobs.get(job.id)).done < 90

        await until(has_begun, "some are recovered")
        await killed.jobs.close()
    # What it moved last may not have been published.
    await harness.pool.execute(
        "UPDATE job_items SET state = 'moved' WHERE letter_id = (SELECT max(letter_id) FROM job_items WHERE state = 'done')"
    )
    await harness.pool.execute("UPDATE jobs SET lease_until = now()")
    async with dispatching(), opening() as dead:

        async def is_done() -> bool:
            return (await dead.jobs.get(job.id)).state == "done"

        await until(is_done, "a dispatcher has finished it", 60.0)
        await harness.settled(100)
        done = await dead.jobs.get(job.id)
    assert (done.total, done.done) == (100, 100)
    assert len({webhook.delivery_id for webhook in harness.receiver.received}) == 100
    assert len(harness.receiver.received) == 100


async def test_under_load_each_event_is_told_once_whether_it_came_before_or_while_it_is_recovered(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching
) -> None:
    endpoint = await endpoint_that_was_off(harness, 150)
    async with dispatching():
        job = await dead.jobs.begin("endpoint.recover", since(endpoint), who="test")
        for start in range(1_000, 1_200, 20):
            await harness.publish(*(an_event(number) for number in range(start, start + 20)))
        job = await dead.jobs.wait(job.id, 60.0)
        rows = await harness.settled(350, 60.0)
    assert (job.state, job.total, job.done) == ("done", 150, 150)
    assert {row["state"] for row in rows} == {"told"}
    assert len(harness.receiver.received) == len({each.delivery_id for each in harness.receiver.received}) == 350


async def test_an_endpoint_switched_off_in_the_middle_keeps_the_rest_to_be_recovered_later(
    harness: DispatcherHarness, opening: Opening, dispatching: Dispatching
) -> None:
    endpoint = await endpoint_that_was_off(harness, 100)
    async with dispatching(), opening(rate=50.0) as slow, opening() as dead:
        job = await slow.jobs.begin("endpoint.recover", since(endpoint), who="one")
        await harness.receiver.got(10)
        await switch(harness, endpoint, on=False)
        job = await slow.jobs.wait(job.id, 30.0)
        assert job.state == "done"
        assert job.skipped_endpoint > 0
        assert (job.total, job.done + job.skipped_endpoint) == (100, 100)

        async def all_recovered_are_settled() -> bool:
            return not await harness.pool.fetchval(
                "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'retrying')"
            )

        await until(all_recovered_are_settled, "what was owed is told or dead")
        states = [row["state"] for row in await harness.deliveries()]
        assert states.count("skipped") == job.skipped_endpoint
        # What was owed already when it was switched off died of that, as always: it is replayed.
        dead_now = states.count("dead")
        assert states.count("told") + dead_now == job.done
        await switch(harness, endpoint, on=True)
        assert (await recovered(dead, since(endpoint))).done == job.skipped_endpoint
        await harness.receiver.got(100 - dead_now)
    assert len(harness.receiver.received) == len({each.delivery_id for each in harness.receiver.received})


async def test_what_is_recovered_for_a_general_endpoint_is_not_owed_to_a_faxs_own_one_too(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    general = await harness.endpoint(enabled=False)
    await harness.take(an_event(1, job_id="j1"))
    await switch(harness, general, on=True)
    late = await harness.endpoint(scope="fax", match=FaxMatch(job_id="j1"))
    plan = await dead.planner.plan("endpoint.recover", since(general))
    async with harness.pool.acquire() as connection, connection.transaction():
        job_id = await dead.planner.write(connection, plan, who="test", reason=None)
    async with harness.pool.acquire() as connection, connection.transaction():
        _, moved = await deliveries.move(connection, job_id, "endpoint.recover", 10)
        owing = asyncio.create_task(Intake(harness.pool, STORE).owe_registered(late))

        async def waits_for_the_row() -> bool:
            return bool(await harness.pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        await until(waits_for_the_row, "the other transaction waits for this one")
    assert (len(moved), await owing) == (1, 0)
    assert [row["endpoint_id"] for row in await harness.deliveries()] == [general.id]
