"""A consumer opens its channel again, is never away while it is idle, and waits for more of what can wait."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from consumers import AnsweringLedger, UnusedCapacity, ready
from dispatchers import DispatcherHarness, an_event
from stores import count
from waiting import until

from dispatcher.consumers.consumer import Consumer
from dispatcher.policy.linger import Linger
from shared.amqp.channel import AmqpChannel
from shared.amqp.frames import Message
from shared.broker import WORK_EVENTS

BACK_SECONDS = 10.0


class Collecting:
    """A handler that keeps the ids of what it is given."""

    def __init__(self) -> None:
        self.event_ids: list[str] = []
        self.batches = 0
        self.tries = 0

    async def __call__(self, batch: Sequence[Message]) -> None:
        self.batches += 1
        self.event_ids += [str(each.headers["event_id"]) for each in batch]


async def test_a_channel_that_the_broker_closed_is_opened_again_even_without_capacity(
    harness: DispatcherHarness,
) -> None:
    handler, capacity = Collecting(), UnusedCapacity()
    capacity.event.clear()
    consumer = Consumer(harness.amqp_url, WORK_EVENTS, handler, AnsweringLedger(), capacity, prefetch=10, batch=10)
    running = asyncio.create_task(consumer.run(ready))
    try:
        await harness.publish(*(an_event(number) for number in range(5)))
        await until(lambda: consumer.is_consuming and len(consumer._channel.received) == 5, "pushed")
        first = consumer._channel
        first.ack(4711)  # unknown: the broker closes the channel, as it does for an ack that took too long
        await until(lambda: consumer.is_consuming and consumer._channel is not first, "a new channel", BACK_SECONDS)
        capacity.event.set()
        await until(lambda: len(handler.event_ids) >= 5, "handled")

        async def is_empty() -> bool:
            return await count(harness.amqp_url, WORK_EVENTS) == 0

        await until(is_empty, "acked")
    finally:
        consumer.stop()
        await running
    assert sorted(handler.event_ids) == sorted({an_event(number).id for number in range(5)}), "none of the old channel"


async def test_an_idle_consumer_goes_from_channel_to_channel_of_one_connection_and_is_never_away(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.consumers.consumer.SILENCE_SECONDS", 0.2)
    handler = Collecting()
    consumer = Consumer(
        harness.amqp_url, WORK_EVENTS, handler, AnsweringLedger(), UnusedCapacity(), prefetch=10, batch=10
    )
    running = asyncio.create_task(consumer.run(ready))
    try:
        await until(lambda: consumer.is_consuming, "it consumes")
        seen: list[AmqpChannel] = []

        def another() -> bool:
            assert consumer.is_consuming
            if consumer._channel not in seen:
                seen.append(consumer._channel)
            return len(seen) == 5

        await until(another, "five channels")
        assert not any(channel.is_open for channel in seen[:-1])
        await harness.publish(*(an_event(number) for number in range(5)))
        await until(lambda: len(handler.event_ids) == 5, "handled")
        assert consumer.connecting() == (0, 1), "one connection was enough"
    finally:
        consumer.stop()
        await running


async def test_a_small_batch_waits_for_what_comes_meanwhile(harness: DispatcherHarness) -> None:
    handler, asked = Collecting(), asyncio.Event()

    class Waiting(Linger):
        def wait_seconds(self, _waiting: int, _now: float) -> float:
            asked.set()
            return 0.5

    consumer = Consumer(
        harness.amqp_url, WORK_EVENTS, handler, AnsweringLedger(), UnusedCapacity(), prefetch=10, batch=10
    )
    consumer._linger = Waiting()
    running = asyncio.create_task(consumer.run(ready))
    try:
        await harness.publish(an_event(1))
        await asked.wait()
        await harness.publish(an_event(2))
        await until(lambda: len(handler.event_ids) == 2, "handled")
        assert handler.batches == 1
    finally:
        consumer.stop()
        await running


async def test_what_can_wait_is_gathered_and_what_cannot_is_taken_at_once_with_it(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.consumers.consumer.GATHER_SECONDS", 1.0)
    monkeypatch.setattr("dispatcher.consumers.consumer.GATHERED", 4)
    handler, patient = Collecting(), {an_event(number).id for number in range(9)}
    consumer = Consumer(
        harness.amqp_url,
        WORK_EVENTS,
        handler,
        AnsweringLedger(),
        UnusedCapacity(),
        prefetch=10,
        batch=10,
        can_wait=lambda message: message.headers["event_id"] in patient,
    )
    running = asyncio.create_task(consumer.run(ready))

    async def seconds_for(*numbers: int) -> float:
        began, wanted = time.monotonic(), len(handler.event_ids) + len(numbers)
        for number in numbers:  # one by one, as they come
            await harness.publish(an_event(number))
        await until(lambda: len(handler.event_ids) == wanted, "handled")
        return time.monotonic() - began

    try:
        await until(lambda: consumer.is_consuming, "it consumes")
        assert await seconds_for(0, 1) >= 1.0
        assert handler.batches == 1, "gathered"
        assert await seconds_for(2, 3, 4, 5) < 1.0, "enough"
        assert await seconds_for(6, 7, 99) < 1.0, "one cannot wait"
    finally:
        consumer.stop()
        await running
