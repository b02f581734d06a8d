"""Consumes one queue in batches: acked when they are handled, left to other dispatchers while we are cut off."""

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from random import SystemRandom
from typing import Any, Final, Protocol

import aiormq

from dispatcher.ledger.health import CutOff, LedgerHealth
from dispatcher.policy.linger import Linger
from shared.amqp.channel import AmqpChannel
from shared.amqp.connection import keep_connected
from shared.amqp.frames import Message
from shared.log import get_logger
from shared.runtime.watchdog import Look

SILENCE_SECONDS: Final = 60.0
"""A consumer that was pushed nothing for so long registers again, over another channel.

A quorum queue that is deleted and declared again within about 0.1 s keeps its consumers without telling them, and
pushes them messages that never arrive, however many there are (RabbitMQ 3.10): neither side notices. It gives those
messages to others as soon as the old channel is closed.
"""


GATHER_SECONDS: Final = 0.2
"""For messages that can wait, see `Consumer`."""

GATHERED: Final = 50
"""Messages that are enough for a batch: a larger one saves little."""


class Capacity(Protocol):
    """How much this process may still hold."""

    @property
    def has_capacity(self) -> bool:
        """May it hold more?"""

    async def capacity(self) -> None:
        """Wait until it may hold more."""


class Handler(Protocol):
    """What is done with a batch; returns when every message of it may be acked."""

    @property
    def tries(self) -> int:
        """Counts up whenever something is tried."""

    async def __call__(self, batch: Sequence[Message]) -> None:
        """Do it; nothing of the batch is acked if it raises. All but `CutOff` ends the process."""


def never(_message: Message) -> bool:
    """Say of every message that it cannot wait."""
    return False


class Consumer:
    """Consumes one queue in batches over a connection of its own.

    *can_wait* says of a message that it may be taken a little later: while there are only such, they are gathered.
    """

    def __init__(
        self,
        amqp_url: str,
        queue: str,
        handler: Handler,
        health: LedgerHealth,
        capacity: Capacity,
        *,
        prefetch: int,
        batch: int,
        can_wait: Callable[[Message], bool] = never,
    ) -> None:
        self._can_wait = can_wait
        self._amqp_url = amqp_url
        self.queue = queue
        self._handler = handler
        self._health = health
        self._capacity = capacity
        self._prefetch = prefetch
        self._batch = batch
        self._linger = Linger()
        self._stopping = asyncio.Event()
        self._channel: AmqpChannel | None = None
        self._in_hand = 0
        self._handled = 0
        self._wants_connection = False
        self._connects = 0
        self._idle_since: float | None = None

    @property
    def is_consuming(self) -> bool:
        """Does the broker push us messages?"""
        return self._channel is not None and self._channel.is_open

    def unhandled(self) -> Look:
        """Return for the watchdog what was pushed and is not acked, and what was done.

        Nothing while there is no capacity: what uses it up is watched as held deliveries.
        """
        received = len(self._channel.received) if self._channel is not None and self._capacity.has_capacity else 0
        return self._in_hand + received, (self._handled, self._handler.tries)

    def connecting(self) -> Look:
        """Return for the watchdog if a connection is wanted, and how often it was tried."""
        return int(self._wants_connection and not self.is_consuming), self._connects

    @property
    def idle_seconds(self) -> float:
        """For how long there has been capacity here and no message there; 0 while there is work, or no connection."""
        return 0.0 if self._idle_since is None else time.monotonic() - self._idle_since

    async def run(self, ready: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Consume until `stop`, once *ready* returns, connecting again as often as needed.

        What is pushed before the handler can work would be kept from other dispatchers.
        """
        if not await self._unless_stopping(ready()):
            return
        while await self._unless_stopping(self._health.answering()):
            self._wants_connection = True
            try:
                await keep_connected(self._amqp_url, f"dispatcher {self.queue}", self._use, self._tried)
            except CutOff as error:
                get_logger().warning("consumer.paused", queue=self.queue, reason=error.code)
            finally:
                self._wants_connection = False

    def stop(self) -> None:
        """End `run` after the batch in hand; what was pushed and not begun goes back to the queue."""
        self._stopping.set()

    def _tried(self) -> None:
        self._connects += 1

    async def _use(self, connection: aiormq.Connection) -> None:
        numbers = itertools.cycle((1, 2))
        try:
            while True:
                channel = await AmqpChannel.open(connection, number=next(numbers), prefetch=self._prefetch)
                await channel.consume(self.queue)
                # The old channel is left only when the new one consumes: the queue always has a consumer of ours.
                before, self._channel = self._channel, channel
                if before is not None:
                    await before.leave()
                if not await self._consume(channel):
                    break
        finally:
            self._channel = None
        await channel.close()

    async def _consume(self, channel: AmqpChannel) -> bool:
        """Handle what is pushed; True once another channel should be tried, False if we are to stop."""
        asking = asyncio.create_task(channel.keep_asking())
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())  # the channel knows it, too
        try:
            while await self._unless_stopping(self._next(channel)):
                if not channel.received:
                    return True
                if all(map(self._can_wait, channel.received)):
                    await self._gathered(channel)
                if wait_seconds := self._linger.wait_seconds(len(channel.received), time.monotonic()):
                    await asyncio.sleep(wait_seconds)
                batch = channel.take(self._batch)
                self._linger.took(len(batch), time.monotonic())
                await self._handle(channel, batch)
            return False
        finally:
            asking.cancel()

    async def _gathered(self, channel: AmqpChannel) -> None:
        """Wait, not for long, while there are only messages that can wait, and few of them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_SECONDS):
                while len(channel.received) < GATHERED and all(map(self._can_wait, channel.received)):
                    channel.received_some.clear()
                    await channel.received_some.wait()

    async def _handle(self, channel: AmqpChannel, batch: list[Message]) -> None:
        self._in_hand = len(batch)
        try:
            for group in groups(batch):
                await self._handler(group)
                # One acknowledgement for all, unless suspects were handled apart: theirs may still kill us.
                if len(group) == len(batch):
                    channel.ack(batch[-1].tag, multiple=True)
                else:
                    for message in group:
                        channel.ack(message.tag)
                self._in_hand -= len(group)
                self._handled += 1
        finally:
            self._in_hand = 0

    async def _unless_stopping(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do *work*; False if we are to stop, as soon as that is known."""
        stopping, working = asyncio.ensure_future(self._stopping.wait()), asyncio.ensure_future(work)
        try:
            await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                return False
            await working
            return True
        finally:
            stopping.cancel()
            working.cancel()

    async def _next(self, channel: AmqpChannel) -> None:
        """Wait for capacity and for a message, or until it has been silent for too long.

        Raises:
            CutOff: The ledger is away.
            ConnectionLost: The channel is gone, and with it what came over it.
        """
        if channel.received and self._capacity.has_capacity and channel.is_open:
            return
        cut_off = asyncio.ensure_future(self._health.cut_off())
        waiting = asyncio.ensure_future(self._capacity_and_message(channel))
        try:
            await asyncio.wait({cut_off, waiting, channel.closed}, return_when=asyncio.FIRST_COMPLETED)
            if channel.closed.done():
                channel.closed.result()
            if not waiting.done():
                raise CutOff("the ledger is away")
        finally:
            cut_off.cancel()
            waiting.cancel()

    async def _capacity_and_message(self, channel: AmqpChannel) -> None:
        await self._capacity.capacity()
        self._idle_since = time.monotonic()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENCE_SECONDS):
                    await channel.wait()
        finally:
            self._idle_since = None


SUSPECT_FROM: Final = 3
"""Deliveries of one message without an ack. A restart or two happen to every message."""


def groups(batch: Sequence[Message]) -> list[list[Message]]:
    """Return *batch* in the parts to be handled one after the other.

    A message that kills the process takes with it, each time, all that was pushed along with it, and the broker gives
    up on all of them after the same number of times. So what has come often comes last and alone, in a random order:
    one after the other, the messages that are not to blame get through.
    """
    suspects = [[each] for each in batch if _is_suspect(each)]
    if not suspects:
        return [list(batch)]
    SystemRandom().shuffle(suspects)
    others = [each for each in batch if not _is_suspect(each)]
    return [others, *suspects] if others else suspects


def _is_suspect(message: Message) -> bool:
    count = message.headers.get("x-delivery-count", 0)
    return isinstance(count, int) and count >= SUSPECT_FROM
