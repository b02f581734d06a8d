"""How many bytes of documents may be held at once: by the process, and for one endpoint, which may hang."""

import asyncio
from collections import Counter, deque
from typing import Final, Self
from uuid import UUID

MOST_BYTES: Final = 256 * 1024 * 1024
MOST_BYTES_OF_ENDPOINT: Final = MOST_BYTES // 2
"""The other half is left to the others, however long one endpoint holds its documents."""


class DocumentBudget:
    """Grants reservations in the order of asking; an endpoint that has used up its share blocks no other."""

    def __init__(self, most_bytes: int = MOST_BYTES, most_of_endpoint: int = MOST_BYTES_OF_ENDPOINT) -> None:
        self._most_bytes = most_bytes
        self._most_of_endpoint = most_of_endpoint
        self._held: Counter[UUID] = Counter()
        self.held_bytes = 0
        self._waiting: deque[tuple[Reservation, asyncio.Future[None]]] = deque()

    def reserve(self, endpoint_id: UUID, count: int) -> "Reservation":
        """Return a reservation of *count* bytes, for `async with`; at most the whole share of an endpoint."""
        return Reservation(self, endpoint_id, min(count, self._most_of_endpoint))

    async def take(self, reservation: "Reservation") -> None:
        """Wait until *reservation* is granted."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((reservation, granted))
        self._grant()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._grant()  # it may have blocked others
            else:
                self.give(reservation.endpoint_id, reservation.count)
            raise

    def give(self, endpoint_id: UUID, count: int) -> None:
        """Take back *count* bytes."""
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
            reservation, granted = self._waiting.popleft()
            if granted.done():
                continue
            if self._held[reservation.endpoint_id] + reservation.count > self._most_of_endpoint:
                still_waiting.append((reservation, granted))
            elif self.held_bytes + reservation.count > self._most_bytes:
                # What comes after it waits as well, or a large document would never be granted.
                still_waiting.append((reservation, granted))
                break
            else:
                self._hold(reservation.endpoint_id, reservation.count)
                granted.set_result(None)
        still_waiting.extend(self._waiting)
        self._waiting = still_waiting


class Reservation:
    """Bytes for one document; for no document it costs nothing."""

    __slots__ = ("_budget", "count", "endpoint_id")

    def __init__(self, budget: DocumentBudget, endpoint_id: UUID, count: int) -> None:
        self._budget = budget
        self.endpoint_id = endpoint_id
        self.count = count

    async def __aenter__(self) -> Self:
        """Wait until it is granted."""
        if self.count:
            await self._budget.take(self)
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Give all of it back."""
        self.shrink(0)

    def shrink(self, count: int) -> None:
        """Give back what exceeds *count* bytes: the document turned out to be smaller."""
        if count < self.count:
            over, self.count = self.count - count, count
            self._budget.give(self.endpoint_id, over)
