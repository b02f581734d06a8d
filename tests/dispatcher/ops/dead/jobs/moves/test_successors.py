"""The dead letters of a removed endpoint are sent to a successor: once each, in its format, and none is lost on the way."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import aiohttp
import msgspec
import pytest
from apis import TOKENS, Api, faxhook
from dead_letters import add_dead_deliveries, park_event
from dispatchers import STORE, DispatcherHarness, an_event
from stores import count, take_all
from waiting import until

from dispatcher.ops.dead.errors import BadSuccessor, EndpointOff, NothingToSend, TakenByAnother
from dispatcher.ops.dead.jobs.bodies import Job, Selection
from dispatcher.ops.dead.jobs.moves import deliveries
from dispatcher.ops.dead.letters import DeadFilter
from dispatcher.ops.dead.service import DeadLetterService
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.broker import WORK_DELIVERIES
from shared.domain import EventType
from shared.ids import uuid7
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
Opening = Callable[..., AbstractAsyncContextManager[DeadLetterService]]

EVERYTHING = DeadFilter()
PARKED_YEAR = 9999


async def removed_with_letters(harness: DispatcherHarness, number: int, first: int = 0, **fields: Any) -> Endpoint:
    """Return a removed endpoint with so many dead letters, their copies in the queue."""
    endpoint = await harness.endpoint(**fields)
    await add_dead_deliveries(harness, [endpoint], number, first=first)
    await STORE.remove(harness.pool, endpoint.id)
    return endpoint


def to(successor: Endpoint, wanted: DeadFilter = EVERYTHING, ids: tuple[str, ...] | None = None) -> Selection:
    return Selection(ids=ids, filter=wanted if ids is None else None, to=successor.id)


async def done(dead: DeadLetterService, selection: Selection) -> Job:
    job = await dead.jobs.begin("dead.replay", selection, who="eve")
    job = await dead.jobs.wait(job.id, 30.0)
    assert job.state == "done"
    return added_up(job)


def added_up(job: Job) -> Job:
    counts = [getattr(job, name) for name in Job.__struct_fields__ if name.startswith("skipped_")]
    assert job.total == job.done + job.failed + job.left + sum(counts)
    return job


async def test_letters_go_to_the_successor_in_its_format_and_are_settled_with_its_name(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching, unused_tcp_port: int
) -> None:
    old = await removed_with_letters(harness, 5)
    successor = await harness.endpoint(format="standard-v1", tokens=(), description="billing, new")
    letters = {row["id"]: row["event_id"] for row in await harness.deliveries()}
    preview = await dead.planner.preview("dead.replay", to(successor))
    assert (preview.matched, preview.count, preview.to) == (5, 5, successor.id)
    assert [(each.endpoint_id, each.count) for each in preview.endpoints] == [(successor.id, 5)]
    assert await count(harness.amqp_url, "dead.deliveries") == 5, "a preview changes nothing"
    async with dispatching(**TOKENS), aiohttp.ClientSession() as http:
        api = Api(http, f"http://127.0.0.1:{unused_tcp_port}")
        status, job = await api.ask(
            "POST", "/v1/dead-letters/replay", {"filter": {"endpoint_id": str(old.id)}, "to": str(successor.id)}
        )
        assert (status, job["total"], job["done"]) == (200, 5, 5)
        received = await harness.receiver.got(5)
        await harness.settled(10)
        assert (await api.ask("GET", "/v1/dead-letters"))[1]["items"] == []
        _, story = await api.ask("GET", "/v1/faxes/phaxio/0")
    assert {each.headers["webhook-id"] for each in received} == {each.delivery_id for each in received}
    assert await count(harness.amqp_url, "dead.deliveries") == 0
    rows = await harness.deliveries()
    new = {row["event_id"]: row for row in rows if row["endpoint_id"] == successor.id}
    assert {(row["state"], row["attempts"]) for row in new.values()} == {("told", 1)}
    assert {UUID(each.delivery_id) for each in received} == {row["id"] for row in new.values()}
    assert {(row["state"], row["reason"]) for row in rows if row["endpoint_id"] == old.id} == {
        ("skipped", f"successor:{successor.id}")
    }
    items = await harness.pool.fetch("SELECT letter_id, delivery_id FROM job_items")
    assert {UUID(item["letter_id"]): item["delivery_id"] for item in items} == {
        letter: new[event_id]["id"] for letter, event_id in letters.items()
    }
    explained = {each["endpoint_id"]: each["explanation"] for each in story["deliveries"]}
    assert explained[str(old.id)] == f"sent to its endpoint's successor {successor.id} instead"
    (audited,) = await harness.pool.fetch("SELECT details::text FROM audit WHERE what = 'dead.replay'")
    assert str(successor.id) in audited["details"]
    code, said, _ = await faxhook({**harness.environment, "COLUMNS": "200"}, "faxes", "show", "phaxio:0")
    assert (code, "sent to its successor billing, new instead by operator, after 17 attempts" in said) == (0, True)


async def test_what_the_successor_has_already_is_not_told_twice_and_its_letter_is_settled(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    old = await removed_with_letters(harness, 7)
    twin = await removed_with_letters(harness, 1, first=6)
    successor = await harness.endpoint()
    states = {
        0: ("told", None),
        1: ("pending", None),
        2: ("dead", "endpoint_disabled"),
        3: ("skipped", "endpoint_disabled"),
        4: ("skipped", "discarded"),
        5: ("skipped", "no_equivalent"),
    }
    for number, (state, reason) in states.items():
        await harness.pool.execute(
            "INSERT INTO deliveries (id, event_id, endpoint_id, state, reason, lease_until, settled_at) "
            "VALUES ($1, $2, $3, $4, $5, now() + interval '1 minute', now())",
            *(uuid7(), an_event(number).id, successor.id, state, reason),
        )
    selection = to(successor, DeadFilter(kind="delivery"))
    preview = await dead.planner.preview("dead.replay", selection)
    assert (preview.matched, preview.count, preview.skipped_told) == (9, 2, 4)
    assert (preview.skipped_gone, preview.skipped_unsaid, preview.skipped_unremoved) == (1, 1, 1)
    job = await done(dead, selection)
    assert (job.total, job.done, job.skipped_told) == (9, 2, 4)
    after = {(row["endpoint_id"], row["event_id"]): (row["state"], row["reason"]) for row in await harness.deliveries()}
    named = ("skipped", f"successor:{successor.id}")
    of_old = [after[old.id, an_event(number).id] for number in range(7)]
    assert of_old[:4] == [named] * 4
    assert [state for state, _ in of_old[4:]] == ["dead", "dead", "skipped"]
    assert after[twin.id, an_event(6).id] == named
    assert after[successor.id, an_event(3).id] == ("pending", None)
    assert after[successor.id, an_event(6).id] == ("pending", None)
    assert [after[successor.id, an_event(number).id][0] for number in range(6)] == [
        "told", "pending", "dead", "pending", "skipped", "skipped",
    ]  # fmt: skip
    assert len(await take_all(harness.amqp_url, WORK_DELIVERIES)) == 2


@pytest.mark.parametrize(
    ("fields", "counted"),
    [
        ({"scope": "number", "match": "+15550100", "direction": "received"}, "skipped_unfit"),
        ({"scope": "fax", "match": FaxMatch(job_id="another")}, "skipped_unfit"),
        ({"direction": "received"}, "skipped_unfit"),
        ({"types": ("fax.received",)}, "skipped_unfit"),
        ({"format": "sinch-v3", "types": ("fax.sending",)}, "skipped_unsaid"),
        ({"enabled": False}, "skipped_endpoint"),
    ],
)
async def test_a_successor_that_would_never_get_such_a_fax_is_refused_with_a_sentence(
    harness: DispatcherHarness, dead: DeadLetterService, fields: dict[str, Any], counted: str
) -> None:
    old = await harness.endpoint(inflight=True, format="standard-v1")
    await harness.take(an_event(1, EventType.SENDING if "types" in fields else EventType.DELIVERED))
    await harness.pool.execute("UPDATE deliveries SET state = 'dead', reason = 'tls', settled_at = now()")
    await STORE.remove(harness.pool, old.id)
    successor = await harness.endpoint(**fields)
    preview = await dead.planner.preview("dead.replay", to(successor))
    assert (preview.matched, preview.count, getattr(preview, counted)) == (1, 0, 1)
    with pytest.raises(EndpointOff if counted == "skipped_endpoint" else NothingToSend, match="othing was"):
        await dead.jobs.begin("dead.replay", to(successor), who="eve")
    assert await dead.jobs.latest() == []
    assert [row["state"] for row in await harness.deliveries()] == ["dead"]


@pytest.mark.parametrize("how", ["in use", "unknown", "removed", "no delivery"])
async def test_a_letter_of_an_endpoint_in_use_and_a_successor_that_cannot_be_one_are_refused(
    harness: DispatcherHarness, dead: DeadLetterService, how: str
) -> None:
    old = await harness.endpoint()
    successor = await harness.endpoint()
    (letter,) = await add_dead_deliveries(harness, [old], 1)
    selection = to(successor, ids=(str(letter),))
    error: type[Exception] = BadSuccessor
    if how == "in use":
        error, sentence = NothingToSend, "not dead deliveries of a removed endpoint: replay them without `to`"
    elif how == "unknown":
        selection, sentence = to(msgspec.structs.replace(successor, id=uuid7())), "there is no endpoint"
    elif how == "removed":
        await STORE.remove(harness.pool, successor.id)
        sentence = "was removed itself"
    else:
        await park_event(harness, b"no event")
        selection = to(successor, DeadFilter(kind="event"))
        error, sentence = NothingToSend, "1 not dead deliveries of a removed endpoint"
    with pytest.raises(error, match=sentence):
        await dead.jobs.begin("dead.replay", selection, who="eve")
    assert await dead.jobs.latest() == []
    assert [row["state"] for row in await harness.deliveries()] == ["dead"]


async def test_the_content_has_the_last_word_and_a_removed_successor_leaves_the_letters_dead(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    old = await harness.endpoint()
    # As the ledger has it, the fax is one of the job; this event of it does not say so.
    await harness.take(an_event(1, EventType.SENDING, job_id="j1"), an_event(1))
    await harness.pool.execute("UPDATE deliveries SET state = 'dead', reason = 'tls', settled_at = now()")
    await STORE.remove(harness.pool, old.id)
    of_job = await harness.endpoint(scope="fax", match=FaxMatch(job_id="j1"))
    assert (await dead.planner.preview("dead.replay", to(of_job))).count == 1
    assert (await done(dead, to(of_job))).skipped_unfit == 1
    successor = await harness.endpoint()
    plan = await dead.planner.plan("dead.replay", to(successor))
    async with harness.pool.acquire() as connection, connection.transaction():
        job_id = await dead.planner.write(connection, plan, who="eve", reason=None)
    await STORE.remove(harness.pool, successor.id)
    await dead.jobs.go_on(job_id)
    assert added_up(await dead.jobs.wait(job_id, 30.0)).skipped_endpoint == 1
    assert [row["state"] for row in await harness.deliveries()] == ["dead"]


async def test_killed_in_the_middle_and_taken_over_each_is_told_once_and_none_is_lost(
    harness: DispatcherHarness, opening: Opening, dispatching: Dispatching
) -> None:
    old = await removed_with_letters(harness, 100)
    successor = await harness.endpoint()
    async with opening(rate=50.0) as killed:
        job = await killed.jobs.begin("dead.replay", to(successor), who="eve")

        async def has_begun() -> bool:
            return 0 < (await killed.jobs.get(job.id)).done < 90

        await until(has_begun, "some are moved")
        await killed.jobs.close()
    rows = await harness.deliveries()
    moved = [row for row in rows if row["endpoint_id"] == successor.id]
    assert len(moved) == sum(row["state"] == "skipped" for row in rows), "a letter is settled as its successor is owed"
    assert len(moved) + sum(row["state"] == "dead" for row in rows) == 100
    # What it moved last may not have been published.
    await harness.pool.execute(
        "UPDATE job_items SET state = 'moved' WHERE letter_id = (SELECT max(letter_id) FROM job_items WHERE state = 'done')"
    )
    await harness.pool.execute("UPDATE jobs SET lease_until = now()")
    async with dispatching(), opening() as dead:

        async def is_done() -> bool:
            return (await dead.jobs.get(job.id)).state == "done"

        await until(is_done, "a dispatcher has finished it", 60.0)
        rows = await harness.settled(200)
        assert added_up(await dead.jobs.get(job.id)).done == 100
        page = await dead.page(DeadFilter(), None, 10)
    assert page.items == []
    assert await count(harness.amqp_url, "dead.deliveries") == 0
    events = [row["event_id"] for row in rows if row["endpoint_id"] == successor.id and row["state"] == "told"]
    assert (len(events), len(set(events)), len(harness.receiver.received)) == (100, 100, 100)
    assert {row["state"] for row in rows if row["endpoint_id"] == old.id} == {"skipped"}


async def test_of_two_people_and_two_successors_at_once_each_letter_goes_to_one(
    harness: DispatcherHarness, dead: DeadLetterService, opening: Opening
) -> None:
    await removed_with_letters(harness, 50)
    one, other = await harness.endpoint(), await harness.endpoint()
    async with opening() as second:
        begun = await asyncio.gather(
            dead.jobs.begin("dead.replay", to(one), who="one"),
            second.jobs.begin("dead.replay", to(other), who="two"),
            return_exceptions=True,
        )
        (job,) = [each for each in begun if isinstance(each, Job)]
        assert [type(each) for each in begun if not isinstance(each, Job)] == [TakenByAnother]
        job = await (dead if job.who == "one" else second).jobs.wait(job.id, 30.0)
    assert (job.state, job.done) == ("done", 50)
    assert len(await harness.deliveries()) == 100
    assert len(await take_all(harness.amqp_url, WORK_DELIVERIES)) == 50


async def test_a_transaction_that_fails_leaves_letter_successor_and_item_as_they_were(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    await removed_with_letters(harness, 3)
    successor = await harness.endpoint()
    plan = await dead.planner.plan("dead.replay", to(successor))
    async with harness.pool.acquire() as connection, connection.transaction():
        job_id = await dead.planner.write(connection, plan, who="eve", reason=None)
    async with harness.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert len((await deliveries.move(connection, job_id, "dead.replay", 10))[1]) == 3
        await transaction.rollback()
    assert {row["state"] for row in await harness.deliveries()} == {"dead"}
    assert {row["state"] for row in await harness.pool.fetch("SELECT state FROM job_items")} == {"waiting"}
    await dead.jobs.go_on(job_id)
    assert (await dead.jobs.wait(job_id, 30.0)).done == 3


async def test_a_paused_successor_gets_them_once_it_is_resumed(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching, unused_tcp_port: int
) -> None:
    await removed_with_letters(harness, 3)
    successor = await harness.endpoint(paused=True)
    async with dispatching(**TOKENS), aiohttp.ClientSession() as http:
        assert (await done(dead, to(successor))).done == 3

        async def are_parked() -> bool:
            rows = await harness.deliveries()
            return sum(row["state"] == "pending" and row["due_at"].year == PARKED_YEAR for row in rows) == 3

        await until(are_parked, "the new deliveries are parked")
        assert harness.receiver.received == []
        await Api(http, f"http://127.0.0.1:{unused_tcp_port}").ask("POST", f"/v1/endpoints/{successor.id}/resume", {})
        await harness.settled(6)
    assert len(harness.receiver.received) == 3


async def test_a_discard_takes_the_message_of_a_removed_endpoints_letter_out_of_the_dead_queue(
    harness: DispatcherHarness, dead: DeadLetterService
) -> None:
    await removed_with_letters(harness, 4)
    job = await dead.jobs.begin("dead.discard", Selection(filter=DeadFilter()), who="eve", reason="moved")
    assert (await dead.jobs.wait(job.id, 30.0)).done == 4
    assert await count(harness.amqp_url, "dead.deliveries") == 0


async def test_the_command_line_names_the_successor_and_says_what_it_leaves_out(harness: DispatcherHarness) -> None:
    await removed_with_letters(harness, 3)
    await add_dead_deliveries(harness, [await harness.endpoint()], 1, first=10)
    successor = await harness.endpoint()
    replay = ("dead", "replay", "--all", "--yes", "--to")
    code, said, _ = await faxhook({**harness.environment, "COLUMNS": "200"}, *replay, str(successor.id))
    assert code == 1, "some stay dead"
    assert "4 match; to replay: 3" in said
    assert "3 of 4 replayed" in said
    assert "1  skipped: not dead deliveries of a removed endpoint" in said
    for wrong in ("nonsense", str(uuid7())):
        code, _, complained = await faxhook(harness.environment, *replay, wrong)
        assert (code, "--to wants an endpoint's id" in complained or "no endpoint" in complained) == (65, True)
