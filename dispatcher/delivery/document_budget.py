"""How many bytes of documents may be held at once: by the process in all, and for one endpoint, which may hang."""

import asyncio
from collections import Counter, deque
from typing import Final, Self
from uuid import UUID

MOST_BYTES: Final = 256 * 1024 * 1024
MOST_BYTES_OF_ENDPOINT: Final = MOST_BYTES // 2
"""The other half is for the others, whatever one endpoint does with what it is sent."""


class DocumentBudget:
    """Gives room in the order of asking; who has taken up its share waits and holds nobody up."""

    def __init__(self, most_bytes: int = MOST_BYTES, most_of_endpoint: int = MOST_BYTES_OF_ENDPOINT) -> None:
        self._most_bytes = most_bytes
        self._most_of_endpoint = most_of_endpoint
        self._held: Counter[UUID] = Counter()
        self.held_bytes = 0
        self._waiting: deque[tuple[Reservation, asyncio.Future[None]]] = deque()

    def held(self, endpoint_id: UUID, count: int) -> "Reservation":
        """Return room for *count* bytes, to be held with `async with`. A document over a share is taken for one."""
        return Reservation(self, endpoint_id, min(count, self._most_of_endpoint))

    async def take(self, room: "Reservation") -> None:
        """Wait for *room*."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((room, granted))
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._grant()  # it may have held up others
            else:
                self.give(room.endpoint_id, room.count)
            raise

    def give(self, endpoint_id: UUID, count: int) -> None:
        """Take *count* bytes back."""
        self._hold(endpoint_id, -count)
        self._grant()

    def _hold(self, endpoint_id: UUID, count: int) -> None:
        self.held_bytes += count
        self._held[endpoint_id] += count
        if not self._held[endpoint_id]:
            del self._held[endpoint_id]

    def _grant(self) -> None:
        still_waiting: deque[tuple[Reservation, asyncio.Future[None]]] = deque()
        while self._waiting:
            room, granted = self._waiting.popleft()
            if granted.done():
                continue
            if self._held[room.endpoint_id] + room.count > self._most_of_endpoint:
                still_waiting.append((room, granted))
            elif self.held_bytes + room.count > self._most_bytes:
                # Who comes after waits as well, or a large one would never have its turn.
                still_waiting.append((room, granted))
                break
            else:
                self._hold(room.endpoint_id, room.count)
                granted.set_result(None)
        still_waiting.extend(self._waiting)
        self._waiting = still_waiting


class Reservation:
    """Room for one document; for none, it costs nothing."""

    __slots__ = ("_all", "count", "endpoint_id")

    def __init__(self, room: DocumentBudget, endpoint_id: UUID, count: int) -> None:
        self._all = room
        self.endpoint_id = endpoint_id
        self.count = count

    async def __aenter__(self) -> Self:
        """Wait for the room."""
        if self.count:
            await self._all.take(self)
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Give it back."""
        self.shrink(0)

    def shrink(self, count: int) -> None:
        """Give back what is over *count* bytes: the document turned out to be no larger."""
        if count < self.count:
            over, self.count = self.count - count, count
            self._all.give(self.endpoint_id, over)
