"""A delivery in hand: what this process knows of a delivery that it holds by lease. Pure data."""

import time
from datetime import datetime
from uuid import UUID

import msgspec

from dispatcher.policy.endpoint import Endpoint
from shared.domain import Event


class EndpointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint, removed ones included. `is_gone`: it is disabled because it answered 410."""

    endpoint: Endpoint
    is_removed: bool
    is_gone: bool


class NextAttempt(msgspec.Struct, kw_only=True):
    """Which attempt of which delivery is the next: what its message says, and what is logged of it.

    Attributes:
        attempt: The number of the attempt to make, from 1.
    """

    delivery_id: UUID
    event_id: str
    endpoint_id: UUID
    attempt: int


class Lease(NextAttempt, kw_only=True):
    """A delivery that this process holds, whether or not the rest of its row can be read.

    Attributes:
        lease_until: By the ledger's clock. It proves that the lease is ours: a statement that renews or releases the
            lease names it.
    """

    lease_until: datetime


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that gets no attempt of this process now, as long as it has these URLs: its circuit is open.

    Attributes:
        wait_seconds: For how long what is owed to it is deferred, one of the defer waits.
    """

    endpoint_id: UUID
    url: str
    failover_url: str | None
    wait_seconds: float


class Deferred(NextAttempt, kw_only=True):
    """A delivery that was deferred without a lease, since its endpoint was refused.

    Attributes:
        wait_seconds: Until it is due again.
        overdue_seconds: How long after its due time that was; 0 for what comes newly.
    """

    wait_seconds: float
    overdue_seconds: float = 0.0


class LeasedDelivery(Lease, kw_only=True):
    """A delivery from its lease to its record; the only struct that carries it on its way.

    Attributes:
        owed_since: When it came to be owed, or was replayed or resumed last.
        has_waited: It was replayed, recovered or resumed: how long its event waited says nothing about us.
        tells_overtaken: It is told even if a later event of its fax is known: a person asked for it.
        spent: Attempts before the last replay, which spend none of the budget.
        fax_rank: How far its fax had come when that was looked up last: with the lease, and after a wait for its turn.
        held_since: When this process leased it, on our monotonic clock, in seconds.
        ranked_at: When its fax's rank was looked up again, likewise; 0 if it was not.
        is_removed: The endpoint was removed after the delivery was owed.
        is_gone: The endpoint is disabled because it answered 410.
        overdue_seconds: How long after its due time it was leased; below 0 for what was put back early.
        lease_ends: `lease_until` at the earliest on our monotonic clock, in seconds.
        is_lost: The lease turned out to be another process's; nothing is attempted.
        changed: What its endpoint was changed to after it was leased; see `take_change`.
        trace: The trace context that its event came with, as the ledger keeps it; see `shared.tracing.context`.
    """

    event: Event
    endpoint: Endpoint
    owed_since: datetime
    has_waited: bool = False
    tells_overtaken: bool = False
    spent: int = 0
    fax_rank: int = 0
    is_removed: bool = False
    is_gone: bool = False
    overdue_seconds: float = 0.0
    lease_ends: float = 0.0
    held_since: float = 0.0
    ranked_at: float = 0.0
    is_lost: bool = False
    changed: EndpointStatus | None = None
    trace: str | None = None

    def __post_init__(self) -> None:
        self.held_since = time.monotonic()
        self.lease_for(self.endpoint.lease_seconds)

    def lease_for(self, seconds: float, until: datetime | None = None) -> None:
        """Note that the lease lasts *seconds* from now on, which is *until* by the ledger's clock."""
        self.lease_until = until or self.lease_until
        self.lease_ends = time.monotonic() + seconds
        self.is_lost = False

    def take_change(self) -> None:
        """Go on with the endpoint as it is now: before an attempt, never within one."""
        if self.changed is not None:
            self.endpoint = self.changed.endpoint
            self.is_removed, self.is_gone = self.changed.is_removed, self.changed.is_gone
            self.changed = None


class UnreadableDelivery(Lease, kw_only=True):
    """A delivery that was leased like others, but whose row our own code could not read: *error* says why."""

    error: Exception
