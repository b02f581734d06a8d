"""Makes attempts at leased deliveries: each endpoint in its own lane, one that keeps timing out left alone.

What follows an attempt stands in `settle`; also what follows one that breaks our own code, or never ends.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from dispatcher.channels.outcome import NotTried, Outcome, Told
from dispatcher.delivery.attempts import Attempts
from dispatcher.delivery.circuit_breaker import Circuit
from dispatcher.delivery.document_budget import DocumentBudget
from dispatcher.delivery.lanes import Lanes, Leased
from dispatcher.delivery.settler import Held, Settler, why_not_taken
from dispatcher.ledger import deliveries as ledger
from dispatcher.ledger.deliveries import BrokenClaim, Claim, Record
from dispatcher.ledger.intake import OwedDelivery
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.metrics import Metrics
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.lifecycle import is_overtaken
from dispatcher.policy.verdict import Requeue, RetryAfter, Verdict, judge
from shared.backoff import DEFER_WAITS_SECONDS
from shared.domain import Event
from shared.log import get_logger
from shared.runtime.watchdog import Look

RENEW_EVERY_SECONDS: Final = 5.0
"""What waits for its attempt renews its lease this often."""


class Deliverer:
    """Takes leased deliveries through their attempts."""

    def __init__(
        self,
        pool: Pool,
        attempts: Attempts,
        make_settler: Callable[[Callable[[UUID], None]], Settler],
        metrics: Metrics,
        backoff_seconds: Sequence[float],
    ) -> None:
        self._pool = pool
        self._attempts = attempts
        self._metrics = metrics
        self._backoff_seconds = backoff_seconds
        self._lanes = Lanes(self._work, metrics.leased)
        self._settler = make_settler(self._lanes.free)
        self._room = DocumentBudget()
        self._circuits: dict[UUID, Circuit] = {}
        self._stopping = False
        self._log = get_logger()

    def open_circuits(self) -> int:
        """Return how many endpoints are left alone now."""
        return sum(circuit.is_open for circuit in self._circuits.values())

    async def room(self) -> None:
        """Wait until this process may lease more."""
        await self._lanes.room()

    @property
    def has_room(self) -> bool:
        """May this process lease more?"""
        return self._lanes.has_room

    def held(self) -> Look:
        """Return for the watchdog what this process holds, and what it let go of so far."""
        return self._lanes.count, self._lanes.freed

    def take_first(self, owed: Sequence[OwedDelivery]) -> None:
        """Take the deliveries of a batch of events, leased by the transaction that wrote them."""
        for each in owed:
            if each.lease_until is not None:
                self._enter(
                    _leased(
                        each.delivery_id,
                        each.owed.event,
                        each.owed.endpoint,
                        1,
                        each.lease_until,
                        datetime.now(UTC),
                    )
                )

    def take_claims(self, claims: Sequence[Claim | BrokenClaim]) -> None:
        """Take deliveries that came out of `work.deliveries` and were claimed."""
        for claim in claims:
            if self._lanes.holds(claim.delivery_id):
                # Put back behind our back: its lease had run out, or its record is still to be written. The claim
                # has made the lease ours anew; a second attempt would tell twice.
                if (held := self._lanes.held(claim.delivery_id)) is not None:
                    self._lease(held, claim.lease_until, held.endpoint.lease_seconds)
            elif isinstance(claim, BrokenClaim):
                self._take_broken(claim, claim.error)
            else:
                try:
                    self._take_claim(claim)
                except Exception as error:  # noqa: BLE001 - one that breaks our code must not stop the others
                    self._take_broken(_leased_of(claim), error)

    def _take_broken(self, held: Held, error: Exception) -> None:
        self._lanes.hold(held.delivery_id)
        self._settler.in_background(held.delivery_id, self._settler.crashed(held, error))

    def _take_claim(self, claim: Claim) -> None:
        leased = _leased_of(claim)
        if cause := why_not_taken(claim):
            self._lanes.hold(claim.delivery_id)
            bury = self._settler.bury(leased, cause, "the endpoint takes no more")
            self._settler.in_background(claim.delivery_id, bury)
        elif claim.endpoint.overtaken == "skip" and is_overtaken(claim.event.type, claim.fax_rank):
            self._lanes.hold(claim.delivery_id)
            self._settler.record(
                Record(delivery_id=claim.delivery_id, attempt=claim.attempt, state="skipped", reason="overtaken")
            )
        else:
            self._enter(leased)

    def circuit_is_open(self, endpoint_id: UUID) -> bool:
        """Is this endpoint left alone by this process now?"""
        return (circuit := self._circuits.get(endpoint_id)) is not None and circuit.is_open

    async def keep_leases(self) -> None:
        """Renew for ever what this process holds.

        A long lane must not look like a dead process, nor a retry that waits for the broker, nor one that waits for the
        ledger.
        """
        while True:
            await asyncio.sleep(RENEW_EVERY_SECONDS)
            held = [(leased, leased.endpoint.lease_seconds) for leased in self._lanes.leased() if not leased.is_lost]
            with suppress(*LEDGER_UNAVAILABLE):
                await self._renew(held)

    async def _renew(self, wanted: Sequence[tuple[Leased, float]]) -> None:
        leases = [ledger.Lease(leased.delivery_id, leased.lease_until, seconds) for leased, seconds in wanted]
        renewed = await ledger.renew(self._pool, leases) if leases else {}
        for leased, seconds in wanted:
            if leased.delivery_id in renewed:
                self._lease(leased, renewed[leased.delivery_id], seconds)
            else:
                leased.is_lost = True

    def _lease(self, leased: Leased, lease_until: datetime, seconds: float) -> None:
        leased.lease_until = lease_until
        leased.lease_ends = time.monotonic() + seconds
        leased.is_lost = False

    async def drain(self) -> None:
        """Finish the attempts under way, put back what only waited, write all outcomes.

        Takes as long as the attempts under way: at most twice the longest `timeout_seconds`, and a fetch. Cutting one
        off would not tell whether the application has it.
        """
        self._stopping = True
        await self._lanes.idle()
        await self._settler.drained()

    def _enter(self, leased: Leased) -> None:
        self._lanes.hold(leased.delivery_id, leased)
        if not self._lanes.enter(leased):
            self._defer(leased, DEFER_WAITS_SECONDS[0])

    def _defer(self, leased: Leased, wait_seconds: float) -> None:
        self._metrics.deferred.inc()
        self._log.info(
            "delivery.deferred",
            event_id=leased.event.id,
            delivery_id=str(leased.delivery_id),
            endpoint_id=str(leased.endpoint.id),
            attempt=leased.attempt,
            seconds=wait_seconds,
        )
        self._settler.in_background(leased.delivery_id, self._settler.put_back(leased, wait_seconds))

    async def _work(self, leased: Leased) -> None:
        try:
            await self._deliver(leased)
        except Exception as error:  # noqa: BLE001 - one delivery that breaks our code must not stop its lane
            await self._settler.crashed(leased, error)

    async def _deliver(self, leased: Leased) -> None:
        if self._stopping:
            await self._settler.put_back(leased, 0.0)
            return
        circuit = self._circuits.setdefault(leased.endpoint.id, Circuit())
        admitted = circuit.admit(time.monotonic())
        if admitted is None:
            await self._leave_alone(leased, circuit)
            return
        outcome: Outcome = NotTried(error="crashed")
        try:
            async with self._room.held(leased.endpoint.id, self._attempts.document_bytes(leased)) as room:
                if not await self._still_ours(leased):
                    self._log.info("delivery.dropped", delivery_id=str(leased.delivery_id), attempt=leased.attempt)
                    self._lanes.free(leased.delivery_id)
                    return
                started_at = datetime.now(UTC)
                started = time.perf_counter()
                outcome = await self._attempts.make(leased, started_at, room)
                seconds = time.perf_counter() - started
        finally:
            circuit.report(admitted, outcome, time.monotonic())
        if isinstance(outcome, NotTried) and not self._stopping:
            # Our own trouble, at this moment: in a moment's time, rather than round in circles.
            self._report(leased, outcome, Requeue(), seconds)
            self._defer(leased, DEFER_WAITS_SECONDS[0])
            return
        verdict = judge(outcome, leased.attempt - leased.spent, self._backoff_seconds)
        self._report(leased, outcome, verdict, seconds)
        await self._settler.settle(leased, verdict, _record(leased, outcome, started_at, seconds))

    async def _leave_alone(self, leased: Leased, circuit: Circuit) -> None:
        """Defer what is owed to an endpoint whose circuit is open; what the whole table could not save is given up."""
        owed_for = datetime.now(UTC) - leased.owed_since
        if owed_for.total_seconds() > sum(self._backoff_seconds):
            await self._settler.bury(leased, "timeout", "owed for longer than the whole table takes")
        else:
            self._defer(leased, circuit.wait_seconds)

    async def _still_ours(self, leased: Leased) -> bool:
        """Is the lease ours, and long enough for the attempt to end within it, a document to fetch included?"""
        lease_seconds = self._attempts.lease_seconds(leased)
        enough_seconds = lease_seconds - 2 * RENEW_EVERY_SECONDS - 2.0
        if not leased.is_lost and leased.lease_ends - time.monotonic() < enough_seconds:
            try:
                await self._renew([(leased, lease_seconds)])
            except LEDGER_UNAVAILABLE:
                return False
        return not leased.is_lost

    def _report(self, leased: Leased, outcome: Outcome, verdict: Verdict, seconds: float) -> None:
        self._metrics.attempted(outcome, seconds)
        if leased.attempt == 1 and isinstance(outcome, Told):
            waited = datetime.now(UTC) - leased.event.received_at
            self._metrics.told_seconds.observe(max(0.0, waited.total_seconds()))
        self._log.info(
            "attempt.made",
            event_id=leased.event.id,
            provider=leased.event.provider,
            fax_id=leased.event.fax_id,
            type=leased.event.type,
            delivery_id=str(leased.delivery_id),
            endpoint_id=str(leased.endpoint.id),
            format=leased.endpoint.format,
            attempt=leased.attempt,
            outcome=type(outcome).__name__,
            verdict=type(verdict).__name__,
            http_status=None if isinstance(outcome, NotTried) else outcome.http_status,
            code=None if isinstance(outcome, Told) else outcome.error,
            wait_seconds=verdict.wait_seconds if isinstance(verdict, RetryAfter) else None,
            seconds=round(seconds, 6),
        )


def _leased_of(claim: Claim) -> Leased:
    leased = _leased(claim.delivery_id, claim.event, claim.endpoint, claim.attempt, claim.lease_until, claim.owed_since)
    leased.spent = claim.spent
    return leased


def _leased(
    delivery_id: UUID, event: Event, endpoint: Endpoint, attempt: int, lease_until: datetime, owed_since: datetime
) -> Leased:
    return Leased(
        delivery_id=delivery_id,
        event=event,
        endpoint=endpoint,
        attempt=attempt,
        owed_since=owed_since,
        lease_until=lease_until,
        lease_ends=time.monotonic() + endpoint.lease_seconds,
    )


def _record(leased: Leased, outcome: Outcome, started_at: datetime, seconds: float) -> Record:
    return Record(
        delivery_id=leased.delivery_id,
        attempt=leased.attempt,
        state="told",
        started_at=started_at,
        seconds=seconds,
        outcome="told" if isinstance(outcome, Told) else "not_told",
        error=None if isinstance(outcome, Told) else outcome.error,
        url=None if isinstance(outcome, NotTried) else outcome.url,
        http_status=None if isinstance(outcome, NotTried) else outcome.http_status,
        answer=b"" if isinstance(outcome, NotTried) else outcome.answer,
    )
