"""AMQP for the hot path: a channel of our own on aiormq's connection.

aiormq does what is done once: handshake, TLS, log-in, heartbeats, closing. What is done for every message is here,
because a task, a queue and a lock for each frame cost four times the work itself: outgoing frames are gathered in one
buffer and written together, confirms and deliveries are handled where they arrive.

Two ways in: `keep_connected` holds one connection open, for ever, and hands each new one to its user; `connected` is
for what is done once, and fails with its connection.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import aiormq
import msgspec
from aiormq.abc import ChannelFrame
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader
from yarl import URL

from shared.errors import FaxhookError
from shared.log import get_logger

HEARTBEAT_SECONDS: Final = 10
"""Under 5 s gives false alarms; a dead connection is noticed after about three of them."""

CONNECT_TIMEOUT_SECONDS: Final = 4.0
RPC_TIMEOUT_SECONDS: Final = 10.0

ALIVE_EVERY_SECONDS: Final = 2.0
ALIVE_TIMEOUT_SECONDS: Final = 4.0
"""A broker that leaves a question unanswered for so long is gone; its heartbeats would tell after half a minute."""

CLOSE_TIMEOUT_SECONDS: Final = 1.0
RECONNECT_SECONDS: Final = (0.2, 2.0)
"""First and longest wait between two tries to connect; doubled each time, with jitter."""

_FRAME_OVERHEAD_BYTES: Final = 8


class ConnectionLost(FaxhookError):
    """The connection or channel to the broker is gone; what was unconfirmed counts as not kept."""

    code = "broker_lost"


class Message(msgspec.Struct, frozen=True):
    """A message that the broker pushed. `tag` is valid on its own channel only."""

    tag: int
    body: bytes
    headers: dict[str, Any]
    routing_key: str
    redelivered: bool


class AmqpChannel:
    """One AMQP channel.

    `on_confirm(tag, multiple, acked)` is called for the broker's confirms, `on_return(correlation_id)` for a message
    that no queue took; `received` holds what was pushed and not yet taken.
    """

    def __init__(self, connection: aiormq.Connection, number: int = 1) -> None:
        self._connection = connection
        self._out = bytearray()
        self._out_ready = asyncio.Event()
        self._reply: asyncio.Future[Any] | None = None
        self._content: tuple[Any, ContentHeader, list[bytes]] | None = None
        self._method: Any = None
        self.received: deque[Message] = deque()
        self.received_some = asyncio.Event()
        self.on_confirm: Callable[[int, bool, bool], None] = lambda _tag, _multiple, _acked: None
        self.on_return: Callable[[str | None], None] = lambda _correlation_id: None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._prefetch = 0
        self.number = number
        self.body_limit_bytes = connection.connection_tune.frame_max - _FRAME_OVERHEAD_BYTES
        # aiormq's reader hands every frame of this number to `.frames.put`.
        self.frames = self
        connection.channels[self.number] = self  # type: ignore[assignment]  # aiormq's dict wants its own class
        connection.closing.add_done_callback(self._connection_closed)
        self._writer = asyncio.create_task(self._write_out())

    @classmethod
    async def open(
        cls, connection: aiormq.Connection, *, number: int = 1, confirms: bool = False, prefetch: int = 0
    ) -> "AmqpChannel":
        """Open the connection's channel *number*, with publisher confirms and prefetch as asked for."""
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
        """False from the moment that the channel or its connection is known to be gone."""
        return not self.closed.done()

    @property
    def is_blocked(self) -> bool:
        """True while the broker has told us that it takes no messages (memory or disk alarm)."""
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
            self._close(f"no answer to {request.name} within {timeout_seconds:.0f} s")
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
        """Ask the broker for ever if it is there, by what changes nothing.

        While the broker blocks us it reads nothing, and says so beforehand; nothing is asked then.

        Raises:
            ConnectionLost: It is not.
        """
        while True:
            await asyncio.sleep(ALIVE_EVERY_SECONDS)
            if not self.is_blocked:
                await self.call(commands.Basic.Qos(prefetch_count=self._prefetch), ALIVE_TIMEOUT_SECONDS)

    async def cancel(self, consumer_tag: str) -> None:
        """Stop the pushing. What was pushed before stays in `received`."""
        await self.call(commands.Basic.Cancel(consumer_tag=consumer_tag))

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Acknowledge the message *tag*, or everything up to it."""
        self.write(frame.marshal(commands.Basic.Ack(delivery_tag=tag, multiple=multiple), self.number))

    def put_back(self) -> None:
        """Return everything that was pushed and not acknowledged to its queue."""
        self.write(frame.marshal(commands.Basic.Nack(delivery_tag=0, multiple=True, requeue=True), self.number))

    async def ready_in(self, queue: str) -> tuple[int, int]:
        """Return how many messages of the queue are ready, and how many consumers it has."""
        reply = await self.call(commands.Queue.Declare(queue=queue, passive=True))
        return int(reply.message_count), int(reply.consumer_count)

    async def prefetch(self, count: int) -> None:
        """Let consumers that begin from now on have so many messages unacknowledged, 1 to 65,535."""
        await self.call(commands.Basic.Qos(prefetch_count=count))

    async def wait(self) -> None:
        """Wait until a message is there.

        Raises:
            ConnectionLost: The channel is gone; tags of earlier messages are void.
        """
        while not self.received:
            if self.closed.done():
                self.closed.result()
            self.received_some.clear()
            await self.received_some.wait()

    def take(self, most: int) -> list[Message]:
        """Return what is there, oldest first, at most *most*."""
        return [self.received.popleft() for _ in range(min(most, len(self.received)))]

    def write(self, payload: bytes) -> None:
        """Send bytes with the next write; everything written in one turn of the loop goes out together."""
        self._out += payload
        self._out_ready.set()

    def abandon(self, why: str) -> None:
        """Treat the channel as gone though nobody told us so."""
        self._close(why)

    async def leave(self) -> None:
        """Close this channel, not its connection; what it was pushed and did not acknowledge goes back to its queue."""
        request = commands.Channel.Close(reply_code=200, reply_text="left", class_id=0, method_id=0)
        self.write(frame.marshal(request, self.number))
        await self.close()
        self._connection.closing.remove_done_callback(self._connection_closed)
        self._close("it was left")

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
        handler = _HANDLERS.get(type(received))
        if handler is not None:
            handler(self, received)
        elif self._reply is not None and not self._reply.done():
            self._reply.set_result(received)

    def _on_ack(self, received: Any) -> None:
        self.on_confirm(received.delivery_tag, received.multiple, True)

    def _on_nack(self, received: Any) -> None:
        self.on_confirm(received.delivery_tag, received.multiple, False)

    def _on_content_method(self, received: Any) -> None:
        self._method = received

    def _on_header(self, received: ContentHeader) -> None:
        self._content = (self._method, received, [])
        if not received.body_size:
            self._content_complete()

    def _on_body(self, received: ContentBody) -> None:
        assert self._content is not None, "a body frame follows its header"
        _, header, chunks = self._content
        chunks.append(received.value)
        if sum(map(len, chunks)) >= header.body_size:
            self._content_complete()

    def _content_complete(self) -> None:
        assert self._content is not None
        method, header, chunks = self._content
        self._content = None
        if isinstance(method, commands.Basic.Return):
            self.on_return(header.properties.correlation_id)
            return
        self.received.append(
            Message(
                tag=method.delivery_tag,
                body=chunks[0] if len(chunks) == 1 else b"".join(chunks),
                headers=dict(header.properties.headers or {}),
                routing_key=method.routing_key,
                redelivered=method.redelivered,
            )
        )
        self.received_some.set()

    def _on_broker_cancel(self, _received: Any) -> None:
        self._close("the broker cancelled the consumer: its queue was deleted or its leader is gone")

    def _on_close(self, received: Any) -> None:
        self.write(frame.marshal(commands.Channel.CloseOk(), self.number))
        self._close(f"the broker closed the channel: {received.reply_code} {received.reply_text}")

    def _connection_closed(self, closing: "asyncio.Future[Any]") -> None:
        error = None if closing.cancelled() else closing.exception()
        self._close(f"the connection is gone: {error or 'closed'}")

    def _close(self, why: str) -> None:
        self._writer.cancel()
        if not self.closed.done():
            self.closed.set_exception(ConnectionLost(why))
            self.closed.exception()  # somebody need not wait for it
        self.received_some.set()


_HANDLERS: Final[dict[type, Callable[[AmqpChannel, Any], None]]] = {
    commands.Basic.Ack: AmqpChannel._on_ack,  # noqa: SLF001 - the table belongs to the class
    commands.Basic.Nack: AmqpChannel._on_nack,  # noqa: SLF001 - the class's own table
    commands.Basic.Deliver: AmqpChannel._on_content_method,  # noqa: SLF001 - the class's own table
    commands.Basic.Return: AmqpChannel._on_content_method,  # noqa: SLF001 - the class's own table
    ContentHeader: AmqpChannel._on_header,  # noqa: SLF001 - the class's own table
    ContentBody: AmqpChannel._on_body,  # noqa: SLF001 - the class's own table
    commands.Basic.Cancel: AmqpChannel._on_broker_cancel,  # noqa: SLF001 - the class's own table
    commands.Channel.Close: AmqpChannel._on_close,  # noqa: SLF001 - the class's own table
}


async def keep_connected(
    amqp_url: str,
    name: str,
    use: Callable[[aiormq.Connection], Awaitable[None]],
    tries: Callable[[], None] = lambda: None,
) -> None:
    """Hold a connection open; hand each new one to *use*, which raises when it is gone and returns when it is done.

    *tries* is called before each try to connect.

    Ends when *use* returns, or by cancellation, which *use* gets to see first; the connection is closed after it.
    """
    url = _named(amqp_url, name)
    log = get_logger()
    wait_seconds = RECONNECT_SECONDS[0]
    while True:
        tries()
        transport = _KnownTransport(url.scheme)
        connection = aiormq.Connection(url, transport_factory=transport)
        try:
            await _connect(connection)
            log.info("broker.connected", connection=name)
            wait_seconds = RECONNECT_SECONDS[0]
            await use(connection)
            return
        except (ConnectionLost, aiormq.exceptions.AMQPError, OSError) as error:
            log.warning("broker.lost", connection=name, reason=str(error) or type(error).__name__)
        finally:
            await _close(connection, transport)
        await asyncio.sleep(wait_seconds * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        wait_seconds = min(wait_seconds * 2, RECONNECT_SECONDS[1])


@asynccontextmanager
async def connected(amqp_url: str, name: str) -> AsyncIterator[aiormq.Connection]:
    """Yield one connection, and close it.

    Raises:
        ConnectionLost: It cannot be had.
    """
    url = _named(amqp_url, name)
    transport = _KnownTransport(url.scheme)
    connection = aiormq.Connection(url, transport_factory=transport)
    try:
        await _connect(connection)
        yield connection
    finally:
        await _close(connection, transport)


def _named(amqp_url: str, name: str) -> URL:
    url = URL(amqp_url)
    return url.update_query(name=name, heartbeat=url.query.get("heartbeat", str(HEARTBEAT_SECONDS)))


class _KnownTransport(TransportFactory):
    """Makes aiormq's own transport and remembers it, so that a connection can be cut that cannot be closed."""

    def __init__(self, scheme: str) -> None:
        self._maker = TLSTransportFactory() if scheme == "amqps" else TCPTransportFactory()
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect."""
        reader, self._writer = await self._maker.create(url, **options)
        return reader, self._writer

    def abort(self) -> None:
        """Cut the connection: what was not sent is lost."""
        if self._writer is not None:
            self._writer.transport.abort()


async def _connect(connection: aiormq.Connection) -> None:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            await connection.connect()
    except Exception as error:
        # A peer that accepts and closes makes aiormq raise what is none of its own errors (StopAsyncIteration among
        # them); whatever it is, there is no connection.
        raise ConnectionLost(f"no connection: {type(error).__name__}") from error


async def _close(connection: aiormq.Connection, transport: _KnownTransport) -> None:
    # Never waited for longer than this: a peer that does not read would hold the flush, and us, until TCP gives up.
    closing = asyncio.ensure_future(connection.close())
    closing.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT_SECONDS)
    transport.abort()
