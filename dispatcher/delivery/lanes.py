"""Where leased deliveries wait for their attempt: a lane for each endpoint, so that no endpoint waits for another.

Everything is bounded: attempts at once for each endpoint (its `max_concurrent`), deliveries waiting in one lane, and
deliveries held by the process in all. At the last bound consuming pauses.

What finds its lane full is deferred. While the endpoint answers, the lane remembers which those are, and leases them
again in their order, many at a time, as it gets shorter: an endpoint with a burst of events is told at its own pace.
The messages in `defer.*` are for the case that this process dies; one that comes after its delivery is dropped.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import islice, takewhile
from typing import Any, Final, cast
from uuid import UUID

from dispatcher.delivery.deliverer import Deliverer
from dispatcher.delivery.held import HeldDeliveries
from dispatcher.delivery.settler import Settler
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE
from dispatcher.policy.delivery import Lease, LeasedDelivery, UnreadableDelivery
from shared.backoff import DEFER_WAITS_SECONDS
from shared.errors import place_of
from shared.log import get_logger

MOST_IN_LANE: Final = 1_000
"""Deliveries that may wait for one endpoint, and no more than the process may hold besides; the others are deferred. So
neither one endpoint nor many that do not answer can take the whole capacity."""

LEAST_IN_LANE: Final = 8
"""That may wait whatever the process holds: an endpoint that answers needs no more."""


REFILL_BELOW: Final = 500
"""Deliveries waiting in a lane; below, it is refilled with what it remembers."""

MOST_PER_REFILL: Final = 200

MOST_BEHIND: Final = 20_000
"""Deliveries that a lane remembers, of 150 bytes each; the others come back with their messages."""

BEHIND_SECONDS: Final = DEFER_WAITS_SECONDS[1]
"""The wait of their messages: long enough that the lane gets to most of them before."""

RELEASED_SECONDS: Final = 0.05
"""Until a lane looks again whether leases that are being given back are given back."""

Claim = Callable[[Sequence[tuple[UUID, int]]], Awaitable[Sequence[LeasedDelivery | UnreadableDelivery]]]
"""Leases the deliveries (id, attempt) that may be attempted now."""


class Lane:
    """What waits for one endpoint, in order, what was deferred behind it, and the tasks that deliver it."""

    def __init__(self) -> None:
        self.waiting: deque[LeasedDelivery] = deque()
        self.workers: set[asyncio.Task[None]] = set()
        self.behind: deque[tuple[UUID, int]] = deque()
        self.is_refilling = False


class Lanes:
    """Hands leased deliveries to *deliverer*, each endpoint's in the order of their coming."""

    def __init__(self, deliverer: Deliverer, settler: Settler, held: HeldDeliveries, claim: Claim) -> None:
        self._deliverer = deliverer
        self._settler = settler
        self._held = held
        self._claim = claim
        self._one_refill = asyncio.Lock()
        self._stopping = False
        self._lanes: dict[UUID, Lane] = {}
        self._beside_lanes: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Lease nothing more: what was deferred is left to its messages."""
        self._stopping = True

    def enter(
        self, deliveries: Sequence[LeasedDelivery | UnreadableDelivery], *, are_from_behind: bool = False
    ) -> None:
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
                if not self._enter(each, is_from_behind=are_from_behind):
                    overflow.append(each)
        for wait_seconds, deferred in self._put_behind(overflow, is_first=are_from_behind).items():
            self._settler.requeue(deferred, wait_seconds)

    def waiting_in(self, endpoint_id: UUID) -> int:
        """Return how many wait in the lane of an endpoint."""
        return len(self._lanes[endpoint_id].waiting) if endpoint_id in self._lanes else 0

    def room_in(self, endpoint_id: UUID) -> int:
        """Return how many more the lane of an endpoint may get now, so that none of them is deferred."""
        lane = self._lanes.get(endpoint_id, Lane())
        if self._stopping or lane.behind or lane.is_refilling:
            return 0
        room = min(self._room(lane), self._held.capacity_left)
        if self._deliverer.circuit_is_open(endpoint_id):  # one at a time: it may be the probe
            return min(room, 0 if lane.waiting else 1)
        return room

    async def idle(self) -> None:
        """Wait until nothing waits and nothing is under way."""
        while tasks := {*self._beside_lanes, *(worker for lane in self._lanes.values() for worker in lane.workers)}:
            await asyncio.wait(tasks)

    def _run_beside(self, leases: Sequence[Lease], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(leases, work))
        self._beside_lanes.add(task)
        task.add_done_callback(self._beside_lanes.discard)

    def _enter(self, delivery: LeasedDelivery, *, is_from_behind: bool) -> bool:
        lane = self._lanes.setdefault(delivery.endpoint_id, Lane())
        if (lane.behind or lane.is_refilling) and not is_from_behind:
            return False  # first in, first out
        if self._room(lane) <= 0:
            return False
        self._append(delivery, lane)
        return True

    def _room(self, lane: Lane) -> int:
        return max(0, min(MOST_IN_LANE, max(LEAST_IN_LANE, self._held.capacity_left)) - len(lane.waiting))

    def _append(self, delivery: LeasedDelivery, lane: Lane) -> None:
        lane.waiting.append(delivery)
        if len(lane.workers) < delivery.endpoint.max_concurrent:
            lane.workers.add(asyncio.create_task(self._work(delivery.endpoint_id, lane)))

    async def _work(self, endpoint_id: UUID, lane: Lane) -> None:
        try:
            while lane.waiting:
                delivery = lane.waiting.popleft()
                await self._guarded([delivery], self._deliverer.deliver(delivery, lane.waiting))
                await asyncio.sleep(0)  # what is refused awaits nothing: a lane full of it must not take the loop
                self._refill_if_low(endpoint_id, lane)
        finally:
            # At once, not by a callback in the next turn of the loop: what enters in between would find a full set of
            # workers of which none looks again.
            lane.workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            self._leave_if_empty(endpoint_id, lane)

    def _leave_if_empty(self, endpoint_id: UUID, lane: Lane) -> None:
        if not (lane.workers or lane.waiting or lane.is_refilling):
            self._lanes.pop(endpoint_id, None)

    def _put_behind(self, overflow: Sequence[LeasedDelivery], *, is_first: bool) -> dict[float, list[Lease]]:
        """Remember what found its lane full, if its endpoint answers; return what is to be deferred, by wait.

        *is_first*: it came from there, and goes back before all else that is remembered.
        """
        by_wait: dict[float, list[Lease]] = {}
        for each in reversed(overflow) if is_first else overflow:
            lane = self._lanes[each.endpoint_id]
            answers = not self._deliverer.circuit_is_open(each.endpoint_id)
            if answers and is_first:
                lane.behind.appendleft((each.delivery_id, each.attempt))
            elif answers and len(lane.behind) < MOST_BEHIND:
                lane.behind.append((each.delivery_id, each.attempt))
            by_wait.setdefault(BEHIND_SECONDS if answers else DEFER_WAITS_SECONDS[0], []).append(each)
        return by_wait

    def _refill_if_low(self, endpoint_id: UUID, lane: Lane) -> None:
        if not lane.is_refilling and self._wants_refill(endpoint_id, lane):
            lane.is_refilling = True
            self._run_beside([], self._refill(endpoint_id, lane))

    def _wants_refill(self, endpoint_id: UUID, lane: Lane) -> bool:
        if lane.behind and (self._stopping or self._deliverer.circuit_is_open(endpoint_id)):
            lane.behind.clear()
        return bool(lane.behind) and len(lane.waiting) < REFILL_BELOW

    async def _refill(self, endpoint_id: UUID, lane: Lane) -> None:
        try:
            while self._wants_refill(endpoint_id, lane):
                first = list(islice(lane.behind, min(MOST_PER_REFILL, self._room(lane))))
                # 1. The next in order, if they are still to be deferred: they are not.
                kept = list(takewhile(lambda each: self._settler.withdraw(each[0]), first))
                # 2. Else the next whose leases are given back: leased again, for one lane at a time.
                given_back = list(takewhile(lambda each: not self._held.holds(each[0]), first)) if not kept else []
                for _ in kept or given_back:
                    lane.behind.popleft()
                for delivery_id, _ in kept:
                    if (delivery := self._held.get(delivery_id)) is not None:
                        self._append(delivery, lane)
                if given_back:
                    async with self._one_refill:
                        claimed = {each.delivery_id: each for each in await self._claim(given_back)}
                    # What was not leased is settled, or another process has it.
                    self.enter([claimed[each] for each, _ in given_back if each in claimed], are_from_behind=True)
                if not kept and not given_back:
                    await asyncio.sleep(RELEASED_SECONDS)
        except LEDGER_UNAVAILABLE:
            lane.behind.clear()  # they come back with their messages
        finally:
            lane.is_refilling = False
            if not lane.workers:
                lane.behind.clear()
            self._leave_if_empty(endpoint_id, lane)

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
