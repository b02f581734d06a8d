"""A dead-letter queue browsed without losing anything, by one process at a time.

Messages are taken without an acknowledgement and put back, so no failure of ours loses one: a broken connection puts
them back as well. While a process holds a queue its messages are invisible to others, so each takes a lock in the
ledger first; waiting for it is fair, and bounded.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import msgspec

from dispatcher.ledger.locks import Lock
from dispatcher.ledger.pool import COMMAND_TIMEOUT_SECONDS, Pool
from dispatcher.ops.dead.errors import TakenByAnother
from dispatcher.ops.dead.letters import Kind
from dispatcher.ops.dead.queues.reading import QUEUES
from shared.amqp.channel import AmqpChannel, QueueDepth
from shared.amqp.connection import connected
from shared.amqp.errors import ConnectionLost
from shared.amqp.frames import Message
from shared.amqp.session import broker_session

LOCK_SECONDS: Final = 5.0
"""The longest wait for a queue; another process browses it for under a second, or for two seconds of a replay."""

_LOCK_TIMEOUT_SECONDS: Final = LOCK_SECONDS + COMMAND_TIMEOUT_SECONDS
"""Longer, so that the ledger says that the wait was in vain: a statement cut off before does not say why."""

QUIET_SECONDS: Final = 2.0
"""Nothing more comes though the broker had counted more: a client with other tools has it."""

RETURNED_SECONDS: Final = 2.0

ACKS_AT_ONCE: Final = 20
"""A channel of RabbitMQ passes on some 30 single acknowledgements to a quorum queue; the others wait in the channel
until those are applied, and are forgotten if it closes before. So they are given time, and a worker that removes
messages counts afterwards."""

APPLIED_SECONDS: Final = 0.05
_PER_TURN: Final = 100
_LOCKS: Final[dict[Kind, Lock]] = {
    "callback": Lock.LOOK_AT_DEAD_CALLBACKS,
    "event": Lock.LOOK_AT_DEAD_EVENTS,
    "delivery": Lock.LOOK_AT_DEAD_DELIVERIES,
}


class Chunks(msgspec.Struct, frozen=True):
    """How a queue is gone through: so many messages at a time, 1 to 65,535, and a pause after each chunk."""

    size: int
    pause_seconds: float


ALL_AT_ONCE: Final = Chunks(65_535, 0.0)
BESIDE_TRAFFIC: Final = Chunks(100, 0.01)
"""For a dispatcher, whose deliveries share the event loop."""


class HeldQueue:
    """A queue that no other process of ours browses now."""

    def __init__(self, channel: AmqpChannel, queue: str) -> None:
        self._channel = channel
        self._queue = queue
        self._ready = 0
        self.removed = 0

    async def count(self) -> int:
        """Return how many messages it holds."""
        return (await self._channel.depth(self._queue)).messages

    async def messages(self, chunks: Chunks = ALL_AT_ONCE) -> AsyncIterator[Message]:
        """Yield each message that it holds now, once."""
        self._ready = await self.count()
        seen = 0
        while seen < self._ready:
            # A consumer of its own for each chunk: the broker pushes no more than the prefetch that it began with.
            credit = min(chunks.size, self._ready - seen)
            await self._channel.prefetch(credit)
            tag = await self._channel.consume(self._queue)
            target = seen + credit
            while seen < target:
                try:
                    async with asyncio.timeout(QUIET_SECONDS):
                        await self._channel.wait()
                except TimeoutError:
                    return
                for message in self._channel.take(_PER_TURN):
                    seen += 1
                    yield message
                await asyncio.sleep(0)
            await self._channel.cancel(tag)
            await asyncio.sleep(chunks.pause_seconds)

    async def remove(self, message: Message) -> None:
        """Remove *message* for good."""
        self._channel.ack(message.tag)
        self.removed += 1
        if self.removed % ACKS_AT_ONCE == 0:
            await self.count()

    @property
    def expected(self) -> int:
        """How many it should hold afterwards, if nothing else is put in."""
        return self._ready - self.removed

    async def put_back(self) -> None:
        """Put back what was not removed; return when it is there, or should be."""
        self._channel.put_back()
        deadline = asyncio.get_running_loop().time() + RETURNED_SECONDS
        if self.removed:
            await asyncio.sleep(APPLIED_SECONDS)
        while await self.count() < self.expected and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)


class DeadQueues:
    """The three dead-letter queues."""

    def __init__(self, pool: Pool, amqp_url: str) -> None:
        self._pool = pool
        self._amqp_url = amqp_url

    @asynccontextmanager
    async def hold(self, kind: Kind) -> AsyncIterator[HeldQueue]:
        """Hold the queue of *kind*; afterwards everything is back in it that was not removed.

        Raises:
            TakenByAnother: Another process holds it for longer than `LOCK_SECONDS`.
            ConnectionLost: The broker is away, or the queue does not exist.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = {LOCK_SECONDS * 1_000:.0f}")
            try:
                await connection.execute(
                    "SELECT pg_advisory_xact_lock($1)", _LOCKS[kind], timeout=_LOCK_TIMEOUT_SECONDS
                )
            except asyncpg.LockNotAvailableError:
                raise TakenByAnother(f"another process browses {QUEUES[kind]} at this moment: try again") from None
            async with connected(self._amqp_url, f"faxhook {QUEUES[kind]}") as broker:
                channel = await AmqpChannel.open(broker)
                held = HeldQueue(channel, QUEUES[kind])
                try:
                    yield held
                finally:
                    if channel.is_open:
                        await held.put_back()
                    await channel.close()

    async def depth(self, queue: str) -> QueueDepth:
        """Return how much any queue holds.

        Raises:
            ConnectionLost: The broker is away, or the queue does not exist.
        """
        async with broker_session(self._amqp_url, "faxhook counting") as broker:
            depth = await broker.depth(queue)
        if depth is None:
            raise ConnectionLost(f"the broker has no queue `{queue}`")
        return depth
