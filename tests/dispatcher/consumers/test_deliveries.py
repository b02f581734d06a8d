"""Delivery messages: what they name is claimed if it may be attempted now; a stale or unreadable one changes nothing."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import aio_pika
from dispatchers import DispatcherHarness, an_event
from stores import count, take_all
from waiting import until

from dispatcher.consumers.deliveries import was_deferred
from shared.amqp.channel import AmqpChannel
from shared.amqp.connection import connected
from shared.backoff import DEFER_WAITS_SECONDS, parse_backoff
from shared.broker import FAX_RETRY, FAX_WORK, WORK_DELIVERIES, WORK_KEY, defer_queue, topology
from shared.ids import uuid7
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


async def test_a_message_about_a_delivery_that_is_settled_or_unknown_is_dropped(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    await harness.publish(an_event(1))
    async with dispatching():
        (told,) = await harness.settled(1)
        for delivery_id, attempt in ((told["id"], 1), (told["id"], 2), (uuid7(), 1)):
            body = json.dumps({"delivery_id": str(delivery_id), "attempt": attempt}).encode()
            await harness.publisher.publish(FAX_WORK, "delivery", body, {})
        await harness.publisher.publish(FAX_WORK, "delivery", b"nonsense", {})
        await until(lambda: count(harness.amqp_url, "dead.deliveries"), "nonsense parked")
    assert len(harness.receiver.received) == 1
    assert await count(harness.amqp_url, WORK_DELIVERIES) == 0


async def test_of_several_messages_of_one_delivery_the_stale_one_does_not_hide_the_one_that_is_due(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    (owed,) = (await harness.take(an_event(1))).deliveries
    await harness.pool.execute("UPDATE deliveries SET state = 'retrying', attempts = 1, lease_until = NULL")
    for attempt in (2, 1):
        body = json.dumps({"delivery_id": str(owed.delivery_id), "attempt": attempt}).encode()
        await harness.publisher.publish(FAX_WORK, "delivery", body, {})
    async with dispatching():
        (told,) = await harness.settled(1)
    assert (told["state"], told["attempts"]) == ("told", 2)


async def test_what_a_removed_endpoint_was_still_owed_becomes_a_dead_letter_when_due(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    endpoint = await harness.endpoint()
    await harness.publish(an_event(1))

    async def slowly_500(_received: object) -> int:
        await asyncio.sleep(0.4)  # so that its attempts do not run out before the removal is known
        return 500

    harness.receiver.answer = slowly_500
    async with dispatching():
        await harness.receiver.got(1)
        await until(lambda: _state_is(harness, "retrying"), "recorded")
        await harness.pool.execute("UPDATE endpoints SET removed_at = now()")

        async def dead() -> bool:
            # Until the removal is known to the dispatcher, this only makes the next attempt early.
            (delivery,) = await harness.deliveries()
            body = json.dumps({"delivery_id": str(delivery["id"]), "attempt": delivery["attempts"] + 1}).encode()
            await harness.publisher.publish(FAX_WORK, "delivery", body, {})
            return await _state_is(harness, "dead")

        await until(dead, "dead")
    (letter, *_) = await take_all(harness.amqp_url, "dead.deliveries")
    assert json.loads(letter.body)["cause"] == "endpoint_removed"
    assert json.loads(letter.body)["endpoint_id"] == str(endpoint.id)


async def _state_is(harness: DispatcherHarness, state: str) -> bool:
    return [each["state"] for each in await harness.deliveries()] == [state]


async def test_a_message_that_comes_out_of_a_defer_queue_is_known_from_one_of_a_retry_or_the_sweeper(
    harness: DispatcherHarness,
) -> None:
    queues = {queue.name: queue for queue in topology(parse_backoff("5m")).queues}
    async with await aio_pika.connect(harness.amqp_url, timeout=10) as connection:
        channel = await connection.channel()
        for name in (defer_queue(DEFER_WAITS_SECONDS[0]), "retry.5m"):
            quick = queues[name].all_arguments() | {"x-message-ttl": 10, "x-expires": 60_000}
            waiting = await channel.declare_queue(f"{name}.quick", durable=True, arguments=quick)
            await waiting.bind(FAX_RETRY, waiting.name)
            await harness.publisher.publish(FAX_RETRY, waiting.name, name.encode(), {})
    await harness.publisher.publish(FAX_WORK, WORK_KEY, b"the sweeper", {})
    async with connected(harness.amqp_url, "test") as raw:
        consuming = await AmqpChannel.open(raw, prefetch=10)
        await consuming.consume(WORK_DELIVERIES)
        await until(lambda: len(consuming.received) == 3, "all came")
        messages = consuming.take(3)
        consuming.ack(messages[-1].tag, multiple=True)
        await consuming.close()
    found = {message.body.decode(): was_deferred(message) for message in messages}
    assert found == {defer_queue(DEFER_WAITS_SECONDS[0]): True, "retry.5m": False, "the sweeper": False}
