"""Where leased deliveries wait for their attempt: a lane for each endpoint, so that no endpoint waits for another.

Everything is bounded: attempts at once for each endpoint (its `max_concurrent`), deliveries waiting in one lane, and
deliveries held by the process in all. At the last bound consuming pauses.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Final, cast
from uuid import UUID

from dispatcher.delivery.deliverer import Deliverer
from dispatcher.delivery.held import HeldDeliveries
from dispatcher.delivery.settler import Settler
from dispatcher.policy.delivery import Lease, LeasedDelivery, UnreadableDelivery
from shared.backoff import DEFER_WAITS_SECONDS
from shared.errors import place_of
from shared.log import get_logger

MOST_IN_LANE: Final = 1_000
"""Deliveries that may wait for one endpoint, and no more than the process may hold besides; the others are deferred. So
neither one endpoint nor many that do not answer can take the whole capacity."""

LEAST_IN_LANE: Final = 8
"""That may wait whatever the process holds: an endpoint that answers needs no more."""


class Lane:
    """What waits for one endpoint, in order, and the tasks that deliver it."""

    def __init__(self) -> None:
        self.waiting: deque[LeasedDelivery] = deque()
        self.workers: set[asyncio.Task[None]] = set()


class Lanes:
    """Hands leased deliveries to *deliverer*, each endpoint's in the order of their coming."""

    def __init__(self, deliverer: Deliverer, settler: Settler, held: HeldDeliveries) -> None:
        self._deliverer = deliverer
        self._settler = settler
        self._held = held
        self._lanes: dict[UUID, Lane] = {}
        self._beside_lanes: set[asyncio.Task[None]] = set()

    def enter(self, deliveries: Sequence[LeasedDelivery | UnreadableDelivery]) -> None:
        """Hold *deliveries*, each in the lane of its endpoint; defer those that find it full.

        Nothing is awaited here: a store or a queue that does not take what is deferred must not hold up the consumer.
        """
        overflow: list[LeasedDelivery] = []
        for each in deliveries:
            if self._held.holds(each.delivery_id):
                # Its lease had run out, or its record is still to be written, and a second message came. The claim has
                # made the lease ours again; a second attempt would tell the application twice.
                if (held := self._held.get(each.delivery_id)) is not None:
                    held.lease_for(held.endpoint.lease_seconds, each.lease_until)
            elif isinstance(each, UnreadableDelivery):
                self._held.hold(each.delivery_id)
                self._run_beside([each], self._settler.crashed(each, each.error))
            else:
                self._held.hold(each.delivery_id, each)
                if not self._enter(each):
                    overflow.append(each)
        if overflow:
            self._settler.requeue(overflow, DEFER_WAITS_SECONDS[0])

    async def idle(self) -> None:
        """Wait until nothing waits and nothing is under way."""
        while tasks := {*self._beside_lanes, *(worker for lane in self._lanes.values() for worker in lane.workers)}:
            await asyncio.wait(tasks)

    def _run_beside(self, leases: Sequence[Lease], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(leases, work))
        self._beside_lanes.add(task)
        task.add_done_callback(self._beside_lanes.discard)

    def _enter(self, delivery: LeasedDelivery) -> bool:
        lane = self._lanes.setdefault(delivery.endpoint_id, Lane())
        if len(lane.waiting) >= min(MOST_IN_LANE, max(LEAST_IN_LANE, self._held.capacity_left)):
            return False
        lane.waiting.append(delivery)
        if len(lane.workers) < delivery.endpoint.max_concurrent:
            lane.workers.add(asyncio.create_task(self._work(delivery.endpoint_id, lane)))
        return True

    async def _work(self, endpoint_id: UUID, lane: Lane) -> None:
        try:
            while lane.waiting:
                delivery = lane.waiting.popleft()
                await self._guarded([delivery], self._deliverer.deliver(delivery))
                await asyncio.sleep(0)  # what is refused awaits nothing: a lane full of it must not take the loop
        finally:
            # At once, not by a callback in the next turn of the loop: what enters in between would find a full set of
            # workers of which none looks again.
            lane.workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            if not lane.workers and not lane.waiting:
                self._lanes.pop(endpoint_id, None)

    async def _guarded(self, leases: Sequence[Lease], work: Coroutine[Any, Any, None]) -> None:
        """Do *work* for held deliveries; if it fails, free them, and go on."""
        try:
            await work
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # A cancellation that we did not ask for came out of a library. The leases run out by themselves.
            for lease in leases:
                self._held.free(lease.delivery_id)
                get_logger().error(
                    "attempt.crashed",
                    delivery_id=str(lease.delivery_id),
                    event_id=lease.event_id,
                    attempt=lease.attempt,
                    reason=place_of(error),
                )
