"""A publisher to `fax.in` that connects when there is something to publish: most readings find nothing."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from dispatcher.messages import Publishing
from shared.amqp.publisher import Publisher

CONFIRM_SECONDS: Final = 10.0


class _LatePublisher:
    """Connects with the first message, by `OPS_AMQP_URL`: the dispatcher's own user may not write to `fax.in`."""

    def __init__(self, amqp_url: str, stack: AsyncExitStack) -> None:
        self._amqp_url = amqp_url
        self._stack = stack
        self._publisher: Publisher | None = None

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, str | int]) -> None:
        """Publish and wait for the confirm; raise `NotKept` or `ConnectionLost` otherwise."""
        if self._publisher is None:
            publisher = Publisher(self._amqp_url, "faxhook lists", confirm_timeout_seconds=CONFIRM_SECONDS)
            await self._stack.enter_async_context(publisher.connected_once())
            self._publisher = publisher
        await self._publisher.publish(exchange, routing_key, body, headers)


@asynccontextmanager
async def late_publisher(amqp_url: str) -> AsyncIterator[Publishing]:
    """Yield the publisher, for one reading."""
    async with AsyncExitStack() as stack:
        yield _LatePublisher(amqp_url, stack)
