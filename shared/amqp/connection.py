"""The connection to the broker: made by aiormq, made again when it is lost, and cut when it cannot be closed.

Two ways in: `keep_connected` holds one connection open for as long as the process lives and hands each new one to its
user; `connected` is for what is done once, and fails with its connection.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import SystemRandom
from typing import Any, Final

import aiormq
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

from shared.amqp.addresses import split_addresses
from shared.amqp.errors import AccessRefused, ConnectionLost
from shared.log import get_logger
from shared.sentences.reasons import one_line, reason_of

HEARTBEAT_SECONDS: Final = 10
"""Under 5 s gives false alarms; a dead connection is noticed after about three of them."""

CONNECT_TIMEOUT_SECONDS: Final = 4.0
SHORTEST_TRY_SECONDS: Final = 1.5
"""For one of several addresses: the others must have their turn before the time is over."""

CLOSE_TIMEOUT_SECONDS: Final = 1.0
RECONNECT_SECONDS: Final = (0.2, 2.0)
"""First and longest wait between two tries to connect; doubled each time, with jitter."""


async def keep_connected(
    amqp_url: str,
    name: str,
    use: Callable[[aiormq.Connection], Awaitable[None]],
    tries: Callable[[], None] = lambda: None,
) -> None:
    """Hold a connection open; hand each new one to *use*, which raises when it is gone and returns when it is done.

    *tries* is called before each try to connect.

    Ends when *use* returns, or by cancellation, which reaches *use* first; the connection is closed afterwards.
    """
    log = get_logger()
    wait_seconds = RECONNECT_SECONDS[0]
    while True:
        tries()
        try:
            async with connected(amqp_url, name) as connection:
                log.info("broker.connected", connection=name)
                wait_seconds = RECONNECT_SECONDS[0]
                await use(connection)
                return
        except (ConnectionLost, aiormq.exceptions.AMQPError, OSError) as error:
            log.warning("broker.lost", connection=name, reason=str(error) or type(error).__name__)
        await asyncio.sleep(wait_seconds * SystemRandom().uniform(0.5, 1.0))
        wait_seconds = min(wait_seconds * 2, RECONNECT_SECONDS[1])


@asynccontextmanager
async def connected(
    amqp_url: str, name: str, timeout_seconds: float = CONNECT_TIMEOUT_SECONDS
) -> AsyncIterator[aiormq.Connection]:
    """Yield one connection, and close it. Of several addresses the first that answers is taken, in random order.

    Raises:
        ConnectionLost: There is no connection within *timeout_seconds*, which the addresses share; it says why.
    """
    addresses = split_addresses(amqp_url)
    SystemRandom().shuffle(addresses)
    each_seconds = max(timeout_seconds / len(addresses), min(SHORTEST_TRY_SECONDS, timeout_seconds))
    errors: list[ConnectionLost] = []
    async with AsyncExitStack() as stack:
        for address in addresses:
            try:
                connection = await stack.enter_async_context(_connected_to(address, name, each_seconds))
                break
            except ConnectionLost as error:
                errors.append(error)
        else:
            kind = AccessRefused if all(isinstance(error, AccessRefused) for error in errors) else ConnectionLost
            raise kind("; ".join(map(str, errors)))
        yield connection


@asynccontextmanager
async def _connected_to(address: str, name: str, timeout_seconds: float) -> AsyncIterator[aiormq.Connection]:
    url = URL(address)
    url = url.update_query(name=name, heartbeat=url.query.get("heartbeat", str(HEARTBEAT_SECONDS)))
    transport = _KnownTransport(url.scheme)
    connection = aiormq.Connection(url, transport_factory=transport)
    try:
        try:
            await _connect(connection, timeout_seconds)
        except ConnectionLost as error:
            raise type(error)(f"no connection to {url.host}:{connection.url.port}: {error}") from error
        yield connection
    finally:
        await _close(connection, transport)


class _KnownTransport(TransportFactory):
    """aiormq's own transport, remembered, so that a connection that cannot be closed can be cut."""

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


async def _connect(connection: aiormq.Connection, timeout_seconds: float) -> None:
    # In a task of its own: aiormq may swallow the cancellation of a caller that waits for a new connection.
    connecting = asyncio.create_task(connection.connect())
    connecting.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait({connecting}, timeout=timeout_seconds)
    finally:
        connecting.cancel()
    # A peer that accepts and closes makes aiormq raise errors that are not its own (StopAsyncIteration is one).
    error = connecting.exception() if connecting.done() else TimeoutError()
    if error is not None:
        raise _lost(error) from error


def _lost(error: BaseException) -> ConnectionLost:
    match error:
        case aiormq.exceptions.ProbableAuthenticationError():
            return AccessRefused(f"user or password are refused: {one_line(str(error.args[0]))}")
        case aiormq.exceptions.InvalidFrameError() if "Connection.OpenOk" in str(
            error
        ):  # the library keeps no more of it
            return AccessRefused("its vhost is refused: no vhost has that name, or the user has no rights in it")
        case _:
            return ConnectionLost(_reason_of(error))


def _reason_of(error: BaseException) -> str:
    match error:
        case aiormq.exceptions.ConnectionClosed():
            return f"the broker answers: {one_line(str(error.args[-1]))}"
        case aiormq.exceptions.IncompatibleProtocolError() | aiormq.exceptions.ProtocolSyntaxError():
            return "it does not speak AMQP, or wants TLS (amqps://)"
        case aiormq.exceptions.AMQPConnectionError() if isinstance(error.__cause__, OSError | EOFError):
            return reason_of(error.__cause__)
        case _:
            return reason_of(error)


async def _close(connection: aiormq.Connection, transport: _KnownTransport) -> None:
    # Not longer: a peer that does not read would hold the flush, and us, until TCP gives up.
    closing = asyncio.ensure_future(connection.close())
    closing.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT_SECONDS)
    transport.abort()
