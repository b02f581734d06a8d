"""What follows an attempt: the next step exists, confirmed, before this one is recorded.

| verdict | then |
|---|---|
| told | recorded |
| retry | next attempt published to its delay queue and confirmed, then recorded |
| given up | dead letter published and confirmed, then recorded; an endpoint that answered 410 is disabled |
| skipped | recorded |
| requeued | the lease released, a message left for the process that comes next; nothing is counted |
| parked: its endpoint is paused | the lease released; it waits in the ledger, without a message |
| crashed: our own code failed | counted in the ledger, requeued; after `MOST_CRASHES` given up as above |
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, assert_never
from uuid import UUID

import msgspec

from dispatcher.channels.outcome import Outcome
from dispatcher.delivery.held import HeldDeliveries
from dispatcher.delivery.leases import Releaser
from dispatcher.delivery.recorder import Recorder
from dispatcher.ledger import deliveries
from dispatcher.ledger.deliveries import Record
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.messages import DeadDelivery, PersistentPublisher, Publishing, publish_dead, publish_delivery
from dispatcher.metrics import Metrics
from dispatcher.policy.delivery import Lease
from dispatcher.policy.verdict import GONE, GiveUp, Park, Requeue, RetryAfter, Settle, Skip, Verdict
from shared.backoff import DEFER_WAITS_SECONDS
from shared.broker import FAX_RETRY, retry_queue
from shared.errors import place_of
from shared.log import get_logger

MOST_CRASHES: Final = 3
"""Tries at a delivery at which our own code fails; what is not the delivery's fault has passed by then."""


class MadeAttempt(msgspec.Struct, frozen=True):
    """An attempt that was made: its outcome, when it began, and how long it took."""

    outcome: Outcome
    started_at: datetime
    seconds: float


class Settler:
    """Gives each held delivery its next step, and has it recorded."""

    def __init__(
        self,
        pool: Pool,
        store: EndpointStore,
        publisher: Publishing,
        recorder: Recorder,
        releaser: Releaser,
        held: HeldDeliveries,
        metrics: Metrics,
    ) -> None:
        self._pool = pool
        self._store = store
        self._publisher = PersistentPublisher(publisher)
        self._recorder = recorder
        self._releaser = releaser
        self._held = held
        self._metrics = metrics
        self._log = get_logger()

    async def settle(self, lease: Lease, verdict: Verdict, made: MadeAttempt | None = None) -> None:
        """Do what *verdict* says, and have it recorded with the attempt that was *made*, if one was."""
        record = Record(delivery_id=lease.delivery_id, attempt=lease.attempt, state="told")
        match verdict:
            case Settle():
                pass
            case RetryAfter(wait_seconds):
                queue = retry_queue(wait_seconds)
                await publish_delivery(self._publisher, FAX_RETRY, queue, lease.delivery_id, lease.attempt + 1)
                record = msgspec.structs.replace(record, state="retrying", wait_seconds=wait_seconds)
            case GiveUp(cause, reason):
                await publish_dead(self._publisher, self._metrics, _dead(lease, cause, reason))
                record = msgspec.structs.replace(record, state="dead", reason=cause)
                if cause == GONE and made is not None:
                    await self._disable(lease.endpoint_id)
            case Skip(reason):
                record = msgspec.structs.replace(record, state="skipped", reason=reason)
            case Requeue(wait_seconds):
                self.requeue([lease], wait_seconds)
                return
            case Park():
                self._releaser.release([lease], None)
                return
            case _:
                assert_never(verdict)
        self._recorder.record(record if made is None else _with_attempt(record, made))

    def requeue(self, leases: Sequence[Lease], wait_seconds: float) -> None:
        """Release leases soon, without an attempt, each with a message, to come now or after a defer wait."""
        self._releaser.release(leases, wait_seconds)

    def withdraw(self, delivery_id: UUID) -> bool:
        """Keep the lease of a delivery that was to be requeued; False if it is being released, or is released."""
        return self._releaser.withdraw(delivery_id)

    async def crashed(self, lease: Lease, error: BaseException) -> None:
        """Our own code failed on a delivery: try again a little later, and give it up after a few times."""
        place = place_of(error)
        self._log.error(
            "attempt.crashed",
            delivery_id=str(lease.delivery_id),
            event_id=lease.event_id,
            attempt=lease.attempt,
            reason=place,
        )
        try:
            crashes = await deliveries.count_crash(self._pool, lease, place)
        except LEDGER_UNAVAILABLE as trouble:
            # The lease runs out by itself.
            self._log.warning("record.delayed", count=1, reason=type(trouble).__name__)
            crashes = None
        if crashes is None:
            self._held.free(lease.delivery_id)
        elif crashes < MOST_CRASHES:
            self.requeue([lease], DEFER_WAITS_SECONDS[min(crashes, len(DEFER_WAITS_SECONDS)) - 1])
        else:
            await self.settle(lease, GiveUp("crashed", place))

    def drop(self, lease: Lease) -> None:
        """Let go of a delivery whose lease is another process's by now."""
        self._log.info("delivery.dropped", delivery_id=str(lease.delivery_id), attempt=lease.attempt)
        self._held.free(lease.delivery_id)

    async def _disable(self, endpoint_id: UUID) -> None:
        try:
            if await self._store.gone(self._pool, endpoint_id):
                self._log.warning("endpoint.gone", endpoint_id=str(endpoint_id))
        except LEDGER_UNAVAILABLE as error:
            # Its next 410 disables it.
            self._log.warning("record.delayed", count=1, reason=type(error).__name__)


def _dead(lease: Lease, cause: str, reason: str) -> DeadDelivery:
    return DeadDelivery(
        delivery_id=lease.delivery_id,
        attempt=lease.attempt,
        event_id=lease.event_id,
        endpoint_id=lease.endpoint_id,
        cause=cause,
        reason=reason,
        died_at=datetime.now(UTC),
    )


def _with_attempt(record: Record, made: MadeAttempt) -> Record:
    return msgspec.structs.replace(
        record,
        started_at=made.started_at,
        seconds=made.seconds,
        outcome=made.outcome.word,
        url=made.outcome.url,
        http_status=made.outcome.http_status,
        error=made.outcome.error,
        answer=made.outcome.answer,
        sent=made.outcome.sent,
    )
