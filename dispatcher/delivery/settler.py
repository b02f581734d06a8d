"""What follows an attempt: the next step exists, confirmed, before this one is recorded.

| verdict | then |
|---|---|
| told | recorded |
| retry | next attempt published to its delay queue and confirmed, then recorded |
| given up | dead letter published and confirmed, then recorded; an endpoint that answered 410 is switched off |
| put back | the lease given back, a message left for whoever comes next; nothing is counted |
| crashed: our own code broke | counted in the ledger, put back; after `MOST_CRASHES` given up as above |
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final, Protocol, assert_never
from uuid import UUID

import msgspec

from dispatcher.delivery.lanes import Leased
from dispatcher.delivery.recorder import Recorder
from dispatcher.ledger import deliveries as ledger
from dispatcher.ledger.deliveries import Claim, Record
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.messages import DeadDelivery, DeliveryMessage, Publishing, publish_until_kept
from dispatcher.metrics import Metrics
from dispatcher.policy.verdict import GONE, GiveUp, Requeue, RetryAfter, Settle, Verdict
from shared.backoff import DEFER_WAITS_SECONDS
from shared.broker import DEAD_DELIVERY, FAX_DEAD, FAX_RETRY, FAX_WORK, WORK_KEY, defer_queue, retry_queue
from shared.errors import place_of
from shared.log import get_logger

MOST_CRASHES: Final = 3
"""Tries at a delivery that breaks our own code; what is not its own fault has passed by then, or hits everybody."""


class Held(Protocol):
    """A delivery whose lease is ours, however much more is known of it."""

    @property
    def delivery_id(self) -> UUID:
        """Its id."""

    @property
    def event_id(self) -> str:
        """Of which event."""

    @property
    def endpoint_id(self) -> UUID:
        """Owed to which endpoint."""

    @property
    def attempt(self) -> int:
        """The number of the attempt to make, or made."""

    @property
    def lease_until(self) -> datetime:
        """By the ledger's clock: proves that the lease is ours."""


class Settler:
    """Sees to it that each delivery has a next step. *free* tells that the process holds one no longer."""

    def __init__(
        self,
        pool: Pool,
        store: EndpointStore,
        publisher: Publishing,
        recorder: Recorder,
        metrics: Metrics,
        free: Callable[[UUID], None],
    ) -> None:
        self._pool = pool
        self._store = store
        self._publisher = publisher
        self._recorder = recorder
        self._metrics = metrics
        self._free = free
        self._background: set[asyncio.Task[None]] = set()
        self._log = get_logger()

    async def settle(self, leased: Leased, verdict: Verdict, record: Record) -> None:
        """Do what *verdict* says; *record* is the attempt as a told one would be written."""
        match verdict:
            case Settle():
                pass
            case RetryAfter(wait):
                await self._publish_attempt(FAX_RETRY, retry_queue(wait), leased.delivery_id, leased.attempt + 1)
                record = msgspec.structs.replace(record, state="retrying", wait_seconds=wait)
            case GiveUp(cause):
                reason = "it answered 410" if cause == GONE else f"the last of {leased.attempt} attempts failed"
                await self._publish_dead(leased, cause, reason)
                record = msgspec.structs.replace(record, state="dead", reason=cause)
                if cause == GONE:
                    await self._switch_off(leased.endpoint.id)
            case Requeue():
                await self.put_back(leased, 0.0)
                return
            case _:
                assert_never(verdict)
        self.record(record)

    def record(self, record: Record) -> None:
        """Have an outcome written; the delivery is held until it is."""

        def written() -> None:
            self._free(record.delivery_id)

        self._recorder.record(record, written)

    async def bury(self, leased: Held, cause: str, reason: str) -> None:
        """Give a delivery up without an attempt."""
        await self._publish_dead(leased, cause, reason)
        self.record(Record(delivery_id=leased.delivery_id, attempt=leased.attempt, state="dead", reason=cause))

    async def put_back(self, leased: Held, wait_seconds: float) -> None:
        """Give the lease back without an attempt and leave a message: at once, or for after one of the defer waits."""
        exchange, key = (FAX_RETRY, defer_queue(wait_seconds)) if wait_seconds else (FAX_WORK, WORK_KEY)
        # The lease goes first: a message that finds a live lease is dropped. Should we die between the two, the
        # delivery is due without a message, which is what the sweeper looks for.
        try:
            if await self._release(leased, wait_seconds):
                self._free(leased.delivery_id)
                await self._publish_attempt(exchange, key, leased.delivery_id, leased.attempt)
        except LEDGER_UNAVAILABLE as error:
            # The lease runs out by itself.
            self._log.warning("record.delayed", count=1, reason=type(error).__name__)
        finally:
            self._free(leased.delivery_id)

    async def _release(self, leased: Held, wait_seconds: float) -> bool:
        """Give the lease back; again, if it was renewed in the same moment. False if it is no longer ours."""
        while True:
            until = leased.lease_until
            if await ledger.release(self._pool, [ledger.Lease(leased.delivery_id, until, wait_seconds)]):
                return True
            if leased.lease_until == until:
                return False

    async def crashed(self, leased: Held, error: BaseException) -> None:
        """Our own code broke on a delivery: try again a little later, and give it up after a few times."""
        place = place_of(error)
        self._log.error(
            "attempt.crashed",
            delivery_id=str(leased.delivery_id),
            event_id=leased.event_id,
            attempt=leased.attempt,
            reason=place,
        )
        try:
            crashes = await ledger.crashed(self._pool, leased.delivery_id, leased.lease_until, place)
        except LEDGER_UNAVAILABLE as trouble:
            # The lease runs out by itself.
            self._log.warning("record.delayed", count=1, reason=type(trouble).__name__)
            crashes = None
        if crashes is None:
            self._free(leased.delivery_id)
        elif crashes < MOST_CRASHES:
            await self.put_back(leased, DEFER_WAITS_SECONDS[min(crashes, len(DEFER_WAITS_SECONDS)) - 1])
        else:
            await self.bury(leased, "crashed", place)

    def in_background(self, delivery_id: UUID, work: Coroutine[Any, Any, None]) -> None:
        """Do something for a held delivery that nobody waits for, but `drained` does."""

        def done(task: "asyncio.Task[None]") -> None:
            self._background.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                # The lease runs out by itself.
                self._log.error("attempt.crashed", delivery_id=str(delivery_id), reason=place_of(error))
                self._free(delivery_id)

        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(done)

    async def drained(self) -> None:
        """Wait until all is published and recorded."""
        while self._background:
            await asyncio.wait(self._background)
        await self._recorder.drained()

    async def _switch_off(self, endpoint_id: UUID) -> None:
        try:
            if await self._store.gone(self._pool, endpoint_id):
                self._log.warning("endpoint.gone", endpoint_id=str(endpoint_id))
        except LEDGER_UNAVAILABLE as error:
            # Its next 410 will do it.
            self._log.warning("record.delayed", count=1, reason=type(error).__name__)

    async def _publish_attempt(self, exchange: str, key: str, delivery_id: UUID, attempt: int) -> None:
        body = msgspec.json.encode(DeliveryMessage(delivery_id, attempt))
        await publish_until_kept(self._publisher, exchange, key, body, {"attempt": attempt})

    async def _publish_dead(self, leased: Held, cause: str, reason: str) -> None:
        dead = DeadDelivery(
            delivery_id=leased.delivery_id,
            attempt=leased.attempt,
            event_id=leased.event_id,
            endpoint_id=leased.endpoint_id,
            cause=cause,
            reason=reason,
            died_at=datetime.now(UTC),
        )
        body = msgspec.json.encode(dead)
        await publish_until_kept(self._publisher, FAX_DEAD, DEAD_DELIVERY, body, {"cause": cause})
        self._metrics.died(cause)
        self._log.warning(
            "delivery.dead",
            delivery_id=str(leased.delivery_id),
            event_id=leased.event_id,
            endpoint_id=str(leased.endpoint_id),
            attempt=leased.attempt,
            cause=cause,
        )


def why_not_taken(claim: Claim) -> str | None:
    """Return the cause of the dead letter that a claim becomes whose endpoint takes no more; None if it does."""
    if claim.is_removed:
        return "endpoint_removed"
    if claim.endpoint.enabled:
        return None
    return GONE if claim.is_gone else "endpoint_disabled"
