"""One connection to a host or proxy: writes a request, reads its answer, and knows whether another may follow.

What comes while no answer is awaited was not asked for: the connection is thrown away, and it is no one's answer.
"""

import asyncio
import os
import select
from contextlib import suppress
from typing import Final, cast

from dispatcher.egress.answer_reader import AnswerReader, BadAnswer

PIECE_BYTES: Final = 64 * 1024
"""A larger body is written piece by piece, so that loop and answer get their turn."""

BUFFERED_BYTES: Final = 256 * 1024
"""Of an answer's body that is not taken yet; past it reading pauses."""


class Connection(asyncio.Protocol):
    """A connection, for one exchange at a time.

    Attributes:
        exchanges: How many were begun.
        kept_until: While it is kept: when to throw it away, by the loop's clock.
    """

    def __init__(self) -> None:
        self.exchanges = 0
        self.kept_until = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._is_paused = False
        self._spoke_unasked = False

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand *data* to the answer that is awaited, if one is."""
        if self._reader is None or self._reader.is_complete:
            self._spoke_unasked = True
            self.abort()
            return
        try:
            self._reader.feed(data)
        except BadAnswer as error:
            self._fail(error)
            return
        if self._reader.buffered_bytes > BUFFERED_BYTES and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """The host writes no more: the answer ends here."""
        self._end_answer()
        self._wake()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Whatever waits for the connection fails, unless its end is that of the answer.

        uvloop tells an end of TLS without `close_notify`, as many hosts end it, only by this, and without an error.
        """
        transport, self._transport = self._transport, None
        if error is None:
            self._end_answer()
        elif self._reader is not None and not self._reader.is_complete and self._error is None:
            if transport is not None and transport.get_extra_info("ssl_object") is None:
                self._read_rest(self._reader, transport.get_extra_info("socket").fileno())
            self._error = error
        self._may_write.set()
        self._wake()

    def pause_writing(self) -> None:
        """The buffers on the way are full."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """They have room again."""
        self._may_write.set()

    # ---- the client's side

    @property
    def is_quiet(self) -> bool:
        """Is it open, and has nothing come that was not asked for? What the loop has not read yet counts as well.

        True for TLS beside its first exchange only: a new session's tickets come unasked.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if not self.exchanges and transport.get_extra_info("ssl_object") is not None:
            return True
        waiting = select.poll()
        waiting.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not waiting.poll(0)

    @property
    def transport(self) -> asyncio.Transport:
        """Its transport, for TLS on top of it.

        Raises:
            ConnectionResetError: It is gone.
        """
        if self._transport is None:
            raise ConnectionResetError("the connection is gone")
        return self._transport

    async def exchange(self, head: bytes, body: bytes, *, is_tunnel: bool = False) -> AnswerReader:
        """Write a request; return its answer once its head came. The body is read by `read`.

        Raises:
            BadAnswer: What came is not an HTTP answer.
            OSError: The connection ended, `ConnectionError` in most cases; `ssl.SSLError` among them.
        """
        if not self.is_quiet:
            await asyncio.sleep(0)  # the loop reads what there is: an answer to nothing, or an end
            await asyncio.sleep(0)
            if self._spoke_unasked and not self.exchanges:
                raise BadAnswer("the host answered before it was asked")
            if self._transport is None or self._transport.is_closing() or self.exchanges:
                self.abort()
                raise ConnectionResetError("the connection has ended meanwhile")
        self.exchanges += 1
        self._reader = reader = AnswerReader(is_tunnel=is_tunnel)
        if len(body) <= PIECE_BYTES:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self._writing = asyncio.create_task(self._write(body))
        while not reader.is_headed:
            await self._wait()
        return reader

    async def read(self, reader: AnswerReader) -> bytes:
        """Return the next piece of the answer's body; empty at its end.

        Raises:
            As `exchange`.
        """
        while not reader.buffered_bytes and not reader.is_complete:
            await self._wait()
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return reader.take()

    @property
    def has_answered(self) -> bool:
        """Has a byte of the answer come?"""
        return self._reader is not None and self._reader.has_begun

    @property
    def may_be_kept(self) -> bool:
        """Is the exchange over, and may another follow?"""
        return (
            self._reader is not None
            and self._reader.is_reusable
            and (self._writing is None or self._writing.done())
            and self._transport is not None
            and not self._transport.is_closing()
        )

    def rest(self) -> None:
        """Keep still until the next exchange: from now on nothing may come."""
        self._reader = self._writing = None

    def close(self) -> None:
        """Close it, politely: it was not in use."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Throw it away at once."""
        if self._writing is not None:
            self._writing.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _write(self, body: bytes) -> None:
        view = memoryview(body)
        for start in range(0, len(body), PIECE_BYTES):
            await self._may_write.wait()
            if self._transport is None or self._transport.is_closing():
                return  # reading the answer says why
            self._transport.write(view[start : start + PIECE_BYTES])
            await asyncio.sleep(0)

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _read_rest(self, reader: AnswerReader, descriptor: int) -> None:
        """Read what still waits in the socket.

        A host that answers and ends the connection before it has read all of our request resets it. If writing is what
        notices that, the answer was not read yet.
        """
        with suppress(OSError, BadAnswer):  # BlockingIOError where there is no more
            while not reader.is_complete and reader.buffered_bytes <= BUFFERED_BYTES:
                data = os.read(descriptor, PIECE_BYTES)
                if not data:
                    return
                reader.feed(data)

    def _end_answer(self) -> None:
        if self._reader is not None and not self._reader.is_complete:
            try:
                self._reader.feed_end()
            except (BadAnswer, ConnectionError) as error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self.abort()
        self._wake()
