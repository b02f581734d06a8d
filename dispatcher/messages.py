"""Messages that the dispatcher publishes: delivery messages and dead letters, each written in one place."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Final, Protocol
from uuid import UUID

import msgspec

from dispatcher.metrics import Metrics
from shared.amqp.publisher import NotKept
from shared.broker import DEAD_DELIVERY, FAX_DEAD
from shared.log import get_logger

PUBLISH_RETRY_SECONDS: Final = 0.5

MOST_AT_ONCE: Final = 10
"""Messages of background work under way: 1 ms of the event loop, and a small part of the confirms."""

PAUSE_SECONDS: Final = 0.02
"""Between those few: what is live gets its turn at the broker's disk, and waits behind a few of them at most, not
behind all that an open circuit puts back."""

WITHIN_SECONDS: Final = 1.0
"""What waits is spread over so long: one message at a time costs what is live least."""

PAUSED_UP_TO: Final = int(MOST_AT_ONCE * WITHIN_SECONDS / PAUSE_SECONDS)
"""Messages that wait; more are published without a pause, as fast as they are confirmed."""

MOST_UNPUBLISHED: Final = 10_000
"""Messages that a `BackgroundPublisher` keeps while the broker does not take them; the sweeper finds the others."""


class Publishing(Protocol):
    """What the dispatcher needs of a publisher."""

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, str | int]) -> None:
        """Return once a queue holds the message; raise `NotKept` otherwise."""


class DeliveryMessage(msgspec.Struct, frozen=True):
    """A message in `work.deliveries`: a reason to look, no more. *attempt* is the one to make, from 1."""

    delivery_id: UUID
    attempt: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class DeadDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message in `dead.deliveries`: what, where, why and when, for people with broker tools."""

    delivery_id: UUID
    attempt: int
    event_id: str
    endpoint_id: UUID
    cause: str
    reason: str
    died_at: datetime


async def publish_delivery(
    publisher: Publishing, exchange: str, routing_key: str, delivery_id: UUID, attempt: int
) -> None:
    """Publish that *attempt* (from 1) of a delivery is to be made; raise what *publisher* raises."""
    body = msgspec.json.encode(DeliveryMessage(delivery_id, attempt))
    await publisher.publish(exchange, routing_key, body, {"attempt": attempt})


async def publish_in_turn(publishing: Iterable[Coroutine[Any, Any, None]]) -> list[NotKept | None]:
    """Run *publishing*, a few at a time: hundreds at once would delay live traffic. Return what was not kept, in order.

    Raises:
        Exception: What is not `NotKept`.
    """
    answers: list[NotKept | None] = []
    left = iter(publishing)
    while batch := tuple(islice(left, MOST_AT_ONCE)):
        for answer in await asyncio.gather(*batch, return_exceptions=True):
            if isinstance(answer, BaseException) and not isinstance(answer, NotKept):
                raise answer
            answers.append(answer)
    return answers


async def publish_dead(publisher: Publishing, metrics: Metrics, dead: DeadDelivery) -> None:
    """Publish a dead letter, count it and log it; raise what *publisher* raises."""
    await publisher.publish(FAX_DEAD, DEAD_DELIVERY, msgspec.json.encode(dead), {"cause": dead.cause})
    metrics.count_dead(dead.cause)
    get_logger().warning(
        "delivery.dead",
        delivery_id=str(dead.delivery_id),
        event_id=dead.event_id,
        endpoint_id=str(dead.endpoint_id),
        attempt=dead.attempt,
        cause=dead.cause,
    )


class PersistentPublisher:
    """Publishes again and again until the broker holds the message: what follows must not happen without it."""

    def __init__(self, publisher: Publishing) -> None:
        self._publisher = publisher

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, str | int]) -> None:
        """Return once a queue holds the message, however long that takes."""
        was_logged = False
        while True:
            try:
                await self._publisher.publish(exchange, routing_key, body, headers)
                return
            except NotKept as error:
                if not was_logged:
                    get_logger().warning("publish.delayed", exchange=exchange, key=routing_key, reason=str(error))
                    was_logged = True
                await asyncio.sleep(PUBLISH_RETRY_SECONDS)


class BackgroundPublisher:
    """Publishes delivery messages in turn, a few at a time: many at once would delay live traffic.

    For deliveries that are due without a message until then. If this process dies, the sweeper finds them.
    """

    def __init__(self, publisher: Publishing) -> None:
        self._publisher = publisher
        self._waiting: deque[tuple[str, str, UUID, int]] = deque()
        self._is_hurried = False
        self._has_work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def hurry(self) -> None:
        """Publish from now on without a pause: the process stops, and there is no live traffic to be delayed."""
        self._is_hurried = True

    def publish(self, exchange: str, routing_key: str, delivery_id: UUID, attempt: int) -> None:
        """Publish soon that *attempt* (from 1) of a delivery is to be made."""
        if len(self._waiting) >= MOST_UNPUBLISHED:
            self._waiting.popleft()
        self._waiting.append((exchange, routing_key, delivery_id, attempt))
        self._idle.clear()
        self._has_work.set()

    async def drained(self) -> None:
        """Wait until everything is published."""
        await self._idle.wait()

    async def run(self) -> None:
        """Publish for ever."""
        was_refused = False
        while True:
            if not self._waiting:
                self._idle.set()
                self._has_work.clear()
                await self._has_work.wait()
            # Each of a queue without a leader takes a while to be refused: one by one they would hold up all others.
            size = per_pause(len(self._waiting), is_hurried=self._is_hurried or was_refused)
            batch = [self._waiting.popleft() for _ in range(size)]
            answers = await publish_in_turn(publish_delivery(self._publisher, *each) for each in batch)
            # What was not kept goes to the end: a queue without a leader must not hold up those of other queues.
            refused = [(each, answer) for each, answer in zip(batch, answers, strict=True) if answer is not None]
            self._waiting.extend(each for each, _ in refused)
            for (exchange, routing_key, *_), answer in refused[:1]:
                if not was_refused:
                    get_logger().warning("publish.delayed", exchange=exchange, key=routing_key, reason=str(answer))
                await asyncio.sleep(PUBLISH_RETRY_SECONDS)
            was_refused = bool(refused)
            if 0 < len(self._waiting) <= PAUSED_UP_TO and not self._is_hurried:
                await asyncio.sleep(PAUSE_SECONDS)


def per_pause(waiting: int, *, is_hurried: bool = False) -> int:
    """Return how many of *waiting* messages to publish before the next pause.

    >>> [per_pause(waiting) for waiting in (1, 99, 100, 9_000)], per_pause(3, is_hurried=True)
    ([1, 1, 2, 10], 3)
    """
    most = MOST_AT_ONCE if is_hurried else max(1, int(waiting * PAUSE_SECONDS / WITHIN_SECONDS))
    return min(waiting, MOST_AT_ONCE, most)
