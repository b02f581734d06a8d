"""Reading a callback's body, so that no client can fill the memory or hold a connection for ever."""

import asyncio
from typing import Final

from aiohttp import StreamReader, web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http_exceptions import HttpProcessingError

from shared.errors import Malformed, TooLarge, Unavailable
from shared.runtime.allocator import give_back_freed

FIRST_BYTES: Final = 64 * 1024
"""Admitted with the headers, or as much as came with them; the rest as it arrives, so that a body that is only
announced takes no memory."""

READ_TIMEOUT_SECONDS: Final = 10.0
"""For the whole body; past it 503, so that the provider tries again."""


_BROKEN: Final = "the framing of the request's body is broken"

SMALL_PIECES: Final = 1.25
"""A body in many pieces takes up to a quarter more than its bytes: a slow client sends pieces of a few kilobytes."""

JOINED_BYTES: Final = 16 * 1024 * 1024
"""After so many bytes were joined, the pieces that they came in are given back; it takes up to 10 ms."""


class Admission:
    """Counts the memory that bodies take at once.

    Bytes are admitted as they arrive and released when the callback is answered.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.admitted_bytes = 0
        self._joined_bytes = 0

    def admit(self, count: int) -> None:
        """Admit *count* bytes more.

        Raises:
            Unavailable: The limit is reached.
        """
        if self.admitted_bytes + count > self.limit_bytes:
            raise Unavailable("too much is being received at this moment, try again")
        self.admitted_bytes += count

    def release(self, count: int) -> None:
        """Release what was admitted."""
        self.admitted_bytes -= count

    def joined(self, count: int) -> None:
        """Note that a body of *count* bytes was joined, and that its pieces are free."""
        self._joined_bytes += count
        if self._joined_bytes >= JOINED_BYTES:
            self._joined_bytes = 0
            give_back_freed()


class BodyReader:
    """Reads one body under an `Admission`; releases what it took when it is closed."""

    def __init__(self, admission: Admission, limit_bytes: int) -> None:
        self._admission = admission
        self._limit_bytes = limit_bytes
        self._held_bytes = 0

    def begin(self, request: web.BaseRequest) -> bytes | None:
        """Return the body if all of it came with the headers, None if `rest` is to wait for it.

        Raises:
            TooLarge: It is over its own limit; known from `Content-Length` at once.
            Unavailable: The limit of all bodies is reached.
            Malformed: Its framing (a chunk's length, say) is broken.
        """
        # Refuse by the announced length; admit the first bytes before any of them is read.
        length, content = request.content_length, request.content
        if length is not None:
            if length > self._limit_bytes:
                raise TooLarge(f"the body has {length} bytes, {self._limit_bytes} are allowed")
            self._hold(min(length, max(FIRST_BYTES, content.total_bytes)))
        try:
            return self._counted(content.read_nowait(), 0) if content.is_eof() else None
        except (HttpProcessingError, ClientPayloadError) as error:
            raise Malformed(_BROKEN) from error

    async def rest(self, request: web.BaseRequest) -> bytes:
        """Wait for a body that was begun, and return it.

        Raises:
            TooLarge: It is over its own limit.
            Unavailable: The limit of all bodies is reached, or it did not arrive in time.
            Malformed: Its framing is broken.
        """
        content = request.content
        try:
            async with asyncio.timeout(READ_TIMEOUT_SECONDS):
                return await self._collect(content)
        except TimeoutError:
            raise Unavailable(f"the body did not arrive within {READ_TIMEOUT_SECONDS:.0f} s") from None
        except (HttpProcessingError, ClientPayloadError) as error:
            raise Malformed(_BROKEN) from error

    async def _collect(self, content: StreamReader) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while chunk := await content.readany():
            chunks.append(self._counted(chunk, size))
            size += len(chunk)
        if len(chunks) == 1:
            return chunks[0]
        body = b"".join(chunks)
        chunks.clear()
        self._admission.joined(size)
        return body

    def _counted(self, chunk: bytes, before_bytes: int) -> bytes:
        size = before_bytes + len(chunk)
        if size > self._limit_bytes:
            raise TooLarge(f"the body has more than the {self._limit_bytes} bytes allowed")
        held_bytes = int(size * SMALL_PIECES) if before_bytes else size
        if held_bytes > self._held_bytes:
            self._hold(held_bytes - self._held_bytes)
        return chunk

    def _hold(self, count: int) -> None:
        self._admission.admit(count)
        self._held_bytes += count

    def close(self) -> None:
        """Release what the body took."""
        self._admission.release(self._held_bytes)
        self._held_bytes = 0
