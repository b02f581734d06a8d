"""AMQP for the hot path: a channel of our own on aiormq's connection.

aiormq does what is done once: handshake, TLS, log-in, heartbeats, closing. What is done for every message is here,
because a task, a queue and a lock for each frame cost four times the work itself: outgoing frames are gathered in one
buffer and written together, confirms and messages are handled where they arrive.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import aiormq
import msgspec
from aiormq.abc import ChannelFrame
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from shared.amqp.connection import CLOSE_TIMEOUT_SECONDS
from shared.amqp.errors import ConnectionLost
from shared.amqp.frames import ContentAssembler, Message

RPC_TIMEOUT_SECONDS: Final = 10.0

ALIVE_EVERY_SECONDS: Final = 2.0
ALIVE_TIMEOUT_SECONDS: Final = 4.0
"""A broker that leaves a question unanswered for so long is gone; its heartbeats would tell after half a minute."""

_FRAME_OVERHEAD_BYTES: Final = 8


class ChannelClosed(ConnectionLost):
    """The broker closed the channel and says why: `reply_code` (404: not found, 406: other arguments), `reply_text`."""

    def __init__(self, reply_code: int, reply_text: str) -> None:
        super().__init__(f"the broker closed the channel: {reply_code} {reply_text}")
        self.reply_code = reply_code
        self.reply_text = reply_text


class QueueDepth(msgspec.Struct, frozen=True):
    """What AMQP says of a queue: messages that are ready, and consumers."""

    messages: int
    consumers: int

    @classmethod
    def of(cls, reply: commands.Queue.DeclareOk) -> "QueueDepth":
        """Return the depth that the reply to a (passive) declaration states."""
        return cls(int(reply.message_count or 0), int(reply.consumer_count or 0))


class AmqpChannel:
    """One AMQP channel.

    Attributes:
        on_confirm: Called with (tag, multiple, acked) for each confirm of the broker.
        on_return: Called with the correlation id of a message that no queue took.
        received: What was pushed and not yet taken, oldest first.
        closed: Done, with `ConnectionLost`, once the channel or its connection is gone.
    """

    def __init__(self, connection: aiormq.Connection, number: int = 1) -> None:
        self._connection = connection
        self._out = bytearray()
        self._out_ready = asyncio.Event()
        self._reply: asyncio.Future[Any] | None = None
        self.received: deque[Message] = deque()
        self.received_some = asyncio.Event()
        self.on_confirm: Callable[[int, bool, bool], None] = lambda _tag, _multiple, _acked: None
        self.on_return: Callable[[str | None], None] = lambda _correlation_id: None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._prefetch = 0
        # Of the library's own; to ask it by `ready()`, as where there is no such event, takes two coroutines.
        self._unblocked: asyncio.Event | None = getattr(connection, "_Connection__connection_unblocked", None)
        self.number = number
        self.body_limit_bytes = connection.connection_tune.frame_max - _FRAME_OVERHEAD_BYTES
        content = ContentAssembler(self._on_content)
        self._handlers: dict[type, Callable[[Any], None]] = {
            commands.Basic.Ack: self._on_ack,
            commands.Basic.Nack: self._on_nack,
            commands.Basic.Deliver: content.on_method,
            commands.Basic.Return: content.on_method,
            ContentHeader: content.on_header,
            ContentBody: content.on_body,
            commands.Basic.Cancel: self._on_broker_cancel,
            commands.Channel.Close: self._on_close,
        }
        # aiormq's reader hands every frame of this number to `.frames.put`.
        self.frames = self
        connection.channels[self.number] = self  # type: ignore[assignment]  # aiormq's dict wants its own class
        connection.closing.add_done_callback(self._connection_closed)
        self._writer = asyncio.create_task(self._write_out())

    @classmethod
    async def open(
        cls, connection: aiormq.Connection, *, number: int = 1, confirms: bool = False, prefetch: int = 0
    ) -> "AmqpChannel":
        """Open the connection's channel *number*, with publisher confirms and a prefetch if given."""
        channel = cls(connection, number)
        await channel.call(commands.Channel.Open())
        if confirms:
            await channel.call(commands.Confirm.Select())
        channel._prefetch = prefetch
        if prefetch:
            await channel.call(commands.Basic.Qos(prefetch_count=prefetch))
        return channel

    @property
    def is_open(self) -> bool:
        """False once the channel or its connection is known to be gone."""
        return not self.closed.done()

    @property
    def is_blocked(self) -> bool:
        """True while the broker says that it takes no messages (memory or disk alarm)."""
        if self._unblocked is not None:
            return not (self._unblocked.is_set() and self._connection.connected.is_set())
        # `ready()` awaits two events; if both are set it ends without ever giving up control.
        probe = self._connection.ready()
        try:
            probe.send(None)
        except StopIteration:
            return False
        probe.close()
        return True

    async def call(self, request: Any, timeout_seconds: float = RPC_TIMEOUT_SECONDS) -> Any:
        """Send a method and return the broker's reply to it.

        Raises:
            ConnectionLost: The channel closed instead, or nothing came in time.
        """
        self._reply = asyncio.get_running_loop().create_future()
        self.write(frame.marshal(request, self.number))
        try:
            async with asyncio.timeout(timeout_seconds):
                await asyncio.wait({self._reply, self.closed}, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            self.abandon(f"no answer to {request.name} within {timeout_seconds:.0f} s")
        if self._reply.done():
            return self._reply.result()
        self._reply.cancel()
        self.closed.result()
        raise ConnectionLost(f"the channel closed before it answered {request.name}")

    async def consume(self, queue: str) -> str:
        """Have the broker push the queue's messages to `received`; return the consumer tag."""
        reply = await self.call(commands.Basic.Consume(queue=queue))
        return str(reply.consumer_tag)

    async def keep_asking(self) -> None:
        """Ask the broker again and again for an answer, with a method that changes nothing.

        A broker that blocks us reads nothing, and says so beforehand; it is not asked then.

        Raises:
            ConnectionLost: It did not answer in time.
        """
        while True:
            await asyncio.sleep(ALIVE_EVERY_SECONDS)
            if not self.is_blocked:
                await self.call(commands.Basic.Qos(prefetch_count=self._prefetch), ALIVE_TIMEOUT_SECONDS)

    async def cancel(self, consumer_tag: str) -> None:
        """Stop the consumer. What was pushed before stays in `received`."""
        await self.call(commands.Basic.Cancel(consumer_tag=consumer_tag))

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Acknowledge the message *tag*, or everything up to it."""
        self.write(frame.marshal(commands.Basic.Ack(delivery_tag=tag, multiple=multiple), self.number))

    def put_back(self) -> None:
        """Return everything that was pushed and not acknowledged to its queue."""
        self.write(frame.marshal(commands.Basic.Nack(delivery_tag=0, multiple=True, requeue=True), self.number))

    async def depth(self, queue: str) -> QueueDepth:
        """Return how much a queue holds; the channel is closed if the queue does not exist."""
        return QueueDepth.of(await self.call(commands.Queue.Declare(queue=queue, passive=True)))

    async def prefetch(self, count: int) -> None:
        """Set how many messages, 1 to 65,535, a consumer that begins after this may have unacknowledged."""
        await self.call(commands.Basic.Qos(prefetch_count=count))

    async def wait(self) -> None:
        """Wait until a message is received.

        Raises:
            ConnectionLost: The channel is gone; tags of earlier messages are void.
        """
        while not self.received:
            if self.closed.done():
                self.closed.result()
            self.received_some.clear()
            await self.received_some.wait()

    def take(self, most: int) -> list[Message]:
        """Return at most *most* of the messages received, oldest first."""
        return [self.received.popleft() for _ in range(min(most, len(self.received)))]

    def write(self, payload: bytes) -> None:
        """Send bytes with the next write; what is written in one turn of the loop goes out together."""
        self._out += payload
        self._out_ready.set()

    def abandon(self, why: str | ConnectionLost) -> None:
        """Treat the channel as gone: everything that waits for it raises `ConnectionLost` with this sentence."""
        self._writer.cancel()
        if not self.closed.done():
            self.closed.set_exception(ConnectionLost(why) if isinstance(why, str) else why)
            self.closed.exception()  # no one needs to wait for it
        self.received_some.set()

    async def leave(self) -> None:
        """Close this channel, not its connection; what it was pushed and did not acknowledge goes back to its queue."""
        request = commands.Channel.Close(reply_code=200, reply_text="left", class_id=0, method_id=0)
        self.write(frame.marshal(request, self.number))
        await self.close()
        self._connection.closing.remove_done_callback(self._connection_closed)
        self.abandon("it was left")

    async def close(self) -> None:
        """Let what was written go out; `keep_connected` closes the connection afterwards."""
        deadline = asyncio.get_running_loop().time() + CLOSE_TIMEOUT_SECONDS
        while self._out and self.is_open and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0)
        self._writer.cancel()

    async def _write_out(self) -> None:
        while True:
            await self._out_ready.wait()
            self._out_ready.clear()
            payload, self._out = bytes(self._out), bytearray()
            await self._connection.write_queue.put(ChannelFrame(payload=payload, should_close=False))

    async def put(self, weight_and_frame: tuple[int, Any]) -> None:
        """Take a frame from aiormq's reader. Named and shaped as the queue that the reader expects."""
        received = weight_and_frame[1]
        handler = self._handlers.get(type(received))
        if handler is not None:
            handler(received)
        elif self._reply is not None and not self._reply.done():
            self._reply.set_result(received)

    def _on_ack(self, received: Any) -> None:
        self.on_confirm(received.delivery_tag, received.multiple, True)

    def _on_nack(self, received: Any) -> None:
        self.on_confirm(received.delivery_tag, received.multiple, False)

    def _on_content(self, method: Any, header: ContentHeader, body: bytes) -> None:
        if isinstance(method, commands.Basic.Return):
            self.on_return(header.properties.correlation_id)
            return
        self.received.append(
            Message(
                tag=method.delivery_tag,
                body=body,
                headers=dict(header.properties.headers or {}),
                routing_key=method.routing_key,
                redelivered=method.redelivered,
            )
        )
        self.received_some.set()

    def _on_broker_cancel(self, _received: Any) -> None:
        self.abandon("the broker cancelled the consumer: its queue was deleted or its leader is gone")

    def _on_close(self, received: Any) -> None:
        self.write(frame.marshal(commands.Channel.CloseOk(), self.number))
        self.abandon(ChannelClosed(received.reply_code, received.reply_text))

    def _connection_closed(self, closing: "asyncio.Future[Any]") -> None:
        error = None if closing.cancelled() else closing.exception()
        self.abandon(f"the connection is gone: {error or 'closed'}")
