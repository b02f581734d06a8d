"""Messages that the dispatcher publishes, and publishing for as long as it takes."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, Protocol
from uuid import UUID

import msgspec

from shared.amqp.publisher import NotKept
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


async def publish_until_kept(
    publisher: Publishing, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, str | int]
) -> None:
    """Publish, again and again, until the broker holds the message: what follows must not happen without it."""
    was_delayed = False
    while True:
        try:
            await publisher.publish(exchange, routing_key, body, headers)
            return
        except NotKept as error:
            if not was_delayed:
                get_logger().warning("publish.delayed", exchange=exchange, key=routing_key, reason=str(error))
            was_delayed = True
            await asyncio.sleep(PUBLISH_RETRY_SECONDS)
