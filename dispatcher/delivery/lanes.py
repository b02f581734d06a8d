"""Where leased deliveries wait for their attempt: each endpoint in a lane of its own, so that none waits for another.

Everything is bounded: attempts at once for each endpoint (its `max_concurrent`), deliveries waiting in one lane, and
deliveries held by the process in all. Past the last bound, consuming pauses.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, cast
from uuid import UUID

import msgspec
from prometheus_client import Gauge

from dispatcher.policy.endpoint import Endpoint
from shared.domain import Event
from shared.errors import place_of
from shared.log import get_logger

MOST_LEASED: Final = 4_000
"""Deliveries held by this process: waiting, under way, or attempted and not yet recorded."""

MOST_IN_LANE: Final = 1_000
"""Deliveries that may wait for one endpoint; what comes on top is deferred, so that one endpoint cannot fill all."""


class Leased(msgspec.Struct, kw_only=True):
    """A delivery that this process holds.

    Attributes:
        lease_until: By the ledger's clock: proves that the lease is ours.
        lease_ends: The same moment at the earliest on our monotonic clock, in seconds.
        spent: Attempts before the last replay, which spend none of the budget.
        is_lost: The lease turned out to be another process's; nothing is attempted.
    """

    delivery_id: UUID
    event: Event
    endpoint: Endpoint
    attempt: int
    owed_since: datetime
    lease_until: datetime
    lease_ends: float
    spent: int = 0
    is_lost: bool = False

    @property
    def event_id(self) -> str:
        """Of which event."""
        return self.event.id

    @property
    def endpoint_id(self) -> UUID:
        """Owed to which endpoint."""
        return self.endpoint.id


class Lanes:
    """Runs *work* on leased deliveries, and knows everything that this process holds.

    A delivery is held from its lease to its record: also while its outcome waits to be written, so that a second
    message about it is recognised. `freed` counts those that are held no more.
    """

    def __init__(self, work: Callable[[Leased], Awaitable[None]], held: Gauge) -> None:
        self._work = work
        self._waiting: dict[UUID, deque[Leased]] = {}
        self._workers: dict[UUID, set[asyncio.Task[None]]] = {}
        self._held: dict[UUID, Leased | None] = {}
        self._held_gauge = held
        self.freed = 0
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait until this process may hold more."""
        await self._room.wait()

    @property
    def has_room(self) -> bool:
        """May this process hold more?"""
        return self._room.is_set()

    @property
    def count(self) -> int:
        """How many this process holds."""
        return len(self._held)

    def holds(self, delivery_id: UUID) -> bool:
        """Is this process at it already?"""
        return delivery_id in self._held

    def held(self, delivery_id: UUID) -> Leased | None:
        """Return what is held; None if it is only on its way to a record."""
        return self._held.get(delivery_id)

    def leased(self) -> list[Leased]:
        """Return what waits for its attempt, is under way, or waits for its next step to be published or recorded."""
        return [leased for leased in self._held.values() if leased is not None]

    def hold(self, delivery_id: UUID, leased: Leased | None = None) -> None:
        """Hold one delivery more."""
        self._held[delivery_id] = leased
        self._held_gauge.set(len(self._held))
        if len(self._held) >= MOST_LEASED:
            self._room.clear()

    def free(self, delivery_id: UUID) -> None:
        """Hold it no longer; freeing twice is freeing once."""
        if delivery_id in self._held:
            del self._held[delivery_id]
            self.freed += 1
        self._held_gauge.set(len(self._held))
        if len(self._held) < MOST_LEASED:
            self._room.set()

    def enter(self, leased: Leased) -> bool:
        """Take a held delivery in, behind those of its endpoint; False if its lane is full."""
        endpoint = leased.endpoint
        waiting = self._waiting.setdefault(endpoint.id, deque())
        if len(waiting) >= MOST_IN_LANE:
            return False
        waiting.append(leased)
        workers = self._workers.setdefault(endpoint.id, set())
        if len(workers) < endpoint.max_concurrent:
            workers.add(asyncio.create_task(self._run(waiting, workers)))
        return True

    async def _run(self, waiting: deque[Leased], workers: set["asyncio.Task[None]"]) -> None:
        try:
            await self._run_all(waiting)
        finally:
            # At once, not by a callback of the next turn: who enters in between would find a full set and no worker.
            workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _run_all(self, waiting: deque[Leased]) -> None:
        while waiting:
            leased = waiting.popleft()
            try:
                await self._work(leased)
            except (Exception, asyncio.CancelledError) as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                # Its lease runs out by itself. A cancellation that nobody asked for came out of a library.
                self.free(leased.delivery_id)
                get_logger().error(
                    "attempt.crashed",
                    delivery_id=str(leased.delivery_id),
                    event_id=leased.event_id,
                    attempt=leased.attempt,
                    reason=place_of(error),
                )

    async def idle(self) -> None:
        """Wait until no lane has anything left."""
        while workers := [worker for workers in self._workers.values() for worker in workers]:
            await asyncio.wait(workers)
