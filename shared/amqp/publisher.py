"""A publisher that knows what was kept: persistent, mandatory, confirmed.

`publish` returns after the broker's ack of a message that reached a queue, and raises `NotKept` in every other case,
within its timeout. A message that timed out may still be delivered: readers deduplicate.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiormq

from shared.amqp.channel import AmqpChannel
from shared.amqp.connection import connected, keep_connected
from shared.amqp.frames import encode_publish
from shared.errors import FaxhookError
from shared.log import get_logger
from shared.runtime.watchdog import Look

CONFIRM_TIMEOUT_SECONDS: Final = 1.5
"""Providers give up after 2 s (Telnyx); the rest is for reading and answering."""

STALLED_AFTER_SECONDS: Final = 5.0
"""A connection whose oldest message has waited this long for its confirm is given up and made again: heartbeats would
notice a black hole only after half a minute."""

MOST_UNCONFIRMED: Final = 2_000
"""Messages without a confirm; past it `NotKept` at once, because waiting in line only turns overload into timeouts."""

HOLD_SECONDS: Final = 0.002
"""While earlier messages wait for their confirm, new ones are gathered until it comes, for so long at most: one write,
one wake-up for their confirms. At 1,500 callbacks a second: 0.89 of the CPU of an ingress, 1 to 3 ms more at p99."""


class NotKept(FaxhookError):
    """The broker did not confirm that a queue holds the message. The sentence says why."""

    code = "not_kept"


class Publisher:
    """Publishes over one connection of its own, which `run` holds open."""

    def __init__(
        self,
        amqp_url: str,
        name: str,
        *,
        confirm_timeout_seconds: float = CONFIRM_TIMEOUT_SECONDS,
        most_unconfirmed: int = MOST_UNCONFIRMED,
    ) -> None:
        self._amqp_url = amqp_url
        self._name = name
        self._timeout_seconds = confirm_timeout_seconds
        self._most_unconfirmed = most_unconfirmed
        self._channel: AmqpChannel | None = None
        self._connects = 0
        self._last_tag = 0
        self._timer: asyncio.TimerHandle | None = None
        self._held = bytearray()
        self._held_count = 0
        self._hold_timer: asyncio.TimerHandle | None = None
        # In the order of their tags, so that a confirm of many takes them from the front.
        self._unconfirmed: dict[int, tuple[asyncio.Future[None], float]] = {}

    async def run(self) -> None:
        """Hold the connection open until cancelled."""
        await keep_connected(self._amqp_url, self._name, self._use, self._tried)

    def _tried(self) -> None:
        self._connects += 1

    def connecting(self) -> Look:
        """Return for the watchdog whether a connection is wanted, and how often one was tried."""
        return int(self._channel is None), self._connects

    @property
    def is_ready(self) -> bool:
        """True if a publish can succeed: the channel is open and the broker does not block us."""
        return self._channel is not None and self._channel.is_open and not self._channel.is_blocked

    @property
    def unconfirmed(self) -> int:
        """How many sent messages have no confirm yet, those that timed out included."""
        return len(self._unconfirmed)

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Mapping[str, str | int]) -> None:
        """Publish and wait until a queue holds the message.

        Raises:
            NotKept: In every other case, at most after the timeout. The message may exist nevertheless.
        """
        # Refuse at once what would only time out.
        channel = self._channel
        if channel is None or not channel.is_open:
            raise NotKept("no connection to the broker")
        if channel.is_blocked:
            raise NotKept("the broker takes no messages now: it is out of memory or disk")
        if len(self._unconfirmed) >= self._most_unconfirmed:
            self._check_stalled()
            raise NotKept(f"{self._most_unconfirmed} messages wait for the broker's confirm already")
        # The broker counts what it gets on a channel from 1, and confirms by that number; so do we.
        loop = asyncio.get_running_loop()
        tag = self._last_tag + 1
        frames = encode_publish(
            channel.number,
            exchange,
            routing_key,
            body,
            headers,
            str(tag),
            body_limit_bytes=channel.body_limit_bytes,
        )
        # Counted once it can be sent: one number more than the broker's, and each confirm would be another message's.
        self._last_tag = tag
        confirmed: asyncio.Future[None] = loop.create_future()
        self._unconfirmed[tag] = (confirmed, loop.time())
        if len(self._unconfirmed) == 1:
            channel.write(frames)  # no earlier one waits
        else:
            self._hold(frames)
        # One timer for all: a timer for each would cost as much as the frames.
        if self._timer is None:
            self._timer = loop.call_later(self._timeout_seconds, self._give_up_late)
        await confirmed

    def _hold(self, frames: bytes) -> None:
        if not self._held_count:
            self._hold_timer = asyncio.get_running_loop().call_later(HOLD_SECONDS, self._send_held)
        self._held += frames
        self._held_count += 1

    def _send_held(self) -> None:
        held = self._take_held()
        if self._channel is not None:
            self._channel.write(held)

    def _take_held(self) -> bytes:
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None
        held, self._held, self._held_count = bytes(self._held), bytearray(), 0
        return held

    @asynccontextmanager
    async def connected_once(self) -> AsyncIterator[None]:
        """Publish over one connection while the body runs, instead of `run`; it is not made again when it is lost.

        Raises:
            ConnectionLost: There is no connection in time.
        """
        async with connected(self._amqp_url, self._name) as connection, self._channel_on(connection):
            yield

    async def _use(self, connection: aiormq.Connection) -> None:
        async with self._channel_on(connection) as channel:
            await channel.closed

    @asynccontextmanager
    async def _channel_on(self, connection: aiormq.Connection) -> AsyncIterator[AmqpChannel]:
        channel = await AmqpChannel.open(connection, confirms=True)
        channel.on_confirm = self._on_confirm
        channel.on_return = self._on_return
        self._last_tag = 0
        self._channel = channel
        asking = asyncio.create_task(channel.keep_asking())
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())  # `closed` raises it, too
        try:
            yield channel
        finally:
            asking.cancel()
            self._channel = None
            self._take_held()  # their tags are those of this channel
            waiting, self._unconfirmed = self._unconfirmed, {}
            for confirmed, _ in waiting.values():
                _fail(confirmed, "the connection to the broker was lost before the confirm")

    def _on_confirm(self, tag: int, multiple: bool, acked: bool) -> None:
        if multiple:
            for waiting in list(self._unconfirmed):
                if waiting > tag:
                    break
                self._settle(waiting, acked)
        else:
            self._settle(tag, acked)
        if self._held_count == len(self._unconfirmed) > 0:
            self._send_held()

    def _settle(self, tag: int, acked: bool) -> None:
        confirmed, _ = self._unconfirmed.pop(tag, (None, 0.0))
        if confirmed is None or confirmed.done():
            return
        if acked:
            confirmed.set_result(None)
        else:
            _fail(confirmed, "the broker refused the message: its queue is full or without a leader")

    def _on_return(self, correlation_id: str | None) -> None:
        # The return comes before the ack of the same message; the ack then finds its future settled.
        confirmed, _ = self._unconfirmed.get(int(correlation_id or 0), (None, 0.0))
        if confirmed is not None:
            _fail(confirmed, "no queue takes the message: run `faxhook topology`")

    def _give_up_late(self) -> None:
        """Fail what has waited for the whole timeout; come back when the next one has."""
        self._timer = None
        loop = asyncio.get_running_loop()
        late = False
        for confirmed, sent_at in self._unconfirmed.values():
            if confirmed.done():
                continue
            if (left_seconds := sent_at + self._timeout_seconds - loop.time()) > 0:
                self._timer = loop.call_later(left_seconds, self._give_up_late)
                break
            _fail(confirmed, f"no confirm from the broker within {self._timeout_seconds} s")
            late = True
        if late:
            self._check_stalled()

    def _check_stalled(self) -> None:
        """Give the connection up if its oldest message has waited too long for its confirm."""
        oldest_sent = next(iter(self._unconfirmed.values()))[1] if self._unconfirmed else None
        age_seconds = 0.0 if oldest_sent is None else asyncio.get_running_loop().time() - oldest_sent
        if self._channel is not None and age_seconds > STALLED_AFTER_SECONDS:
            get_logger().warning("broker.lost", connection=self._name, reason="no confirms come: connecting again")
            self._channel.abandon("the broker confirms nothing")


def _fail(confirmed: "asyncio.Future[None]", why: str) -> None:
    if not confirmed.done():
        confirmed.set_exception(NotKept(why))
