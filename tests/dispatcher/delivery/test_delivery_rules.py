"""Failover, 410 and one bad endpoint among good ones, through real broker and ledger."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec
import pytest
from dispatchers import STORE, DispatcherHarness, an_event
from receiver import receiving
from stores import take_all
from waiting import until

from dispatcher.delivery.circuit_breaker import TIMEOUTS_TO_OPEN
from dispatcher.ledger.faxes.ranks import TURN_SECONDS
from shared.backoff import DEFER_WAITS_SECONDS
from shared.broker import FAX_WORK, defer_queue
from shared.domain import EventType
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


@pytest.fixture
def backoff() -> str:
    return "0.2s,6h"


async def test_what_the_url_does_not_take_the_failover_gets_in_the_same_attempt_signed_for_its_own_url(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    async with receiving() as failover:
        await harness.endpoint(failover_url=failover.url)
        harness.receiver.answer = lambda _received: 503
        await harness.publish(an_event(1))
        async with dispatching():
            (delivery,) = await harness.settled(1)
        (first,), (second,) = harness.receiver.received, failover.received
        assert second.phaxio_signature_matches(failover.url, "token")
    assert (delivery["state"], delivery["attempts"]) == ("told", 1)
    assert (first.attempt, second.attempt) == (1, 1)
    assert first.delivery_id == second.delivery_id
    assert await harness.pool.fetchval("SELECT url FROM attempts") == failover.url


async def test_what_comes_while_a_circuit_is_open_is_left_to_its_message_without_a_lease_and_others_are_told(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    async with receiving() as hanging:
        hanging.answer = lambda _received: asyncio.Event().wait()
        bad = await harness.endpoint(scope="number", match="+15550100", url=hanging.url, timeout_seconds=0.5)
        well = await harness.endpoint(scope="number", match="+15550101")
        await harness.publish(*(an_event(number, EventType.RECEIVED, to_number="+15550100") for number in range(8)))
        async with dispatching():

            async def timed_out() -> bool:
                query = "SELECT count(*) FROM attempts WHERE error = 'timeout'"
                return await harness.pool.fetchval(query) >= TIMEOUTS_TO_OPEN

            await until(timed_out, "the circuit is open")
            await harness.pool.execute(
                """
                CREATE TABLE changed (id uuid);
                CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN INSERT INTO changed VALUES (NEW.id); RETURN NEW; END $$;
                CREATE TRIGGER note AFTER UPDATE ON deliveries FOR EACH ROW EXECUTE FUNCTION note();
                """
            )
            numbers = range(20, 30)
            await harness.publish(*(an_event(each, EventType.RECEIVED, to_number="+15550100") for each in numbers))
            await harness.publish(an_event(40, EventType.RECEIVED, to_number="+15550101"))
            await harness.receiver.got(1)
            deferred = {
                str(row["id"])
                for row in await harness.deliveries()
                if row["endpoint_id"] == bad.id
                and row["event_id"] in {an_event(n, EventType.RECEIVED).id for n in numbers}
            }
            queue = defer_queue(DEFER_WAITS_SECONDS[0])
            waiting: set[str] = set()

            async def all_have_a_message() -> bool:
                waiting.update(json.loads(each.body)["delivery_id"] for each in await take_all(harness.amqp_url, queue))
                return deferred <= waiting

            await until(all_have_a_message, "each has its message")
    assert len(deferred) == 10
    rows = [row for row in await harness.deliveries() if str(row["id"]) in deferred]
    assert {(row["state"], row["attempts"], row["lease_until"]) for row in rows} == {("pending", 0, None)}
    changed = {str(row["id"]) for row in await harness.pool.fetch("SELECT id FROM changed")}
    assert not changed & deferred, "written once"
    assert [row["state"] for row in await harness.deliveries() if row["endpoint_id"] == well.id] == ["told"]


@pytest.mark.parametrize("how", ["hangs", "is not there", "does not resolve"])
async def test_the_failover_is_tried_however_the_url_fails(
    harness: DispatcherHarness, dispatching: Dispatching, how: str
) -> None:
    urls = {
        "hangs": harness.receiver.url,
        "is not there": "http://127.0.0.1:1/",
        "does not resolve": "http://no-such-host.invalid/",
    }
    async with receiving() as failover:
        await harness.endpoint(url=urls[how], failover_url=failover.url, timeout_seconds=0.5)
        harness.receiver.answer = lambda _received: asyncio.Event().wait()
        await harness.publish(an_event(1))
        async with dispatching():
            (delivery,) = await harness.settled(1)
    assert delivery["state"] == "told"


async def test_both_failing_is_one_failed_attempt(harness: DispatcherHarness, dispatching: Dispatching) -> None:
    async with receiving() as failover:
        failover.answer = lambda received: 200 if received.attempt == 2 else 500
        harness.receiver.answer = lambda _received: 500
        await harness.endpoint(failover_url=failover.url)
        await harness.publish(an_event(1))
        async with dispatching():
            (delivery,) = await harness.settled(1)
        assert [each.attempt for each in failover.received] == [1, 2]
    assert (delivery["state"], delivery["attempts"]) == ("told", 2)


async def test_410_switches_the_endpoint_off_and_what_it_was_owed_is_dead_with_the_cause_gone(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    endpoint = await harness.endpoint()
    harness.receiver.answer = lambda received: 410 if "phaxio:2-" in received.event_id else 500
    async with dispatching():
        await harness.publish(an_event(1))
        await until(lambda: _attempts(harness, 2), "the first waits for its third attempt, 6 hours")
        await harness.publish(an_event(2))
        await until(lambda: _switched_off(harness), "switched off")
        (first, _) = await harness.deliveries()
        body = json.dumps({"delivery_id": str(first["id"]), "attempt": 3}).encode()
        await harness.publisher.publish(FAX_WORK, "delivery", body, {})
        deliveries = await harness.settled(2)
    assert {(each["state"], each["reason"]) for each in deliveries} == {("dead", "gone")}
    letters = [json.loads(message.body) for message in await take_all(harness.amqp_url, "dead.deliveries")]
    assert {letter["cause"] for letter in letters} == {"gone"}
    assert len(harness.receiver.received) == 3
    (stored,) = await STORE.everything(harness.pool)
    assert (stored.id, stored.enabled) == (endpoint.id, False)


async def test_410_with_a_failover_that_was_told_leaves_the_endpoint_on(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    async with receiving() as failover:
        harness.receiver.answer = lambda _received: 410
        await harness.endpoint(failover_url=failover.url)
        await harness.publish(an_event(1))
        async with dispatching():
            (delivery,) = await harness.settled(1)
    assert delivery["state"] == "told"
    assert (await STORE.everything(harness.pool))[0].enabled


async def test_410_with_a_failover_that_fails_is_gone_all_the_same(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    async with receiving() as failover:
        failover.answer = lambda _received: 500
        harness.receiver.answer = lambda _received: 410
        await harness.endpoint(failover_url=failover.url)
        await harness.publish(an_event(1))
        async with dispatching():
            (delivery,) = await harness.settled(1)
    assert (delivery["state"], delivery["reason"]) == ("dead", "gone")


async def test_an_endpoint_that_hangs_is_left_alone_after_a_few_timeouts_and_the_others_do_not_notice(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    async with receiving() as healthy:
        hanging = await harness.endpoint(timeout_seconds=0.3, max_concurrent=1)
        await harness.endpoint(url=healthy.url)
        harness.receiver.answer = lambda _received: asyncio.Event().wait()
        await harness.publish(*(an_event(number) for number in range(40)))
        async with dispatching():
            await healthy.got(40, seconds=10)
            await until(
                lambda: _deferred(harness, hanging.id, 40 - TIMEOUTS_TO_OPEN), "the rest is deferred", seconds=20
            )
        assert len(harness.receiver.received) <= TIMEOUTS_TO_OPEN + 1
    attempts = await harness.pool.fetch("SELECT attempts FROM deliveries WHERE endpoint_id = $1", hanging.id)
    assert sum(row["attempts"] for row in attempts) == len(harness.receiver.received), (
        "what was deferred is not counted"
    )


async def test_a_burst_for_one_endpoint_that_answers_is_told_at_its_pace_first_in_first_out(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.delivery.lanes.MOST_IN_LANE", 50)
    monkeypatch.setattr("dispatcher.delivery.lanes.REFILL_BELOW", 25)
    await harness.endpoint(max_concurrent=1)
    await harness.publish(*(an_event(number) for number in range(400)))
    async with dispatching():
        # Less than the shortest of the defer waits, after which their messages come.
        await harness.receiver.got(400, seconds=14)
        await harness.settled(400)
    assert [each.event_id for each in harness.receiver.received] == [an_event(number).id for number in range(400)]


async def _attempts(harness: DispatcherHarness, wanted: int) -> bool:
    return [each["attempts"] for each in await harness.deliveries()] == [wanted]


async def _switched_off(harness: DispatcherHarness) -> bool:
    return not (await STORE.everything(harness.pool))[0].enabled


async def _deferred(harness: DispatcherHarness, endpoint_id: object, count: int) -> bool:
    found = await harness.pool.fetchval(
        "SELECT count(*) FROM deliveries WHERE endpoint_id = $1 AND lease_until IS NULL AND attempts = 0", endpoint_id
    )
    return found >= count - 1


@pytest.mark.parametrize("change", ["another URL", "disabled", "removed", "answered 410"])
async def test_what_waits_in_a_lane_hears_of_a_change_of_its_endpoint(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr("dispatcher.delivery.leases.RENEW_EVERY_SECONDS", 0.1)
    may_answer = asyncio.Event()

    async def answer(_received: object) -> int:
        await may_answer.wait()
        return 200

    harness.receiver.answer = answer
    endpoint = await harness.endpoint(max_concurrent=1)
    async with receiving() as moved_to, dispatching():
        await harness.publish(*(an_event(number) for number in range(4)))
        await harness.events(4)
        await until(lambda: harness.receiver.received, "one is under way, and the others wait")
        if change == "another URL":
            await STORE.update(harness.pool, msgspec.structs.replace(endpoint, url=moved_to.url))
        elif change == "disabled":
            await STORE.update(harness.pool, msgspec.structs.replace(endpoint, enabled=False))
        elif change == "removed":
            await STORE.remove(harness.pool, endpoint.id)
        else:
            await STORE.gone(harness.pool, endpoint.id)
        leases = set[object]()

        async def was_renewed_after_it() -> bool:
            leases.add(await harness.pool.fetchval("SELECT max(lease_until) FROM deliveries"))
            return len(leases) == 4

        await until(was_renewed_after_it, "changes are noted each time that leases are renewed")
        may_answer.set()
        rows = await harness.settled(4)
    assert len(harness.receiver.received) == 1, "the one that was under way"
    expected = {
        "another URL": ("told", None),
        "disabled": ("dead", "endpoint_disabled"),
        "removed": ("dead", "endpoint_removed"),
        "answered 410": ("dead", "gone"),
    }[change]
    assert sorted((row["state"], row["reason"]) for row in rows if row["state"] != "told" or not expected[1]) == [
        expected
    ] * (3 if expected[1] else 4)
    assert len(moved_to.received) == (3 if change == "another URL" else 0)


async def test_what_is_overtaken_while_it_waits_in_a_lane_is_not_told_after_what_overtook_it(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    """Another process took in the fax's ending meanwhile; its lane was empty, and it told the ending at once."""
    skipping = await harness.endpoint(inflight=True, format="standard-v1", tokens=(), max_concurrent=1)
    wanting = await harness.endpoint(
        inflight=True, format="standard-v1", tokens=(), max_concurrent=1, overtaken="deliver"
    )
    may_answer = asyncio.Event()

    async def answer() -> int:
        await may_answer.wait()
        return 200

    harness.receiver.answer = lambda _: answer()
    async with dispatching():
        await harness.publish(an_event(1))
        await harness.receiver.got(2)
        await harness.publish(an_event(2, EventType.SENDING), an_event(3, EventType.SENDING))
        await harness.events(3)
        await harness.take(an_event(2))  # by another process
        await asyncio.sleep(2 * TURN_SECONDS)  # the wait for its turn is what is tested
        await harness.pool.execute("DELETE FROM faxes WHERE fax_id = $1", an_event(3).fax_id)  # by hand
        may_answer.set()
        await harness.settled(6)
    rows = {(each["event_id"], each["endpoint_id"]): each for each in await harness.deliveries()}
    old, news = an_event(2, EventType.SENDING).id, an_event(3, EventType.SENDING).id
    assert (rows[old, skipping.id]["state"], rows[old, skipping.id]["reason"]) == ("skipped", "overtaken")
    assert [rows[key]["state"] for key in [(old, wanting.id), (news, skipping.id), (news, wanting.id)]] == ["told"] * 3
    assert [each.event_id for each in harness.receiver.received].count(old) == 1
