"""Leases what waited for a paused endpoint once that is resumed: in order, and as fast as its lane is worked off.

Every dispatcher does so for its own lanes, so that an endpoint catches up at its whole concurrency. Each leases little
at a time: what one holds for long may come before what another one attempts. What was parked for an endpoint
that was disabled or removed meanwhile is leased in the same way: it becomes dead letters.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol
from uuid import UUID

from dispatcher.ledger import parking
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.policy.delivery import LeasedDelivery, UnreadableDelivery
from dispatcher.policy.endpoint import LEASE_MARGIN_SECONDS

LOOK_EVERY_SECONDS: Final = 1.0
REFILL_EVERY_SECONDS: Final = 0.05
"""While a lane takes what it is given."""

LEAST_PER_LEASE: Final = 8
MOST_PER_LEASE: Final = 256


class Lanes(Protocol):
    """Where leased deliveries wait for their attempts."""

    def waiting_in(self, endpoint_id: UUID) -> int:
        """Return how many wait in the lane of an endpoint."""

    def room_in(self, endpoint_id: UUID) -> int:
        """Return how many more it may get now."""

    def enter(self, deliveries: Sequence[LeasedDelivery | UnreadableDelivery]) -> None:
        """Hold *deliveries*, each in the lane of its endpoint."""


class CatchUp:
    """Fills the lanes of endpoints that are catching up."""

    def __init__(self, pool: Pool, store: EndpointStore, lanes: Lanes) -> None:
        self._pool = pool
        self._store = store
        self._lanes = lanes
        self._sizes: dict[UUID, int] = {}
        self._after = parking.FIRST

    async def run(self, schema_verified: Callable[[], Awaitable[None]]) -> None:
        """Fill for ever, once the schema is verified; a ledger that is away is asked again."""
        await schema_verified()
        while True:
            is_flowing = False
            with suppress(*LEDGER_UNAVAILABLE):
                is_flowing = await self.fill()
            await asyncio.sleep(REFILL_EVERY_SECONDS if is_flowing else LOOK_EVERY_SECONDS)

    async def fill(self) -> bool:
        """Give each lane that has room the next of what waits; return whether one may have room soon again."""
        # Those of one look in turn: the first hundred may not answer for days, and must not keep the others waiting.
        endpoint_ids = await parking.catching_up(self._pool, self._after)
        self._after = endpoint_ids[-1] if len(endpoint_ids) == parking.MOST_ENDPOINTS else parking.FIRST
        self._sizes = {each: self._sizes.get(each, 0) for each in endpoint_ids}
        return any([await self._fill_lane(each) for each in endpoint_ids])

    async def _fill_lane(self, endpoint_id: UUID) -> bool:
        waiting, last = self._lanes.waiting_in(endpoint_id), self._sizes[endpoint_id]
        self._sizes[endpoint_id] = next_size(last, waiting)
        room = self._lanes.room_in(endpoint_id)
        if waiting > last // 2 or not room:
            return True
        most = min(self._sizes[endpoint_id], room)
        leased = await parking.lease_next(self._pool, self._store, endpoint_id, most, LEASE_MARGIN_SECONDS)
        self._lanes.enter(leased)
        return len(leased) > 1  # a single one is the probe of an open circuit


def next_size(last: int, waiting: int) -> int:
    """Return how many to lease next, *last* being how many were meant to be the time before, and *waiting* are left.

    >>> [next_size(*each) for each in ((0, 0), (8, 0), (200, 0), (64, 10), (64, 40), (8, 8))]
    [8, 16, 256, 64, 32, 8]
    """
    size = last * 2 if waiting == 0 else last // 2 if waiting > last // 2 else last
    return min(MOST_PER_LEASE, max(LEAST_PER_LEASE, size))
