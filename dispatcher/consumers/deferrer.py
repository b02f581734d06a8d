"""What comes back while its endpoint's circuit is open is deferred again: not leased for that, and not read.

A long outage brings each delivery back many times. Claimed and released, it cost live events of others a part of their
time, above all when what an opening circuit had given back at once came back at once.

| deferred | if this process dies after it |
|---|---|
| in the ledger: without lease, due after its wait | its old message comes again, or the sweeper finds it |
| its new message published, confirmed | it comes with its message |
"""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from dispatcher.delivery.held import HeldDeliveries
from dispatcher.delivery.leases import Releaser
from dispatcher.ledger import deliveries
from dispatcher.ledger.pool import Pool
from dispatcher.policy.delivery import Deferred, Refused


class Circuits(Protocol):
    """What is asked of those who know the circuits."""

    def refused(self) -> list[Refused]:
        """Return the endpoints that get no attempt now, not even a probe."""


class Deferrer:
    """Defers without a lease. *pool* is not that of live traffic.

    *longest_seconds* is how long a delivery may be owed: what was owed for longer is claimed, and given up.
    """

    def __init__(
        self, pool: Pool, circuits: Circuits, held: HeldDeliveries, releaser: Releaser, longest_seconds: float
    ) -> None:
        self._pool = pool
        self._circuits = circuits
        self._held = held
        self._releaser = releaser
        self._longest_seconds = longest_seconds

    async def defer(self, wanted: Sequence[tuple[UUID, int]]) -> list[Deferred]:
        """Defer those of *wanted* (id, attempt) whose endpoint gets no attempt now; return them."""
        refused = self._circuits.refused()
        # What is held may have an outcome that is still to be recorded: the claim knows what to do with its message.
        free = [each for each in wanted if not self._held.holds(each[0])] if refused else []
        deferred = await deliveries.defer(self._pool, free, refused, self._longest_seconds) if free else []
        for each in deferred:
            self._releaser.leave_message(each, each.wait_seconds)
        return deferred
