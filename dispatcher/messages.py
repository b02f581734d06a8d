"""Messages that the dispatcher publishes: delivery messages and dead letters, each written in one place."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Protocol
from uuid import UUID

import msgspec

from dispatcher.metrics import Metrics
from shared.amqp.publisher import NotKept
from shared.broker import DEAD_DELIVERY, FAX_DEAD
from shared.log import get_logger

PUBLISH_RETRY_SECONDS: Final = 0.5


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
