"""Takes one held delivery through its attempt, unless it is refused or its endpoint's circuit is open.

What follows the attempt is the settler's; also what follows one at which our own code fails, or that never ends.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from dispatcher.channels.outcome import NotTried, Outcome, Told
from dispatcher.delivery.attempts import Attempts
from dispatcher.delivery.circuit_breaker import Admitted, Circuit, Urls
from dispatcher.delivery.document_budget import DocumentBudget, Reservation
from dispatcher.delivery.leases import LeaseKeeper
from dispatcher.delivery.settler import MadeAttempt, Settler
from dispatcher.metrics import Metrics
from dispatcher.policy.delivery import LeasedDelivery, Refused
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.verdict import GiveUp, Park, Requeue, RetryAfter, Verdict, judge, may_be_overtaken, refuse
from shared.log import get_logger


class Deliverer:
    """Makes attempts, one for each call."""

    def __init__(
        self,
        attempts: Attempts,
        settler: Settler,
        leases: LeaseKeeper,
        metrics: Metrics,
        backoff_seconds: Sequence[float],
    ) -> None:
        self._attempts = attempts
        self._settler = settler
        self._leases = leases
        self._metrics = metrics
        self._backoff_seconds = backoff_seconds
        self._documents = DocumentBudget()
        self._circuits: dict[UUID, Circuit] = {}
        self._stopping = False
        self._log = get_logger()

    def open_circuits(self) -> int:
        """Return how many endpoints get no attempts now but probes."""
        return sum(circuit.is_open for circuit in self._circuits.values())

    def circuit_is_open(self, endpoint_id: UUID) -> bool:
        """Does this endpoint get no attempts of this process now but probes?"""
        return (circuit := self._circuits.get(endpoint_id)) is not None and circuit.is_open

    def defer_seconds(self, endpoint: Endpoint) -> float | None:
        """Return for how long what comes newly for *endpoint* is deferred; None: it may be attempted at once."""
        circuit = self._circuits.get(endpoint.id)
        if circuit is None or circuit.urls != _urls(endpoint) or not circuit.refuses(time.monotonic()):
            return None
        return circuit.wait_seconds

    def refused(self) -> list[Refused]:
        """Return the endpoints that get no attempt of this process now, not even a probe."""
        now = time.monotonic()
        return [
            Refused(
                endpoint_id=endpoint_id,
                url=circuit.urls[0],
                failover_url=circuit.urls[1],
                wait_seconds=circuit.wait_seconds,
            )
            for endpoint_id, circuit in self._circuits.items()
            if circuit.refuses(now)
        ]

    def stop(self) -> None:
        """Requeue from now on what waits for its attempt. Attempts under way are finished.

        Cutting one off would not tell whether the application has it. So stopping takes as long as they do: at most
        twice the longest `timeout_seconds`, and a fetch.
        """
        self._stopping = True

    async def deliver(self, delivery: LeasedDelivery, coming: Iterable[LeasedDelivery] = ()) -> None:
        """Make an attempt at a held delivery and settle it; what our own code fails at is settled as crashed.

        *coming* is what waits behind it in its lane.
        """
        try:
            delivery.take_change()
            if self._stopping:
                await self._settler.settle(delivery, Requeue(0.0))
            elif delivery.is_lost:
                self._settler.drop(delivery)
            elif (refusal := refuse(delivery)) is not None:
                await self._settler.settle(delivery, refusal)
            else:
                await self._through_circuit(delivery, coming)
        except Exception as error:  # noqa: BLE001 - one delivery that breaks our code must not stop its lane
            await self._settler.crashed(delivery, error)

    async def _through_circuit(self, delivery: LeasedDelivery, coming: Iterable[LeasedDelivery]) -> None:
        # 1. Leave of the circuit. Whatever happens then, it is told the outcome: a probe must not be missed for ever.
        urls = _urls(delivery.endpoint)
        circuit = self._circuits.get(delivery.endpoint_id)
        if circuit is None or circuit.urls != urls:  # what timed out at another URL says nothing about this one
            self._circuits.pop(delivery.endpoint_id, None)
            circuit = Circuit(urls)
        admitted = circuit.admit(time.monotonic())
        if admitted is None:
            await self._settler.settle(delivery, self._while_open(delivery, circuit))
            return
        outcome: Outcome = NotTried(error="crashed")
        seconds = 0.0
        try:
            # 2. Memory for the document.
            size = self._attempts.document_bytes(delivery)
            async with self._documents.reserve(delivery.endpoint_id, size) as reservation:
                # 3. The lease: the reservation may have taken its time. Is it still ours, and long enough? Neither a
                # pause nor a later event of its fax, taken in by whichever process, may have come meanwhile.
                await self._leases.note_rank(delivery, coming)
                if not await self._leases.ensure(delivery, self._attempts.lease_seconds(delivery)):
                    self._settler.drop(delivery)
                    return
                if (refusal := self._refuse_late(delivery)) is not None:
                    await self._settler.settle(delivery, refusal)
                    return
                made = await self._attempt(delivery, reservation)
                outcome, seconds = made.outcome, made.seconds
        finally:
            self._report_to_circuit(delivery.endpoint_id, urls, admitted, outcome, seconds)
        # 4. The next step.
        verdict = judge(outcome, delivery.attempt, self._backoff_seconds, spent=delivery.spent)
        if isinstance(verdict, Requeue) and self._stopping:
            verdict = Requeue(0.0)  # another process may do it at once
        self._report(delivery, made, verdict)
        await self._settler.settle(delivery, verdict, made)

    def _refuse_late(self, delivery: LeasedDelivery) -> Verdict | None:
        if delivery.changed is not None and delivery.changed.endpoint.paused:
            return Park()
        return refuse(delivery) if may_be_overtaken(delivery) else None

    async def _attempt(self, delivery: LeasedDelivery, reservation: Reservation) -> MadeAttempt:
        started_at, started = datetime.now(UTC), time.perf_counter()
        outcome = await self._attempts.make(delivery, started_at, reservation)
        return MadeAttempt(outcome, started_at, time.perf_counter() - started)

    def _report_to_circuit(
        self, endpoint_id: UUID, urls: Urls, admitted: Admitted, outcome: Outcome, seconds: float
    ) -> None:
        # Only circuits that count timeouts are kept: there may be an endpoint for each fax.
        circuit = self._circuits.setdefault(endpoint_id, Circuit(urls))
        if circuit.urls != urls:  # changed while the attempt was under way
            return
        circuit.report(admitted, outcome, time.monotonic(), seconds)
        if circuit.is_unused:
            del self._circuits[endpoint_id]

    def _while_open(self, delivery: LeasedDelivery, circuit: Circuit) -> Verdict:
        """Return what becomes of a delivery to an endpoint whose circuit is open: it waits, but not for ever."""
        owed_for = datetime.now(UTC) - delivery.owed_since
        if owed_for.total_seconds() > sum(self._backoff_seconds):
            return GiveUp("timeout", "owed for longer than the whole table takes")
        return Requeue(circuit.wait_seconds)

    def _report(self, delivery: LeasedDelivery, made: MadeAttempt, verdict: Verdict) -> None:
        self._metrics.count_attempt(made.outcome, made.seconds)
        if delivery.attempt == 1 and not delivery.has_waited and isinstance(made.outcome, Told):
            waited = datetime.now(UTC) - delivery.event.received_at
            self._metrics.told_seconds.observe(max(0.0, waited.total_seconds()))
        self._log.info(
            "attempt.made",
            event_id=delivery.event_id,
            provider=delivery.event.provider,
            fax_id=delivery.event.fax_id,
            type=delivery.event.type,
            delivery_id=str(delivery.delivery_id),
            endpoint_id=str(delivery.endpoint_id),
            format=delivery.endpoint.format,
            attempt=delivery.attempt,
            outcome=made.outcome.word,
            verdict=verdict.word,
            http_status=made.outcome.http_status,
            code=made.outcome.error,
            wait_seconds=verdict.wait_seconds if isinstance(verdict, RetryAfter) else None,
            seconds=round(made.seconds, 6),
        )


def _urls(endpoint: Endpoint) -> Urls:
    return endpoint.url, endpoint.failover_url
