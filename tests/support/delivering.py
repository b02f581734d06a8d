"""The steps of a delivery, made for tests that run one of them alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from dispatchers import an_event
from prometheus_client import Gauge

from dispatcher.delivery.held import HeldDeliveries
from dispatcher.policy.delivery import Lease, LeasedDelivery
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.verdict import Verdict
from shared.domain import Event
from shared.ids import uuid7


def new_held() -> HeldDeliveries:
    """Return what a process holds before it holds anything."""
    return HeldDeliveries(Gauge("held", "held", registry=None))


def a_delivery(
    number: int, endpoint: Endpoint | None = None, event: Event | None = None, **fields: Any
) -> LeasedDelivery:
    """Return a leased delivery of event *number*."""
    event = event or an_event(number)
    endpoint = endpoint or Endpoint(id=uuid7(), url="http://application.example/")
    fixed = {
        "delivery_id": uuid7(),
        "event_id": event.id,
        "endpoint_id": endpoint.id,
        "attempt": 1,
        "lease_until": event.received_at + timedelta(seconds=60),
        "event": event,
        "endpoint": endpoint,
        "owed_since": event.received_at,
    }
    return LeasedDelivery(**{**fixed, **fields})


@dataclass
class NotedSettler:
    """A settler that does nothing but keep what it was asked for, and let go of the deliveries."""

    held: HeldDeliveries
    settled: list[tuple[UUID, Verdict]] = field(default_factory=list)
    requeued: list[tuple[UUID, float]] = field(default_factory=list)
    crashes: list[tuple[UUID, BaseException]] = field(default_factory=list)
    dropped: list[UUID] = field(default_factory=list)

    async def settle(self, lease: Lease, verdict: Verdict, _made: Any = None) -> None:
        self.settled.append((lease.delivery_id, verdict))
        self.held.free(lease.delivery_id)

    def requeue(self, leases: Sequence[Lease], wait_seconds: float) -> None:
        for lease in leases:
            self.requeued.append((lease.delivery_id, wait_seconds))
            self.held.free(lease.delivery_id)

    def withdraw(self, _delivery_id: UUID) -> bool:
        return False

    async def crashed(self, lease: Lease, error: BaseException) -> None:
        self.crashes.append((lease.delivery_id, error))
        self.held.free(lease.delivery_id)

    def drop(self, lease: Lease) -> None:
        self.dropped.append(lease.delivery_id)
        self.held.free(lease.delivery_id)
