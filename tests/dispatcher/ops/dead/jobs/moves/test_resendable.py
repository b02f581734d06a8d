"""Which deliveries a resend or a recovery takes: overtaken, pruned, dead and discarded ones, older than the endpoint."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import msgspec
import pytest
from apis import faxhook
from dispatchers import STORE, DispatcherHarness, an_event
from resends import done, ids, since

from dispatcher.ledger.deliveries import Record, record
from dispatcher.messages import PersistentPublisher, publish_delivery
from dispatcher.ops.dead.errors import NothingMatches, NothingToSend, TakenByAnother
from dispatcher.ops.dead.jobs.bodies import Job, ResendFilter, Selection
from dispatcher.ops.dead.service import DeadLetterService
from dispatcher.policy.endpoint import FaxMatch
from shared.broker import FAX_WORK, WORK_KEY
from shared.domain import EventType, Provider
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
Opening = Callable[..., AbstractAsyncContextManager[DeadLetterService]]


async def test_what_is_overtaken_is_sent_only_if_asked_for(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching
) -> None:
    await harness.endpoint(inflight=True, format="standard-v1", tokens=())
    await harness.publish(an_event(1, EventType.SENDING))
    async with dispatching():
        await harness.settled(1)
        await harness.publish(an_event(1, EventType.DELIVERED))
        await harness.settled(2)
        fax = ResendFilter(provider=Provider.PHAXIO, fax_id="1")
        job = await done(dead, Selection(deliveries=fax))
        assert (job.total, job.done, job.skipped_overtaken) == (2, 1, 1)
        await harness.receiver.got(3)
        await harness.settled(2)
        assert (await done(dead, Selection(deliveries=fax, overtaken=True))).done == 2
        await harness.receiver.got(5)
        rows = await harness.settled(2)
    assert {row["state"] for row in rows} == {"told"}


async def test_what_was_pruned_is_refused_with_a_sentence_by_its_id_too(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    await harness.endpoint()
    await harness.take(an_event(1), an_event(2))
    await harness.pool.execute("UPDATE deliveries SET state = 'told', attempts = 1, settled_at = now()")
    await harness.pool.execute("UPDATE events SET body = NULL WHERE id = $1", an_event(1).id)
    pruned, kept = [row["id"] for row in await harness.deliveries()]
    with pytest.raises(NothingToSend, match="1 pruned"):
        await dead.jobs.begin("delivery.resend", ids(pruned), who="eve")
    job = await done(dead, ids(pruned, kept))
    assert (job.total, job.done, job.skipped_pruned) == (2, 1, 1)


async def test_an_event_that_the_present_format_has_no_word_for_is_counted_and_neither_crashes_nor_dies(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching
) -> None:
    endpoint = await harness.endpoint(inflight=True, format="standard-v1", tokens=(), overtaken="deliver")
    await harness.take(an_event(1, EventType.SENDING), an_event(1))
    await harness.pool.execute("UPDATE deliveries SET state = 'told', attempts = 1, settled_at = now()")
    by_event = {row["event_id"]: row["id"] for row in await harness.deliveries()}
    sending, delivered = (by_event[an_event(1, each).id] for each in (EventType.SENDING, EventType.DELIVERED))
    both = ids(sending, delivered, overtaken=True)
    assert (await dead.planner.preview("delivery.resend", both)).count == 2
    await STORE.update(harness.pool, msgspec.structs.replace(endpoint, format="phaxio-v2"))
    preview = await dead.planner.preview("delivery.resend", both)
    assert (preview.count, preview.skipped_unsaid) == (1, 1)
    again = await dead.planner.preview(
        "endpoint.recover", msgspec.structs.replace(since(endpoint, told=True), overtaken=True)
    )
    assert (again.count, again.skipped_unsaid) == (1, 1)
    with pytest.raises(NothingToSend, match="format has no word for their event"):
        await dead.jobs.begin("delivery.resend", ids(sending, overtaken=True), who="eve")
    job = await done(dead, both)
    assert (job.done, job.skipped_unsaid) == (1, 1)
    # A dead one is not replayed into the same wall, and what was owed before the change is skipped, not a crash.
    await harness.pool.execute("UPDATE deliveries SET state = 'dead', reason = 'tls' WHERE id = $1", sending)
    replay = Selection(ids=(str(sending),))
    assert (await dead.planner.preview("dead.replay", replay)).skipped_unsaid == 1
    await harness.pool.execute(
        "UPDATE deliveries SET state = 'pending', attempts = 0, lease_until = NULL, due_at = now() WHERE id = $1",
        sending,
    )
    await publish_delivery(PersistentPublisher(harness.publisher), FAX_WORK, WORK_KEY, sending, 1)
    async with dispatching():
        await harness.receiver.got(1)
        rows = {row["id"]: row for row in await harness.settled(2)}
    assert (rows[sending]["state"], rows[sending]["reason"]) == ("skipped", "no_equivalent")
    assert (rows[delivered]["state"], len(harness.receiver.received)) == ("told", 1)
    # Skipped once, it is sent as soon as the format has a word for it.
    await STORE.update(harness.pool, endpoint)
    assert (await dead.planner.preview("delivery.resend", ids(sending, overtaken=True))).count == 1


async def test_an_endpoint_gets_what_came_before_it_existed_and_only_what_is_its_own(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching, opening: Opening
) -> None:
    first = await harness.endpoint()
    own = await harness.endpoint(scope="fax", match=FaxMatch(job_id="j9"))
    await harness.take(
        *(an_event(number) for number in range(5)),
        an_event(9, job_id="j9"),
        an_event(10, EventType.SENDING),
        an_event(11, EventType.RECEIVED, to_number="+15550100"),
    )
    await harness.pool.execute(
        "UPDATE deliveries SET state = 'told', attempts = 1, settled_at = now(), lease_until = NULL"
    )
    late = await harness.endpoint(direction="sent")
    of_number = await harness.endpoint(scope="number", match="+15550100", direction="received")
    assert (await dead.planner.preview("endpoint.recover", since(late))).count == 5
    assert (await dead.planner.preview("endpoint.recover", since(of_number))).count == 1
    await STORE.remove(harness.pool, of_number.id)
    before = len(await harness.deliveries())
    async with opening() as other:
        begun = await asyncio.gather(
            dead.jobs.begin("endpoint.recover", since(late), who="one"),
            other.jobs.begin("endpoint.recover", since(late, until=datetime(2030, 1, 1, tzinfo=UTC)), who="two"),
            return_exceptions=True,
        )
        (job,) = [each for each in begun if isinstance(each, Job)]
        (refused,) = [type(each) for each in begun if not isinstance(each, Job)]
        assert refused in {TakenByAnother, NothingMatches}, "the second one comes during the first, or after it"
        await (dead if job.who == "one" else other).jobs.wait(job.id, 30.0)
    rows = [row for row in await harness.deliveries() if row["endpoint_id"] == late.id]
    assert (len(rows), len(await harness.deliveries())) == (5, before + 5)
    assert {row["state"] for row in rows} == {"pending"}
    assert all(row["id"].version == 7 for row in rows)
    with pytest.raises(NothingMatches):
        await dead.jobs.begin("endpoint.recover", since(late), who="test")
    async with dispatching():
        rows = await harness.settled(before + 5)
        assert {row["state"] for row in rows if row["endpoint_id"] == late.id} == {"told"}
        told = len(harness.receiver.received)
        job = await done(dead, since(late, told=True), "endpoint.recover")
        assert (job.total, job.done) == (5, 5)
        await harness.receiver.got(told + 5)
        await harness.settled(before + 5)
    assert {first.id, own.id} <= {row["endpoint_id"] for row in rows}


async def test_a_dead_one_is_sent_too_its_copy_goes_and_a_discarded_one_only_if_it_is_named(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching
) -> None:
    await harness.endpoint(url="http://127.0.0.1:1/", failover_url=None)
    await harness.take(an_event(1))
    (row,) = await harness.deliveries()
    await record(
        harness.pool,
        [Record(delivery_id=row["id"], attempt=1, state="dead", reason="http_500", started_at=datetime.now(UTC))],
    )
    await harness.pool.execute("UPDATE endpoints SET url = $1", harness.receiver.url)
    job = await dead.jobs.begin("dead.discard", ids(row["id"]), who="eve", reason="a test fax")
    await dead.jobs.wait(job.id, 30.0)
    with pytest.raises(NothingMatches, match="no delivery matches"):
        await dead.jobs.begin(
            "delivery.resend", Selection(deliveries=ResendFilter(event_id=row["event_id"])), who="eve"
        )
    code, said, _ = await faxhook({**harness.environment, "COLUMNS": "200"}, "faxes", "show", "phaxio:1")
    lines = said.splitlines()
    (attempted,) = [
        number for number, line in enumerate(lines) if "attempt 1" in line and "after 1 attempt" not in line
    ]
    (discarded,) = [number for number, line in enumerate(lines) if "discarded by eve, after 1 attempt" in line]
    assert (code, "reason: a test fax" in said, attempted < discarded) == (0, True, True)
    assert "not sent" not in said
    code, said, _ = await faxhook(
        {**harness.environment, "COLUMNS": "200"}, "deliveries", "resend", str(row["id"]), "--yes"
    )
    assert (code, "1 of 1 sent again" in said) == (0, True)
    async with dispatching():
        await harness.receiver.got(1)
        (row,) = await harness.settled(1)
    assert (row["state"], row["attempts"]) == ("told", 2)
