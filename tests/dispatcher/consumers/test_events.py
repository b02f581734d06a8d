"""Every message of the dispatcher's queues is taken into the ledger, dead-lettered, or dropped because it is stale."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest
from dispatchers import DispatcherHarness, an_event
from documents import PDF, document_url, received
from proxy import proxied
from receiver import Receiver
from stores import count, take_all
from waiting import until

from dispatcher.__main__ import serve
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from dispatcher.settings import DispatcherSettings
from shared.broker import FAX_IN, WORK_EVENTS
from shared.domain import EventType
from shared.ids import uuid7
from shared.runtime.service import Stop
from shared.seal import Seal, Unsealable
from shared.settings import load

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


async def test_a_message_that_cannot_be_read_is_parked_with_its_cause_and_the_others_go_on(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    await harness.publisher.publish(FAX_IN, "phaxio.fax.delivered", b'{"id": 1', {"event_id": "phaxio:broken"})
    await harness.publish(an_event(1))
    async with dispatching():
        await harness.settled(1)
        await until(lambda: count(harness.amqp_url, "dead.events"), "parked")
    (parked,) = await take_all(harness.amqp_url, "dead.events")
    assert parked.body == b'{"id": 1'
    assert (parked.headers["event_id"], parked.headers["cause"]) == ("phaxio:broken", "unreadable")
    assert await count(harness.amqp_url, WORK_EVENTS) == 0


async def test_an_event_that_the_ledger_refuses_is_parked_alone(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    too_many_pages = 2**40  # more than the column holds; no adapter lets it through
    await harness.publish(*(an_event(n, pages=too_many_pages if n == 5 else n) for n in range(12)))
    async with dispatching():
        deliveries = await harness.settled(11)
        await until(lambda: count(harness.amqp_url, "dead.events"), "parked")
    assert {each["state"] for each in deliveries} == {"told"}
    (parked,) = await take_all(harness.amqp_url, "dead.events")
    assert json.loads(parked.body)["id"] == an_event(5).id
    assert parked.headers["cause"] == "ledger_refused"


async def test_a_repetition_without_its_document_in_the_same_batch_does_not_cost_the_event_its_own(
    harness: DispatcherHarness, dispatching: Dispatching, storage: Receiver
) -> None:
    await harness.endpoint()
    event = received(document_url(storage))
    await harness.publish(event, msgspec.structs.replace(event, media=None))
    async with dispatching():
        await harness.settled(1)
    assert [[part.content for part in each.form.files] for each in harness.receiver.received] == [[PDF]]


async def test_an_event_that_is_owed_to_no_endpoint_is_recorded_all_the_same(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint(direction="received")
    await harness.publish(an_event(1))
    async with dispatching():
        await harness.events(1)
    assert await harness.deliveries() == []
    assert await harness.pool.fetchval("SELECT state FROM faxes") == "fax.delivered"


async def test_of_a_batch_that_holds_a_faxs_ending_what_it_overtook_is_recorded_and_not_told(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    skipping = await harness.endpoint(inflight=True)
    wanting = await harness.endpoint(inflight=True, overtaken="deliver")
    await harness.publish(
        an_event(1, EventType.DELIVERED), an_event(1, EventType.PAGE_SENT), an_event(1, EventType.QUEUED)
    )
    async with dispatching():
        deliveries = await harness.settled(6)
    assert {(each["event_id"], each["endpoint_id"]): (each["state"], each["reason"]) for each in deliveries} == {
        ("phaxio:1-fax.delivered", skipping.id): ("told", None),
        ("phaxio:1-fax.delivered", wanting.id): ("told", None),
        ("phaxio:1-fax.page_sent", skipping.id): ("skipped", "overtaken"),
        ("phaxio:1-fax.page_sent", wanting.id): ("told", None),
        ("phaxio:1-fax.queued", skipping.id): ("skipped", "no_equivalent"),
        ("phaxio:1-fax.queued", wanting.id): ("skipped", "no_equivalent"),
    }


async def test_an_endpoint_added_while_running_is_told_within_two_seconds(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    async with dispatching():
        await harness.publish(an_event(1))
        await harness.events(1)
        await harness.endpoint()
        number = 1

        async def told() -> bool:
            nonlocal number
            number += 1
            await harness.publish(an_event(number))
            return bool(harness.receiver.received)

        await until(told, "told", seconds=2.0)


async def test_a_ledger_that_goes_away_pauses_everything_and_nothing_is_lost_or_told_twice(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    async with proxied(harness.environment["DATABASE_URL"]) as (proxy, through), dispatching(DATABASE_URL=through):
        await harness.publish(an_event(1))
        await harness.settled(1)
        proxy.cut()
        await harness.publish(*(an_event(number) for number in range(2, 12)))
        assert len(harness.receiver.received) == 1
        proxy.restore()
        deliveries = await harness.settled(11)
    assert {each["state"] for each in deliveries} == {"told"}
    assert len(harness.receiver.received) == 11


async def test_a_2xx_whose_record_cannot_be_written_is_held_and_recorded_later_not_sent_again(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    async with proxied(harness.environment["DATABASE_URL"]) as (proxy, through), dispatching(DATABASE_URL=through):

        def cut_then_tell(_received: object) -> int:
            proxy.cut()
            return 200

        harness.receiver.answer = cut_then_tell
        await harness.publish(an_event(1))
        await harness.receiver.got(1)
        assert [each["state"] for each in await harness.deliveries()] == ["pending"]
        proxy.restore()
        (delivery,) = await harness.settled(1)
    assert (delivery["state"], delivery["attempts"]) == ("told", 1)
    assert len(harness.receiver.received) == 1


async def test_no_message_is_taken_before_the_tokens_of_the_ledger_were_opened(
    harness: DispatcherHarness, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_slow(*_arguments: object) -> None:
        raise TimeoutError

    await harness.endpoint()
    await harness.publish(an_event(1))
    stop = Stop()
    settings = load(DispatcherSettings, {**harness.environment, "OPS_PORT": str(unused_tcp_port)})
    with monkeypatch.context() as patch:
        patch.setattr("dispatcher.ledger.endpoints.EndpointStore.check_tokens", too_slow)
        serving = asyncio.create_task(serve(settings, stop))
        deadline = time.monotonic() + 3.0
        taken: list[int] = []
        while time.monotonic() < deadline and not stop.is_set:
            taken.append(1 - await count(harness.amqp_url, WORK_EVENTS))
        assert not any(taken), "another dispatcher could have taken it"
    await harness.settled(1)
    stop.set()
    await serving


async def test_endpoints_that_cannot_be_read_hold_up_the_events_and_lose_none(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    async with dispatching():
        async with harness.pool.acquire() as other, other.transaction():
            await other.execute("LOCK TABLE endpoints IN ACCESS EXCLUSIVE MODE")
            await harness.publish(an_event(1))
            await until(lambda: is_waited_for(harness), "the batch waits for the endpoints")
            assert await harness.pool.fetchval("SELECT count(*) FROM events") == 0
        (delivery,) = await harness.settled(1)
    assert delivery["state"] == "told"


@pytest.mark.parametrize("scope", [{"scope": "fax", "match": FaxMatch(job_id="j2")}, {}], ids=["of a fax", "global"])
async def test_one_damaged_endpoint_stops_no_other(
    harness: DispatcherHarness,
    dispatching: Dispatching,
    quick_sweeps: None,
    monkeypatch: pytest.MonkeyPatch,
    scope: dict[str, Any],
) -> None:
    """Its tokens are opened at the start or with an event for it: what it is owed dies, and everything else goes on."""
    monkeypatch.setattr("dispatcher.delivery.settler.MOST_CRASHES", 1)
    await harness.endpoint()
    damaged = await harness.endpoint(**scope)
    await harness.pool.execute("UPDATE endpoints SET sealed_tokens = '{\\x00}' WHERE id = $1", damaged.id)
    events = [an_event(1), an_event(2, job_id="j2"), an_event(3)]
    await harness.publish(*events)
    async with dispatching():
        deliveries = await harness.settled(3 if scope else 6)
    died = {each["event_id"] for each in deliveries if each["state"] == "dead"}
    assert died == {each["event_id"] for each in deliveries if each["endpoint_id"] == damaged.id}
    assert died == ({events[1].id} if scope else {each.id for each in events})
    told = {each["event_id"] for each in deliveries if each["state"] == "told"}
    assert told == {each.id for each in events} - (died if scope else set())
    assert sorted(each.event_id for each in harness.receiver.received) == sorted(told)


async def is_waited_for(harness: DispatcherHarness) -> bool:
    return await harness.pool.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())"
    )


async def test_an_endpoint_whose_tokens_no_key_opens_ends_the_dispatcher_and_its_event_stays(
    harness: DispatcherHarness, unused_tcp_port: int
) -> None:
    """Not every token is opened at the start; no event or delivery is to blame for a wrong key."""
    stop = Stop()
    settings = load(DispatcherSettings, {**harness.environment, "OPS_PORT": str(unused_tcp_port)})
    serving = asyncio.create_task(serve(settings, stop))
    await harness.publish(an_event(1))
    await harness.events(1)
    other = EndpointStore(Seal(["3q2-796tvu_erb7v3q2-796tvu_erb7v3q2-796tvu8="]))
    await other.insert(harness.pool, Endpoint(id=uuid7(), url=harness.receiver.url, tokens=("token",)))
    await harness.publish(an_event(2))
    async with asyncio.timeout(60):
        await serving
    assert isinstance(stop.failure, Unsealable)

    in_queue: set[str] = set()

    async def is_kept() -> bool:
        # The broker puts back what was not acked a moment after it lost the connection. The first event, too, if the
        # failure came between its commit and its ack: then it is a repetition.
        in_queue.update(json.loads(each.body)["id"] for each in await take_all(harness.amqp_url, WORK_EVENTS))
        return an_event(2).id in in_queue

    await until(is_kept, "the event is in the queue")
    assert in_queue <= {an_event(1).id, an_event(2).id}
    assert await harness.pool.fetchval("SELECT array_agg(id) FROM events") == [an_event(1).id]


async def test_a_ledger_too_slow_for_batches_gets_smaller_ones_and_everything_is_told_once(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes 10 ms for a row: a batch of 100 events, of their records or claims is never written in 0.4 s."""
    await harness.endpoint()
    await harness.publish(*(an_event(number) for number in range(100)))
    await harness.pool.execute(
        """
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION slow();
        CREATE TRIGGER slow BEFORE UPDATE ON deliveries FOR EACH ROW EXECUTE FUNCTION slow();
        """
    )
    monkeypatch.setattr("dispatcher.ledger.pool.COMMAND_TIMEOUT_SECONDS", 0.4)
    async with dispatching():
        deliveries = await harness.settled(100)
    assert {each["state"] for each in deliveries} == {"told"}
    assert len(harness.receiver.received) == 100
    assert await count(harness.amqp_url, "dead.events") == 0
