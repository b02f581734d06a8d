"""Questions and declarations: one connection, and a channel that is replaced whenever the broker closes it.

The broker answers a question about a queue that does not exist by closing the channel. For messages, see `publisher`
and the consumers.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiormq
from pamqp import commands

from shared.amqp.channel import RPC_TIMEOUT_SECONDS, AmqpChannel, ChannelClosed, QueueDepth
from shared.amqp.connection import CONNECT_TIMEOUT_SECONDS, connected

NOT_FOUND: Final = 404
PRECONDITION_FAILED: Final = 406


class BrokerSession:
    """A connection for methods that have a reply; each is given *timeout_seconds*."""

    def __init__(self, connection: aiormq.Connection, timeout_seconds: float) -> None:
        self._connection = connection
        self._timeout_seconds = timeout_seconds
        self._channel: AmqpChannel | None = None
        self._number = 0

    async def call(self, request: Any) -> Any:
        """Send a method; return the broker's reply, or None if what it names does not exist.

        Raises:
            ChannelClosed: The broker refuses the request for another reason; its `reply_code` says which.
            ConnectionLost: The connection is gone, or no reply came in time.
        """
        if self._channel is None or not self._channel.is_open:
            self._number += 1  # the broker may still hold the number of a channel that it closed
            self._channel = await AmqpChannel.open(self._connection, number=self._number)
        try:
            return await self._channel.call(request, self._timeout_seconds)
        except ChannelClosed as error:
            if error.reply_code != NOT_FOUND:
                raise
            return None

    async def depth(self, queue: str) -> QueueDepth | None:
        """Return how much a queue holds; None if it does not exist."""
        reply = await self.call(commands.Queue.Declare(queue=queue, passive=True))
        return None if reply is None else QueueDepth.of(reply)

    async def has_exchange(self, exchange: str) -> bool:
        """Return True if an exchange exists."""
        return await self.call(commands.Exchange.Declare(exchange=exchange, passive=True)) is not None

    async def close(self) -> None:
        """Let what was written go out."""
        if self._channel is not None:
            await self._channel.close()


@asynccontextmanager
async def broker_session(
    amqp_url: str,
    name: str,
    *,
    connect_seconds: float = CONNECT_TIMEOUT_SECONDS,
    timeout_seconds: float = RPC_TIMEOUT_SECONDS,
) -> AsyncIterator[BrokerSession]:
    """Yield a session on a connection called *name*.

    Raises:
        ConnectionLost: There is no connection within *connect_seconds*.
    """
    async with connected(amqp_url, name, connect_seconds) as connection:
        session = BrokerSession(connection, timeout_seconds)
        try:
            yield session
        finally:
            await session.close()
