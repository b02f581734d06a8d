"""A message that breaks our own code is tried a few times, alone, and dead-lettered with the place; the others go on."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import pytest
from consumers import AnsweringLedger, UnusedCapacity, ready
from dispatchers import DispatcherHarness, an_event
from hypothesis import given
from hypothesis import strategies as st
from stores import count, count_unconsumed, take_all
from waiting import until

from dispatcher.channels.base import Attempt
from dispatcher.channels.webhook import WebhookChannel
from dispatcher.consumers.consumer import SUSPECT_FROM, Consumer, groups
from dispatcher.consumers.isolation import MOST_TRIES, bisect_batch
from dispatcher.delivery import attempts
from dispatcher.delivery.settler import MOST_CRASHES
from dispatcher.ledger import intake
from dispatcher.ledger.health import CutOff
from dispatcher.policy.endpoint import FaxMatch
from shared.amqp.frames import Message
from shared.broker import FAX_WORK, WORK_DELIVERIES, WORK_DELIVERY_LIMIT, WORK_EVENTS
from shared.domain import Provider, encode_event
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
NUMBER = "+15551234567"


class Breaking:
    """Breaks our code on one fax, with a message that must not get out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fax_id: str) -> None:
        self.crashes = 0
        attempting = WebhookChannel.attempt

        async def attempt(channel: WebhookChannel, attempt: Attempt) -> Any:
            if attempt.event.fax_id == fax_id:
                self.crashes += 1
                raise KeyError(NUMBER)
            return await attempting(channel, attempt)

        monkeypatch.setattr(WebhookChannel, "attempt", attempt)


async def remind(harness: DispatcherHarness, delivery_id: UUID, attempt: int = 1) -> None:
    """Publish a message about a delivery, as its delay queue does later."""
    body = json.dumps({"delivery_id": str(delivery_id), "attempt": attempt}).encode()
    await harness.publisher.publish(FAX_WORK, "delivery", body, {})


async def crashes_of(harness: DispatcherHarness, event_id: str) -> tuple[UUID, int, str]:
    row = await harness.pool.fetchrow("SELECT id, crashes, state FROM deliveries WHERE event_id = $1", event_id)
    return row["id"], row["crashes"], row["state"]


async def test_a_delivery_that_breaks_our_code_is_given_up_after_a_few_tries_by_any_process(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.endpoint(max_concurrent=1)
    breaking = Breaking(monkeypatch, "5")
    poison = an_event(5).id
    await harness.publish(*(an_event(number) for number in range(10)))
    async with dispatching():
        await harness.settled(9)
        await until(lambda: _crashed(harness, poison, 1), "crashed once")
    async with dispatching():  # another process, which knows nothing of the first one's crash

        async def given_up() -> bool:
            delivery_id, _, state = await crashes_of(harness, poison)
            await remind(harness, delivery_id)
            return state == "dead"

        await until(given_up, "given up")
        await harness.publish(an_event(11))
        deliveries = await harness.settled(11)
    assert breaking.crashes == MOST_CRASHES
    states = {each["event_id"]: (each["state"], each["reason"]) for each in deliveries}
    assert states.pop(poison) == ("dead", "crashed")
    assert set(states.values()) == {("told", None)}
    (letter,) = await take_all(harness.amqp_url, "dead.deliveries")
    dead = json.loads(letter.body)
    assert (dead["cause"], dead["event_id"]) == ("crashed", poison)
    assert dead["reason"].startswith(f"KeyError at {__name__}:"), dead["reason"]
    assert NUMBER.encode() not in letter.body


async def test_what_broke_our_code_and_is_told_later_starts_its_count_again(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.endpoint()
    Breaking(monkeypatch, "5")
    await harness.publish(an_event(5))
    async with dispatching():
        await until(lambda: _crashed(harness, an_event(5).id, 1), "crashed once")
        monkeypatch.undo()

        async def told() -> bool:
            delivery_id, crashes, state = await crashes_of(harness, an_event(5).id)
            await remind(harness, delivery_id)
            return (crashes, state) == (0, "told")

        await until(told, "told")
    assert len(harness.receiver.received) == 1


async def test_an_attempt_that_never_ends_counts_as_one_that_breaks_our_code(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.endpoint(timeout_seconds=0.5, max_concurrent=1)

    async def hang(_channel: WebhookChannel, attempt: Attempt) -> Any:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(WebhookChannel, "attempt", hang)
    monkeypatch.setattr(attempts, "FETCH_LEASE_SECONDS", -30.5)  # so that the bound is half a second
    await harness.publish(an_event(1), an_event(2))
    async with dispatching():
        for number in (1, 2):
            await until(lambda number=number: _crashed(harness, an_event(number).id, 1), "given up waiting")
    assert "had not ended" in await harness.pool.fetchval("SELECT crash_place FROM deliveries LIMIT 1")


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE events SET body = '{}' WHERE id = $1",
        "UPDATE endpoints SET sealed_tokens = '{\\x00}' WHERE scope = 'fax' AND $1 <> ''",
    ],
)
async def test_a_row_that_a_claim_cannot_read_stops_no_other(
    harness: DispatcherHarness, dispatching: Dispatching, spoil: str
) -> None:
    await harness.endpoint()
    await harness.endpoint(scope="fax", match=_fax("5"))
    poison = an_event(5).id
    owed = (await harness.take(*(an_event(number) for number in range(10)))).deliveries
    await harness.pool.execute("UPDATE deliveries SET lease_until = NULL")
    await harness.pool.execute(spoil, poison)
    for each in owed:
        await remind(harness, each.delivery_id)
    async with dispatching():
        await harness.settled(9)
        await until(lambda: _crashed(harness, poison, 1), "counted")
    assert {each.event_id for each in harness.receiver.received} == {an_event(n).id for n in range(10)} - {poison}


async def test_an_event_that_breaks_our_code_is_parked_alone_with_the_place(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.endpoint()
    routing = intake.route

    def route(event: Any, endpoints: Any) -> Any:
        if event.fax_id == "5":
            raise TypeError(NUMBER)
        return routing(event, endpoints)

    monkeypatch.setattr(intake, "route", route)
    await harness.publish(*(an_event(number) for number in range(12)))
    async with dispatching():
        deliveries = await harness.settled(11)
        await until(lambda: count(harness.amqp_url, "dead.events"), "parked")
        assert await count(harness.amqp_url, WORK_EVENTS) == 0
    assert {each["event_id"] for each in deliveries} == {an_event(n).id for n in range(12)} - {an_event(5).id}
    (parked,) = await take_all(harness.amqp_url, "dead.events")
    assert parked.body == encode_event(an_event(5))
    assert parked.headers["cause"] == "crashed"
    assert str(parked.headers["reason"]).startswith(f"TypeError at {__name__}:")


@given(st.sets(st.integers(0, 40), max_size=6), st.integers(1, 41))
async def test_of_any_items_the_culprits_are_given_up_and_all_others_done(culprits: set[int], total: int) -> None:
    done: set[int] = set()
    given_up: list[int] = []

    async def work(items: Sequence[int]) -> None:
        if culprits & set(items):
            raise ZeroDivisionError
        done.update(items)

    async def give_up(item: int, _error: Exception) -> None:
        given_up.append(item)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dispatcher.consumers.isolation.RETRY_SECONDS", 0.0)
        await bisect_batch(range(total), work, give_up)
    assert sorted(given_up) == sorted(culprits & set(range(total)))
    assert done == set(range(total)) - culprits


@pytest.mark.parametrize("times", [MOST_TRIES - 1, MOST_TRIES])
async def test_a_culprit_is_tried_a_few_times_before_it_is_given_up(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, given_up = 0, []

    async def work(items: Sequence[int]) -> None:
        nonlocal alone
        alone += list(items) == [5]
        if 5 in items and alone <= times:
            raise ZeroDivisionError

    async def give_up(item: int, _error: Exception) -> None:
        given_up.append(item)

    monkeypatch.setattr("dispatcher.consumers.isolation.RETRY_SECONDS", 0.0)
    await bisect_batch(range(9), work, give_up)
    assert given_up == ([5] if times == MOST_TRIES else [])


async def test_what_no_item_is_to_blame_for_is_raised() -> None:
    async def work(_items: Sequence[int]) -> None:
        raise CutOff

    async def give_up(_item: int, _error: Exception) -> None:
        raise AssertionError

    with pytest.raises(CutOff):
        await bisect_batch([1, 2], work, give_up)


def test_a_message_that_came_often_comes_last_and_alone() -> None:
    def message(tag: int, deliveries: object = 0) -> Message:
        return Message(tag, b"", {"x-delivery-count": deliveries} if deliveries else {}, "", redelivered=False)

    fresh = [message(1), message(2, SUSPECT_FROM - 1), message(5, "no number")]
    suspects = [message(3, SUSPECT_FROM), message(4, 40)]
    assert groups(fresh) == [fresh]
    first, *rest = groups([*suspects, *fresh])
    assert first == fresh
    assert sorted(rest, key=lambda group: group[0].tag) == [[each] for each in suspects]


async def test_a_message_that_kills_the_process_takes_no_other_with_it(harness: DispatcherHarness) -> None:
    others = {an_event(number).id for number in range(30)}
    poison = an_event(12).id
    await harness.publish(*(an_event(number) for number in range(30)))
    seen: Counter[str] = Counter()

    class Dying:
        """Dies like a process: the connection is gone, and nothing of the batch is acked."""

        tries = 0

        async def __call__(self, batch: Sequence[Message]) -> None:
            ids = [str(each.headers["event_id"]) for each in batch]
            seen.update(ids)
            await asyncio.sleep(0.01)  # as long as the ledger takes
            if poison in ids:
                raise SystemError

    deaths = 0
    while await count_unconsumed(harness.amqp_url, WORK_EVENTS) > 1:
        consumer = Consumer(
            harness.amqp_url,
            WORK_EVENTS,
            Dying(),
            *(AnsweringLedger(), UnusedCapacity()),
            prefetch=100,
            batch=50,
        )
        with pytest.raises(SystemError):
            await consumer.run(ready)
        deaths += 1
        assert deaths < WORK_DELIVERY_LIMIT / 2, "the broker would soon give up on all of them"
    (left,) = await take_all(harness.amqp_url, WORK_EVENTS)
    assert left.headers["event_id"] == poison
    assert set(seen) == others


async def _crashed(harness: DispatcherHarness, event_id: str, times: int) -> bool:
    rows = await harness.pool.fetch("SELECT crashes FROM deliveries WHERE event_id = $1", event_id)
    return [row["crashes"] for row in rows] == [times] and await count(harness.amqp_url, WORK_DELIVERIES) == 0


def _fax(fax_id: str) -> FaxMatch:

    return FaxMatch(provider=Provider.PHAXIO, fax_id=fax_id)
