"""Leases of held deliveries are renewed until they are recorded, and checked before an attempt."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from dispatcher.delivery.held import HeldDeliveries
from dispatcher.ledger import deliveries
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.policy.delivery import LeasedDelivery

RENEW_EVERY_SECONDS: Final = 5.0

SLACK_SECONDS: Final = 2.0
"""Between the answer of the ledger and our note of it."""


class LeaseKeeper:
    """Keeps the leases of what this process holds."""

    def __init__(self, pool: Pool, held: HeldDeliveries) -> None:
        self._pool = pool
        self._held = held

    async def run(self) -> None:
        """Renew for ever.

        A long lane must not look like a dead process, nor a retry that waits for the broker, nor a record that waits
        for the ledger.
        """
        while True:
            await asyncio.sleep(RENEW_EVERY_SECONDS)
            leases = [(each, each.endpoint.lease_seconds) for each in self._held.leased() if not each.is_lost]
            with suppress(*LEDGER_UNAVAILABLE):
                await self._renew(leases)

    async def ensure(self, delivery: LeasedDelivery, seconds: float) -> bool:
        """Return whether the lease is ours for the *seconds* that an attempt may take; renew it if need be."""
        enough_seconds = seconds - 2 * RENEW_EVERY_SECONDS - SLACK_SECONDS
        if not delivery.is_lost and delivery.lease_ends - time.monotonic() < enough_seconds:
            try:
                await self._renew([(delivery, seconds)])
            except LEDGER_UNAVAILABLE:
                return False
        return not delivery.is_lost

    async def _renew(self, leases: Sequence[tuple[LeasedDelivery, float]]) -> None:
        renewed = await deliveries.renew(self._pool, leases) if leases else {}
        for delivery, seconds in leases:
            if delivery.delivery_id in renewed:
                delivery.lease_for(seconds, renewed[delivery.delivery_id])
            else:
                delivery.is_lost = True
