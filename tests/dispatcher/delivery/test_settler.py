"""The settler: the next step of a delivery is confirmed before its attempt is recorded, whatever the verdict."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from delivering import new_held
from dispatchers import STORE, DispatcherHarness, an_event
from stores import take_all
from waiting import until

from dispatcher.channels.outcome import NotTold, Outcome, Told
from dispatcher.delivery.held import HeldDeliveries
from dispatcher.delivery.leases import Releaser
from dispatcher.delivery.recorder import Recorder
from dispatcher.delivery.settler import MOST_CRASHES, MadeAttempt, Settler
from dispatcher.messages import BackgroundPublisher
from dispatcher.metrics import Metrics
from dispatcher.policy.delivery import LeasedDelivery
from dispatcher.policy.verdict import GiveUp, Requeue, RetryAfter, Settle, Skip, Verdict
from shared.amqp.publisher import NotKept
from shared.backoff import DEFER_WAITS_SECONDS, parse_backoff
from shared.broker import WORK_DELIVERIES, defer_queue, retry_queue
from shared.runtime.service import end

TIMEOUT = NotTold(error="timeout", url="http://application.example/")
TOLD = Told(url="http://application.example/", http_status=200, answer=b"thanks")


class Settling:
    """A settler on real stores, and what it holds."""

    def __init__(self, harness: DispatcherHarness, publisher: Any = None) -> None:
        self.harness = harness
        self.held: HeldDeliveries = new_held()
        publisher, metrics = publisher or harness.publisher, Metrics()
        self.recorder = Recorder(harness.pool, self.held)
        self.messages = BackgroundPublisher(publisher)
        self.releaser = Releaser(harness.pool, self.messages, self.held, metrics)
        self.settler = Settler(harness.pool, STORE, publisher, self.recorder, self.releaser, self.held, metrics)

    async def one_held(self, **fields: Any) -> LeasedDelivery:
        await self.harness.endpoint(**fields)
        (delivery,) = (await self.harness.take(an_event(1))).deliveries
        self.held.hold(delivery.delivery_id, delivery)
        return delivery

    async def settle(self, delivery: LeasedDelivery, verdict: Verdict, outcome: Outcome | None = None) -> None:
        made = None if outcome is None else MadeAttempt(outcome, datetime.now(UTC), 0.25)
        await self.settler.settle(delivery, verdict, made)
        await self.drained()

    async def crash(self, delivery: LeasedDelivery, error: BaseException) -> None:
        await self.settler.crashed(delivery, error)
        await self.drained()

    async def drained(self) -> None:
        await self.recorder.drained()
        await self.releaser.drained()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = {asyncio.create_task(part.run()) for part in (self.recorder, self.releaser, self.messages)}
        yield
        await end(tasks)


@pytest.fixture
async def settling(harness: DispatcherHarness) -> AsyncIterator[Settling]:
    made = Settling(harness)
    async with made.running():
        yield made


async def rows(harness: DispatcherHarness) -> tuple[Any, list[Any]]:
    (delivery,) = await harness.deliveries()
    return delivery, await harness.pool.fetch("SELECT * FROM attempts ORDER BY number")


async def test_told_is_recorded_with_its_attempt_and_let_go(settling: Settling) -> None:
    delivery = await settling.one_held()
    await settling.settle(delivery, Settle(), TOLD)
    row, (attempt,) = await rows(settling.harness)
    assert (row["state"], row["attempts"], row["lease_until"]) == ("told", 1, None)
    assert (attempt["outcome"], attempt["http_status"], attempt["answer"]) == ("told", 200, b"thanks")
    assert attempt["seconds"] == pytest.approx(0.25)
    assert not settling.held.holds(delivery.delivery_id)


async def test_a_retry_lies_in_its_delay_queue_and_is_due_when_that_ends(settling: Settling, backoff: str) -> None:
    wait = parse_backoff(backoff)[0]
    delivery = await settling.one_held()
    before = await settling.harness.pool.fetchval("SELECT now()")
    await settling.settle(delivery, RetryAfter(wait), TIMEOUT)
    row, (attempt,) = await rows(settling.harness)
    assert (row["state"], row["attempts"], row["reason"]) == ("retrying", 1, None)
    assert wait <= (row["due_at"] - before).total_seconds() < wait + 10
    assert (attempt["outcome"], attempt["error"]) == ("not_told", "timeout")
    # It may have left the delay queue already.
    amqp_url = settling.harness.amqp_url
    (message,) = await take_all(amqp_url, retry_queue(wait)) or await take_all(amqp_url, WORK_DELIVERIES)
    assert json.loads(message.body) == {"delivery_id": str(delivery.delivery_id), "attempt": 2}


async def test_what_is_given_up_has_a_dead_letter_that_says_what_where_and_why(settling: Settling) -> None:
    delivery = await settling.one_held()
    await settling.settle(delivery, GiveUp("timeout", "the last of 17 attempts failed"), TIMEOUT)
    row, attempts = await rows(settling.harness)
    assert (row["state"], row["reason"], len(attempts)) == ("dead", "timeout", 1)
    (letter,) = await take_all(settling.harness.amqp_url, "dead.deliveries")
    body = json.loads(letter.body)
    assert datetime.fromisoformat(body.pop("died_at")).tzinfo is not None
    assert body == {
        "delivery_id": str(delivery.delivery_id),
        "attempt": 1,
        "event_id": delivery.event_id,
        "endpoint_id": str(delivery.endpoint_id),
        "cause": "timeout",
        "reason": "the last of 17 attempts failed",
    }


@pytest.mark.parametrize("is_answered", [True, False])
async def test_only_an_answer_of_410_disables_the_endpoint(settling: Settling, *, is_answered: bool) -> None:
    delivery = await settling.one_held()
    await settling.settle(delivery, GiveUp("gone", "it answered 410"), TIMEOUT if is_answered else None)
    assert await settling.harness.pool.fetchval("SELECT is_gone FROM endpoints") == is_answered


async def test_what_is_skipped_or_given_up_without_an_attempt_counts_none(settling: Settling) -> None:
    delivery = await settling.one_held()
    await settling.settle(delivery, Skip("overtaken"))
    row, attempts = await rows(settling.harness)
    assert (row["state"], row["reason"], row["attempts"], attempts) == ("skipped", "overtaken", 0, [])


@pytest.mark.parametrize(
    ("wait", "queue"), [(0.0, WORK_DELIVERIES), (DEFER_WAITS_SECONDS[1], defer_queue(DEFER_WAITS_SECONDS[1]))]
)
async def test_a_requeued_delivery_can_be_claimed_by_its_message_and_counts_no_attempt(
    settling: Settling, wait: float, queue: str
) -> None:
    delivery = await settling.one_held()
    await settling.settle(delivery, Requeue(wait))
    row, attempts = await rows(settling.harness)
    assert (row["state"], row["attempts"], row["lease_until"], attempts) == ("pending", 0, None, [])
    (message,) = await take_all(settling.harness.amqp_url, queue)
    assert json.loads(message.body) == {"delivery_id": str(delivery.delivery_id), "attempt": 1}
    assert not settling.held.holds(delivery.delivery_id)


async def test_a_delivery_whose_lease_is_anothers_is_let_go_without_a_message(settling: Settling) -> None:
    delivery = await settling.one_held()
    await settling.harness.pool.execute("UPDATE deliveries SET lease_until = now() + interval '77 s'")
    await settling.settle(delivery, Requeue(0.0))
    assert await take_all(settling.harness.amqp_url, WORK_DELIVERIES) == []
    assert not settling.held.holds(delivery.delivery_id)


async def test_what_breaks_our_code_is_tried_a_few_times_and_then_given_up_with_the_place(settling: Settling) -> None:
    delivery = await settling.one_held()
    error = ValueError("not for the log")
    for crash in range(1, MOST_CRASHES):
        await settling.crash(delivery, error)
        wait = DEFER_WAITS_SECONDS[crash - 1]
        assert len(await take_all(settling.harness.amqp_url, defer_queue(wait))) == 1
        await settling.harness.pool.execute("UPDATE deliveries SET lease_until = $1", delivery.lease_until)
    await settling.crash(delivery, error)
    row, attempts = await rows(settling.harness)
    assert (row["state"], row["reason"], attempts) == ("dead", "crashed", [])
    (letter,) = await take_all(settling.harness.amqp_url, "dead.deliveries")
    assert json.loads(letter.body)["reason"] == "ValueError"


class Refusing:
    """A publisher that keeps nothing until it is told to."""

    def __init__(self) -> None:
        self.keeps = False
        self.tries = 0

    async def publish(self, exchange: str, _key: str, _body: bytes, _headers: Mapping[str, str | int]) -> None:
        self.tries += 1
        if not self.keeps:
            raise NotKept(f"{exchange} is away")


@pytest.mark.parametrize("verdict", [RetryAfter(300.0), GiveUp("timeout", "the last of 17 attempts failed")])
async def test_nothing_is_recorded_before_its_next_step_is_kept(
    harness: DispatcherHarness, verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.messages.PUBLISH_RETRY_SECONDS", 0.01)
    publisher = Refusing()
    settling = Settling(harness, publisher)
    async with settling.running():
        delivery = await settling.one_held()
        task = asyncio.create_task(settling.settle(delivery, verdict, TIMEOUT))
        await until(lambda: publisher.tries >= 3, "it was tried a few times")
        row, attempts = await rows(harness)
        assert (row["state"], attempts) == ("pending", [])
        assert settling.held.holds(delivery.delivery_id)
        publisher.keeps = True
        await task
    row, attempts = await rows(harness)
    assert (row["state"], len(attempts)) == ("retrying" if isinstance(verdict, RetryAfter) else "dead", 1)
