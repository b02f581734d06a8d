"""What was told is sent again when a person asks: same id, next attempt, once; what is under way is left alone."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import aiohttp
import msgspec
import pytest
from apis import TOKENS, Api, faxhook
from dispatchers import STORE, DispatcherHarness, an_event
from receiver import Received
from resends import LONG_AGO, done, ids, since
from waiting import until

from dispatcher.ledger.deliveries import Record, record
from dispatcher.ops.dead.errors import BadSelection, NothingMatches, NothingToSend, TakenByAnother, UnknownDelivery
from dispatcher.ops.dead.jobs.bodies import Job, ResendFilter, Selection
from dispatcher.ops.dead.service import DeadLetterService
from shared.ids import uuid7
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
Opening = Callable[..., AbstractAsyncContextManager[DeadLetterService]]


def numbers(received: list[Received]) -> list[tuple[str, int]]:
    return sorted((each.delivery_id, each.attempt) for each in received)


async def test_what_was_told_is_told_again_under_the_same_id_and_says_by_whom(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching, unused_tcp_port: int
) -> None:
    await harness.endpoint()
    await harness.publish(an_event(1), an_event(2))
    async with dispatching(**TOKENS), aiohttp.ClientSession() as http:
        one, other = [row["id"] for row in await harness.settled(2)]
        preview = await dead.planner.preview("delivery.resend", ids(one))
        assert (preview.matched, preview.count) == (1, 1)
        assert (await done(dead, ids(one))).done == 1
        await harness.receiver.got(3)
        await harness.settled(2)
        api = Api(http, f"http://127.0.0.1:{unused_tcp_port}")
        assert numbers(harness.receiver.received) == sorted([(str(one), 1), (str(one), 2), (str(other), 1)])
        _, delivery = await api.ask("GET", f"/v1/deliveries/{one}")
        assert [each["resent_by"] for each in delivery["attempts"]] == [None, "eve"]
        assert [(each["what"], each["who"], each["was"]) for each in delivery["decisions"]] == [
            ("delivery.resend", "eve", "told")
        ]
        status, job = await api.ask("POST", "/v1/deliveries/resend", {"ids": [str(one), str(other)]})
        assert (status, job["done"], job["who"]) == (200, 2, "operator")
        await harness.receiver.got(5)
        status, problem = await api.ask("POST", "/v1/deliveries/resend", {"ids": [str(uuid7())]})
        assert (status, problem["code"]) == (404, "delivery_not_found")
        for wrong in (
            {},
            {"filter": {}},
            {"filter": {"fax_id": "1"}},
            {"ids": [str(one)], "filter": {"event_id": "x"}},
        ):
            assert (await api.ask("POST", "/v1/deliveries/resend", wrong))[0] == 422
    code, said, _ = await faxhook({**harness.environment, "COLUMNS": "200"}, "faxes", "show", "phaxio:1")
    assert (code, "sent again by eve, after 1 attempt" in said, "attempt 2, sent again by eve" in said) == (
        0,
        True,
        True,
    )


async def test_what_is_owed_or_being_attempted_is_refused_with_a_sentence_and_not_sent_twice(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    go = asyncio.Event()

    async def when_told(_received: Received) -> int:
        await go.wait()
        return 200

    harness.receiver.answer = when_told
    await harness.publish(an_event(1))
    async with dispatching():
        await harness.receiver.got(1)
        (row,) = await harness.deliveries()
        with pytest.raises(NothingToSend, match="1 still owed, or being attempted"):
            await dead.jobs.begin("delivery.resend", ids(row["id"]), who="eve")
        assert await dead.jobs.latest() == []
        go.set()
        await harness.settled(1)
    assert len(harness.receiver.received) == 1


async def test_of_two_people_at_once_one_sends(
    harness: DispatcherHarness, dead: DeadLetterService, opening: Opening, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    await harness.publish(*(an_event(number) for number in range(20)))
    async with dispatching(), opening() as other:
        rows = await harness.settled(20)
        selection = ids(*(row["id"] for row in rows))
        begun = await asyncio.gather(
            dead.jobs.begin("delivery.resend", selection, who="one"),
            other.jobs.begin("delivery.resend", selection, who="two"),
            return_exceptions=True,
        )
        (job,) = [each for each in begun if isinstance(each, Job)]
        (refused,) = [each for each in begun if not isinstance(each, Job)]
        assert isinstance(refused, TakenByAnother | NothingToSend)
        await (dead if job.who == "one" else other).jobs.wait(job.id, 30.0)
        await harness.receiver.got(40)
        await harness.settled(20)
    assert len(harness.receiver.received) == 40


async def test_sent_again_to_a_paused_endpoint_it_is_counted_waits_and_is_told_in_order(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching, unused_tcp_port: int
) -> None:
    endpoint, off = await harness.endpoint(max_concurrent=1), await harness.endpoint(max_concurrent=1)
    await harness.take(*(an_event(number) for number in range(6)))
    await harness.pool.execute(
        "UPDATE deliveries SET state = 'told', attempts = 1, lease_until = NULL, settled_at = now()"
    )
    await STORE.update(harness.pool, msgspec.structs.replace(endpoint, paused=True))
    await STORE.update(harness.pool, msgspec.structs.replace(off, enabled=False))
    everything = Selection(deliveries=ResendFilter(since=LONG_AGO))
    preview = await dead.planner.preview("delivery.resend", everything)
    assert (preview.matched, preview.count, preview.count_paused, preview.skipped_endpoint) == (12, 6, 6, 6)
    assert [(each.endpoint_id, each.is_paused) for each in preview.endpoints] == [(endpoint.id, True)]
    again = await dead.planner.preview("endpoint.recover", since(endpoint, told=True))
    assert (again.count, again.count_paused) == (6, 6)
    code, said, _ = await faxhook(
        {**harness.environment, "COLUMNS": "200"}, "endpoints", "recover", str(endpoint.id), "--since", "1d", "--told",
        "--dry-run",
    )  # fmt: skip
    assert (code, "6  wait until their endpoint is resumed: it is paused" in said) == (0, True)
    async with dispatching(**TOKENS), aiohttp.ClientSession() as http:
        assert (await done(dead, everything)).done == 6

        async def all_wait() -> bool:
            rows = [row for row in await harness.deliveries() if row["state"] == "retrying"]
            return [row["due_at"].year for row in rows] == [9999] * 6

        await until(all_wait, "parked")
        assert harness.receiver.received == []
        await Api(http, f"http://127.0.0.1:{unused_tcp_port}").ask("POST", f"/v1/endpoints/{endpoint.id}/resume", {})
        await harness.settled(12)
    rows = await harness.pool.fetch("SELECT id FROM deliveries WHERE endpoint_id = $1 ORDER BY id", endpoint.id)
    assert [UUID(each.delivery_id) for each in harness.receiver.received] == [row["id"] for row in rows]
    assert {each.attempt for each in harness.receiver.received} == {2}


async def test_a_late_record_of_the_first_time_does_not_end_a_resend(
    harness: DispatcherHarness, dead: DeadLetterService, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    await harness.publish(an_event(1))
    async with dispatching():
        (row,) = await harness.settled(1)
    await done(dead, ids(row["id"]))
    await record(harness.pool, [Record(delivery_id=row["id"], attempt=1, state="told")])
    (now,) = await harness.deliveries()
    assert (now["state"], now["attempts"]) == ("retrying", 1)
    async with dispatching():
        await harness.receiver.got(2)
        (now,) = await harness.settled(1)
    assert (now["state"], now["attempts"]) == ("told", 2)


@pytest.mark.parametrize(
    ("selection", "error", "sentence"),
    [
        (Selection(), BadSelection, "say which"),
        (Selection(ids=()), BadSelection, "empty"),
        (Selection(deliveries=ResendFilter()), BadSelection, "must name a fax"),
        (Selection(deliveries=ResendFilter(state="told")), BadSelection, "must name a fax"),
        (Selection(deliveries=ResendFilter(fax_id="1")), BadSelection, "needs `provider`"),
        (Selection(deliveries=ResendFilter(since=LONG_AGO, until=LONG_AGO)), BadSelection, "later than `since`"),
        (Selection(ids=("nonsense",)), UnknownDelivery, "no delivery nonsense"),
        (Selection(deliveries=ResendFilter(since=LONG_AGO)), NothingMatches, "no delivery matches"),
    ],
)
async def test_each_mistake_is_a_sentence(
    dead: DeadLetterService, selection: Selection, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        await dead.jobs.begin("delivery.resend", selection, who="test")
    assert await dead.jobs.latest() == []
