"""Everything that this process holds: deliveries from their lease to their record."""

import asyncio
from typing import Final
from uuid import UUID

from prometheus_client import Gauge

from dispatcher.policy.delivery import LeasedDelivery
from shared.runtime.watchdog import Look

MOST_HELD: Final = 4_000
"""Deliveries held by this process: waiting, under way, or attempted and not yet recorded. Then consuming pauses."""


class HeldDeliveries:
    """The held deliveries by id.

    A delivery is held also while its outcome waits to be recorded, so that a second message about it is recognised.
    """

    def __init__(self, gauge: Gauge) -> None:
        self._held: dict[UUID, LeasedDelivery | None] = {}
        self._gauge = gauge
        self._freed = 0
        self.changing_leases = asyncio.Lock()
        """Held while a statement renews or releases leases. Else one that misses a lease could not tell whether it is
        another process's, or was renewed a moment ago by ours, whose answer is still on its way."""
        self._capacity = asyncio.Event()
        self._capacity.set()

    @property
    def has_capacity(self) -> bool:
        """May this process hold more?"""
        return self._capacity.is_set()

    @property
    def capacity_left(self) -> int:
        """How many more this process may hold."""
        return max(0, MOST_HELD - len(self._held))

    async def capacity(self) -> None:
        """Wait until this process may hold more."""
        await self._capacity.wait()

    def progress(self) -> Look:
        """Return for the watchdog how many are held, and how many were freed so far."""
        return len(self._held), self._freed

    def holds(self, delivery_id: UUID) -> bool:
        """Does this process hold it already?"""
        return delivery_id in self._held

    def get(self, delivery_id: UUID) -> LeasedDelivery | None:
        """Return what is held; None if it is not, or if its row could not be read."""
        return self._held.get(delivery_id)

    def leased(self) -> list[LeasedDelivery]:
        """Return what is held, whichever step it waits for."""
        return [delivery for delivery in self._held.values() if delivery is not None]

    def hold(self, delivery_id: UUID, delivery: LeasedDelivery | None = None) -> None:
        """Hold one delivery more."""
        self._held[delivery_id] = delivery
        self._note_count()

    def free(self, delivery_id: UUID) -> None:
        """Hold it no longer; freeing it a second time changes nothing."""
        if delivery_id in self._held:
            del self._held[delivery_id]
            self._freed += 1
            self._note_count()

    def _note_count(self) -> None:
        self._gauge.set(len(self._held))
        if len(self._held) < MOST_HELD:
            self._capacity.set()
        else:
            self._capacity.clear()
