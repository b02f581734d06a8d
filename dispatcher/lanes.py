"""Where leased deliveries wait for their attempt: each endpoint in a lane of its own, so that none waits for another.

Everything is bounded: attempts at once for each endpoint (its `max_concurrent`), deliveries waiting in one lane, and
deliveries held by the process in all. Past the last bound, consuming pauses.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, cast
from uuid import UUID

import msgspec
from prometheus_client import Gauge

from dispatcher.routing import Endpoint
from shared.domain import Event
from shared.log import get_logger

MOST_LEASED: Final = 4_000
"""Deliveries held by this process: waiting, under way, or attempted and not yet recorded."""

MOST_IN_LANE: Final = 1_000
"""Deliveries that may wait for one endpoint; what comes on top is deferred, so that one endpoint cannot fill all."""


class Leased(msgspec.Struct, kw_only=True):
    """A delivery that this process holds, until `lease_ends` on the monotonic clock, in seconds."""

    delivery_id: UUID
    event: Event
    endpoint: Endpoint
    attempt: int
    lease_ends: float


class Lanes:
    """Runs *work* on leased deliveries. *work* or its record calls `free` when the process holds one less."""

    def __init__(self, work: Callable[[Leased], Awaitable[None]], held: Gauge) -> None:
        self._work = work
        self._waiting: dict[UUID, deque[Leased]] = {}
        self._workers: dict[UUID, set[asyncio.Task[None]]] = {}
        self._held_gauge = held
        self._held = 0
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait until this process may hold more."""
        await self._room.wait()

    def hold(self) -> None:
        """Count one delivery more."""
        self._held += 1
        self._held_gauge.set(self._held)
        if self._held >= MOST_LEASED:
            self._room.clear()

    def free(self) -> None:
        """Count one delivery less."""
        self._held -= 1
        self._held_gauge.set(self._held)
        if self._held < MOST_LEASED:
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
            except Exception as error:  # noqa: BLE001 - one delivery that breaks our code must not stop its lane
                self.free()
                get_logger().error(
                    "attempt.crashed",
                    delivery_id=str(leased.delivery_id),
                    event_id=leased.event.id,
                    attempt=leased.attempt,
                    reason=type(error).__name__,
                    exc_info=error,
                )

    async def idle(self) -> None:
        """Wait until no lane has anything left."""
        while workers := [worker for workers in self._workers.values() for worker in workers]:
            await asyncio.wait(workers)
