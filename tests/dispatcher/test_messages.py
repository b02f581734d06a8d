"""Messages of the dispatcher: written in one shape, and published until they are kept where that is needed."""

import asyncio
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from dispatcher import messages as module
from dispatcher.messages import BackgroundPublisher, DeadDelivery, PersistentPublisher, publish_dead, publish_delivery
from dispatcher.metrics import Metrics
from shared.amqp.publisher import NotKept
from shared.broker import FAX_DEAD, FAX_RETRY, FAX_WORK, WORK_KEY
from shared.ids import uuid7
from shared.runtime.service import end

Published = tuple[str, str, bytes, Mapping[str, str | int]]


class Refusing:
    """A publisher that keeps a message at the try after *refusals*."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.kept: list[Published] = []

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, str | int]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotKept("the broker is away")
        self.kept.append((exchange, routing_key, body, headers))


def a_dead_delivery() -> DeadDelivery:
    return DeadDelivery(
        delivery_id=uuid7(),
        attempt=17,
        event_id="phaxio:1",
        endpoint_id=uuid7(),
        cause="stuck",
        reason="put back 10 times without an attempt",
        died_at=datetime(2026, 10, 3, tzinfo=UTC),
    )


def dead_count(metrics: Metrics, cause: str) -> float | None:
    return metrics.registry.get_sample_value("faxhook_dead_deliveries_total", {"cause": cause})


async def test_a_delivery_message_is_what_the_contract_says() -> None:
    publisher, delivery_id = Refusing(), uuid7()
    await publish_delivery(publisher, FAX_WORK, WORK_KEY, delivery_id, 3)
    ((exchange, key, body, headers),) = publisher.kept
    assert (exchange, key, headers) == (FAX_WORK, WORK_KEY, {"attempt": 3})
    assert json.loads(body) == {"delivery_id": str(delivery_id), "attempt": 3}


async def test_a_dead_letter_is_counted_and_logged_with_its_cause_once_it_is_kept() -> None:
    publisher, metrics = Refusing(refusals=1), Metrics()
    with capture_logs() as lines, pytest.raises(NotKept):
        await publish_dead(publisher, metrics, a_dead_delivery())
    assert (dead_count(metrics, "stuck"), lines) == (0, [])
    with capture_logs() as lines:
        await publish_dead(publisher, metrics, a_dead_delivery())
    assert [(each["event"], each["cause"]) for each in lines] == [("delivery.dead", "stuck")]
    assert dead_count(metrics, "stuck") == 1
    ((exchange, _, _, headers),) = publisher.kept
    assert (exchange, headers) == (FAX_DEAD, {"cause": "stuck"})


async def test_a_persistent_publisher_goes_on_until_the_message_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dispatcher.messages.PUBLISH_RETRY_SECONDS", 0.0)
    publisher = Refusing(refusals=5)
    await PersistentPublisher(publisher).publish(FAX_WORK, WORK_KEY, b"{}", {})
    assert len(publisher.kept) == 1


async def test_a_background_publisher_has_few_messages_under_way_and_goes_on_until_all_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PUBLISH_RETRY_SECONDS", 0.0)
    monkeypatch.setattr(module, "WITHIN_SECONDS", 0.0001)
    under_way = most = 0

    class Counting(Refusing):
        async def publish(self, *message: Any) -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)  # as long as a confirm takes
            under_way -= 1
            await super().publish(*message)

    publisher, wanted = Counting(refusals=7), [uuid7() for _ in range(50)]
    background = BackgroundPublisher(publisher)
    for delivery_id in wanted:
        background.publish(FAX_WORK, WORK_KEY, delivery_id, 1)
    running = asyncio.create_task(background.run())
    await background.drained()
    await end({running})
    assert most == module.MOST_AT_ONCE
    assert sorted(json.loads(body)["delivery_id"] for _, _, body, _ in publisher.kept) == sorted(map(str, wanted))


async def test_a_background_publisher_spreads_what_waits_over_a_second_unless_many_wait_or_the_process_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.1)
    background = BackgroundPublisher(Refusing())
    running = asyncio.create_task(background.run())

    async def seconds_for(count: int) -> float:
        began = time.monotonic()
        for _ in range(count):
            background.publish(FAX_WORK, WORK_KEY, uuid7(), 1)
        await background.drained()
        return time.monotonic() - began

    assert await seconds_for(30) >= module.WITHIN_SECONDS
    assert await seconds_for(1) < module.PAUSE_SECONDS, "nothing waits behind it"
    with monkeypatch.context() as many_wait:
        many_wait.setattr(module, "PAUSED_UP_TO", 0)
        assert await seconds_for(50) < module.PAUSE_SECONDS
    background.hurry()
    assert await seconds_for(50) < module.PAUSE_SECONDS
    await end({running})


async def test_a_queue_that_leaves_each_message_without_an_answer_holds_those_of_others_up_for_a_few_times_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PUBLISH_RETRY_SECONDS", 0.0)
    times = under_way = 0
    is_kept = asyncio.Event()

    class WithoutLeader(Refusing):
        async def publish(self, *message: Any) -> None:
            nonlocal times, under_way
            if message[0] == FAX_WORK:
                is_kept.set()
                return
            times += not under_way
            under_way += 1
            await asyncio.sleep(0.01)  # as the broker's silence, which lasts 10 s
            under_way -= 1
            raise NotKept("no answer")

    background = BackgroundPublisher(WithoutLeader())
    for exchange in (*[FAX_RETRY] * 60, FAX_WORK):
        background.publish(exchange, WORK_KEY, uuid7(), 1)
    running = asyncio.create_task(background.run())
    await is_kept.wait()
    await end({running})
    assert times <= 1 + 60 / module.MOST_AT_ONCE


async def test_a_background_publisher_leaves_the_oldest_to_the_sweeper_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_UNPUBLISHED", 3)
    publisher, wanted = Refusing(), [uuid7() for _ in range(5)]
    background = BackgroundPublisher(publisher)
    for delivery_id in wanted:
        background.publish(FAX_WORK, WORK_KEY, delivery_id, 1)
    running = asyncio.create_task(background.run())
    await background.drained()
    await end({running})
    assert [json.loads(body)["delivery_id"] for _, _, body, _ in publisher.kept] == [str(each) for each in wanted[2:]]
