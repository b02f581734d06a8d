"""Leases of held deliveries: renewed until they are recorded, checked before an attempt, or given back without one.

Leases are given back many at a time, over a connection that live traffic does not use, and at a bounded rate: a circuit
that opens or a lane that is full gives back hundreds, and no other endpoint may notice.

| given back | if this process dies after it |
|---|---|
| queued: held, its lease renewed | its lease runs out, and the sweeper finds it |
| released: without lease, due after its wait | the sweeper finds it, due without a message |
| or parked: without lease, due when its endpoint is resumed | it is leased then |
| no longer held: the message may be claimed by this process, too | the same |
| its message published, confirmed | it comes with its message |
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from dispatcher.delivery.held import HeldDeliveries
from dispatcher.ledger import deliveries, parking
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.faxes.ranks import RankLookUps
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.ledger.retry import LedgerRetry
from dispatcher.messages import BackgroundPublisher
from dispatcher.metrics import Metrics
from dispatcher.policy.delivery import Lease, LeasedDelivery, NextAttempt
from shared.broker import FAX_RETRY, FAX_WORK, WORK_KEY, defer_queue
from shared.log import get_logger
from shared.runtime.watchdog import Look
from shared.seal import Unsealable

RENEW_EVERY_SECONDS: Final = 5.0
"""Each lease by itself: what an endpoint that hangs keeps waiting was leased at many moments, and is renewed a few rows
at a time; most of it is settled or given back before."""

MOST_PER_RENEWAL: Final = 500
"""A statement for all that a process may hold could take longer than one may, on a slow disk: no lease would last."""

LOOK_EVERY_SECONDS: Final = 1.0
"""For changes of endpoints: so long after its pause, at most, an endpoint may get an attempt that waited here."""

LONGEST_CHANGE_SECONDS: Final = 60.0
"""From the beginning of a transaction that changes an endpoint, which dates the change, to its commit, at most."""

SLACK_SECONDS: Final = 2.0
"""Between the answer of the ledger and our note of it."""

GATHER_SECONDS: Final = 1.0
"""For what is to be deferred, while fewer than `LEAST_DEFERRED`. What is due at once or to be parked does not wait."""

RELEASE_EVERY_SECONDS: Final = 0.1
LEAST_DEFERRED: Final = 5
"""What an open circuit defers trickles: it comes back in the rhythm in which it went, and is claimed then. A lane's 150
at once delayed live events by 10 ms and more, when they went and when they came back."""

LEAST_PER_RELEASE: Final = 50
"""Where something is due at once or to be parked: a person waits for a pause to be in force."""

MOST_PER_RELEASE: Final = 500
RELEASE_PART: Final = 0.1
"""Of what is queued, each time: always faster than one endpoint's events can come. So what is queued never uses up the
capacity of the process."""

MANY_DEFERRED: Final = 500
"""So many are deferred at that pace, fewer more slowly: a lane's 150 are no danger to the capacity, and within a second
they were the slowest hundredth of live traffic, when they went and when they came back."""


class LeaseKeeper:
    """Keeps the leases of what this process holds, and notes what its endpoints were changed to meanwhile."""

    def __init__(self, pool: Pool, held: HeldDeliveries, store: EndpointStore) -> None:
        self._pool = pool
        self._held = held
        self._store = store
        self._looked_at = time.monotonic()
        self.note_rank = RankLookUps(pool).note

    async def run(self) -> None:
        """Renew for ever.

        A long lane must not look like a dead process, nor a retry that waits for the broker, nor a record that waits
        for the ledger.
        """
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            now = time.monotonic()
            leases = [
                (each, seconds)
                for each in self._held.leased()
                if not each.is_lost
                and each.lease_ends - now <= (seconds := each.endpoint.lease_seconds) - RENEW_EVERY_SECONDS
            ]
            with suppress(*LEDGER_UNAVAILABLE):
                for first in range(0, len(leases), MOST_PER_RENEWAL):
                    await self._renew(leases[first : first + MOST_PER_RENEWAL])
            with suppress(*LEDGER_UNAVAILABLE, Unsealable):
                await self._note_changes()

    async def _note_changes(self) -> None:
        """Tell what waits for its attempt which endpoints were changed since the look before.

        A lane may be long, and an endpoint that was removed, disabled or moved is not to be told at its old URL.
        """
        held, now = self._held.leased(), time.monotonic()  # what is leased while this looks has read its endpoint later
        if held:
            endpoint_ids = sorted({each.endpoint_id for each in held})
            seconds = now - self._looked_at + LONGEST_CHANGE_SECONDS
            changed = await self._store.changed(self._pool, endpoint_ids, seconds)
            by_id = {each.endpoint.id: each for each in changed}
            for each in held:
                each.changed = by_id.get(each.endpoint_id, each.changed)
        self._looked_at = now

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
        async with self._held.changing_leases:
            renewed = await deliveries.renew(self._pool, leases) if leases else {}
            for delivery, seconds in leases:
                if delivery.delivery_id in renewed:
                    delivery.lease_for(seconds, renewed[delivery.delivery_id])
                else:
                    delivery.is_lost = True


class Releaser:
    """Gives leases back without an attempt, and leaves a message for each delivery, to come now or after a wait.

    *pool* should have a connection that is free for this whatever else goes on.
    """

    def __init__(self, pool: Pool, messages: BackgroundPublisher, held: HeldDeliveries, metrics: Metrics) -> None:
        self._pool = pool
        self._messages = messages
        self._held = held
        self._metrics = metrics
        self._queued: dict[UUID, tuple[Lease, float | None]] = {}
        self._in_hand = 0
        self._retry = LedgerRetry("record.delayed")
        self._is_hurried = False
        self._has_work = asyncio.Event()
        self._is_pressing = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def progress(self) -> Look:
        """Return for the watchdog how many leases are to be given back, and how often that was tried."""
        return len(self._queued) + self._in_hand, self._retry.tries

    def release(self, leases: Sequence[Lease], wait_seconds: float | None) -> None:
        """Give *leases* back soon; each delivery is due after *wait_seconds*, 0 or one of the defer waits.

        None: when its endpoint is resumed; it is parked.
        """
        self._queued.update((lease.delivery_id, (lease, wait_seconds)) for lease in leases)
        self._idle.clear()
        self._has_work.set()
        if not wait_seconds or len(self._queued) >= LEAST_DEFERRED:
            self._is_pressing.set()

    def withdraw(self, delivery_id: UUID) -> bool:
        """Keep a lease that is queued; False if it is not."""
        return self._queued.pop(delivery_id, None) is not None

    def hurry(self) -> None:
        """Give back from now on without a pause: the process stops, and there is no live traffic to be delayed."""
        self._is_hurried = True
        self._is_pressing.set()
        self._messages.hurry()

    async def drained(self) -> None:
        """Wait until everything is given back and has its message."""
        await self._idle.wait()
        await self._messages.drained()

    async def run(self) -> None:
        """Give back for ever."""
        while True:
            if not self._queued:
                self._idle.set()
                self._has_work.clear()
                await self._has_work.wait()
            if not self._is_hurried:
                await self._gathered()
            is_deferred = all(wait for _, wait in islice(self._queued.values(), LEAST_PER_RELEASE))
            size = per_release(len(self._queued), is_deferred=is_deferred, is_hurried=self._is_hurried)
            batch = [self._queued.pop(each) for each in list(islice(self._queued, size))]
            self._in_hand = len(batch)
            await self._retry.in_parts(self._release, batch)
            self._in_hand = 0
            if not self._is_hurried:
                await asyncio.sleep(RELEASE_EVERY_SECONDS)

    async def _gathered(self) -> None:
        """Wait until a batch is worth its commit, or long enough."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_SECONDS):
                await self._is_pressing.wait()
        if len(self._queued) < LEAST_DEFERRED:  # all of it goes now
            self._is_pressing.clear()

    async def _release(self, batch: Sequence[tuple[Lease, float | None]]) -> None:
        # 1. In the ledger. The lease goes first: a message that finds a live lease is dropped.
        released, until = await self._try_release(batch)
        for lease, wait_seconds in batch:
            if lease.delivery_id not in released and lease.lease_until != until[lease.delivery_id]:
                self._queued[lease.delivery_id] = (lease, wait_seconds)  # it was renewed in the same moment
                continue
            # 2. No longer held: a message about a held delivery is taken for a second one.
            self._held.free(lease.delivery_id)
            # 3. Its message; none if the lease was another process's by now.
            if lease.delivery_id in released:
                self.leave_message(lease, released[lease.delivery_id])

    async def _try_release(
        self, batch: Sequence[tuple[Lease, float | None]]
    ) -> tuple[dict[UUID, float | None], dict[UUID, datetime]]:
        """Return which were released, each with its wait (None: parked), and by which ends their leases were known."""
        async with self._held.changing_leases:
            until = {lease.delivery_id: lease.lease_until for lease, _ in batch}
            waits: dict[UUID, float | None] = {}
            if due := {lease.delivery_id: (lease, wait) for lease, wait in batch if wait is not None}:
                released = await deliveries.release(self._pool, list(due.values()))
                waits |= {each: due[each][1] for each in released}
            if held_back := [lease for lease, wait in batch if wait is None]:
                parked = await parking.park(self._pool, held_back)
                waits |= {each: None if is_parked else 0.0 for each, is_parked in parked.items()}
            return waits, until

    def leave_message(self, delivery: NextAttempt, wait_seconds: float | None) -> None:
        """Leave the message of a delivery that no process holds, to come after *wait_seconds*; none if it is parked."""
        if wait_seconds is None:
            get_logger().info(
                "delivery.parked",
                event_id=delivery.event_id,
                delivery_id=str(delivery.delivery_id),
                endpoint_id=str(delivery.endpoint_id),
                attempt=delivery.attempt,
            )
            return
        if not wait_seconds:
            self._messages.publish(FAX_WORK, WORK_KEY, delivery.delivery_id, delivery.attempt)
            return
        self._messages.publish(FAX_RETRY, defer_queue(wait_seconds), delivery.delivery_id, delivery.attempt)
        self._metrics.deferred.inc()
        get_logger().info(
            "delivery.deferred",
            event_id=delivery.event_id,
            delivery_id=str(delivery.delivery_id),
            endpoint_id=str(delivery.endpoint_id),
            attempt=delivery.attempt,
            seconds=wait_seconds,
        )


def per_release(queued: int, *, is_deferred: bool = False, is_hurried: bool = False) -> int:
    """Return how many of *queued* leases to give back next. *is_deferred*: those next in turn wait all for later.

    >>> [per_release(queued) for queued in (3, 1_000, 3_000, 9_000)], per_release(3, is_hurried=True)
    ([50, 100, 300, 500], 500)
    >>> [per_release(queued, is_deferred=True) for queued in (3, 150, 9_000)]
    [5, 5, 500]
    """
    if is_hurried:
        return MOST_PER_RELEASE
    least, part = LEAST_PER_RELEASE, RELEASE_PART
    if is_deferred:
        least, part = LEAST_DEFERRED, RELEASE_PART * min(1.0, queued / MANY_DEFERRED)
    return min(MOST_PER_RELEASE, max(least, int(queued * part)))
