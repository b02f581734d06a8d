"""Makes attempts at leased deliveries: each endpoint in its own lane, one that keeps timing out left alone.

What follows an attempt stands in `settle`. An attempt that breaks our own code leaves its lease to run out, and the
sweeper puts it back.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Protocol
from uuid import UUID

from dispatcher import ledger
from dispatcher.channels import Attempt, Channel
from dispatcher.circuit import Circuit
from dispatcher.fetch import LEASE_SECONDS as FETCH_LEASE_SECONDS
from dispatcher.fetch import may_need_fetch
from dispatcher.formats import FORMATS
from dispatcher.intake import OwedDelivery
from dispatcher.lanes import Lanes, Leased
from dispatcher.ledger import Claim, Record
from dispatcher.lifecycle import is_overtaken
from dispatcher.metrics import Metrics
from dispatcher.outcome import NotTold, NotTried, Outcome, PutBack, Told, Verdict, judge
from dispatcher.pool import LEDGER_AWAY, LEDGER_BUSY, Pool
from dispatcher.routing import Endpoint, has_word
from dispatcher.settle import Settler, why_not_taken
from dispatcher.way_out import ProxyAway
from shared.backoff import DEFER_WAITS_SECONDS
from shared.domain import Event
from shared.ids import command_id
from shared.log import get_logger
from shared.media import MediaUnavailable


class Documents(Protocol):
    """What gives an event's document."""

    async def of(self, event: Event, attempt: int) -> tuple[Event, bytes | None]:
        """Return it, and the event that tells of it; raise `MediaUnavailable` or `ProxyAway` for our own trouble."""


RENEW_EVERY_SECONDS: Final = 5.0
"""What waits for its attempt renews its lease this often."""


class Deliverer:
    """Takes leased deliveries through their attempts."""

    def __init__(
        self,
        pool: Pool,
        channels: Mapping[str, Channel],
        documents: Documents,
        make_settler: Callable[[Callable[[UUID], None]], Settler],
        metrics: Metrics,
        backoff_seconds: Sequence[float],
    ) -> None:
        self._pool = pool
        self._channels = channels
        self._documents = documents
        self._metrics = metrics
        self._backoff_seconds = backoff_seconds
        self._lanes = Lanes(self._work, metrics.leased)
        self._settler = make_settler(self._lanes.free)
        self._circuits: dict[UUID, Circuit] = {}
        self._stopping = False
        self._log = get_logger()

    async def room(self) -> None:
        """Wait until this process may lease more."""
        await self._lanes.room()

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

    def take_claims(self, claims: Sequence[Claim]) -> None:
        """Take deliveries that came out of `work.deliveries` and were claimed."""
        for claim in claims:
            if self._lanes.holds(claim.delivery_id):
                # Put back behind our back: its lease had run out, or its record is still to be written. The claim
                # has made the lease ours anew; a second attempt would tell twice.
                if (held := self._lanes.held(claim.delivery_id)) is not None:
                    self._lease(held, claim.lease_until, held.endpoint.lease_seconds)
            else:
                self._take_claim(claim)

    def _take_claim(self, claim: Claim) -> None:
        leased = _leased(
            claim.delivery_id, claim.event, claim.endpoint, claim.attempt, claim.lease_until, claim.owed_since
        )
        leased.spent = claim.spent
        if cause := why_not_taken(claim):
            self._lanes.hold(claim.delivery_id)
            self._settler.in_background(self._settler.bury(leased, cause, "the endpoint takes no more"))
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
        """Renew for ever what waits for its attempt: a long lane must not look like a dead process."""
        while True:
            await asyncio.sleep(RENEW_EVERY_SECONDS)
            waiting = [(leased, leased.endpoint.lease_seconds) for leased in self._lanes.waiting()]
            with suppress(*LEDGER_AWAY, *LEDGER_BUSY):
                await self._renew([each for each in waiting if not each[0].is_lost])

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
        self._log.info(
            "delivery.deferred",
            delivery_id=str(leased.delivery_id),
            endpoint_id=str(leased.endpoint.id),
            seconds=wait_seconds,
        )
        self._settler.in_background(self._settler.put_back(leased, wait_seconds))

    async def _work(self, leased: Leased) -> None:
        if self._stopping:
            await self._settler.put_back(leased, 0.0)
            return
        circuit = self._circuits.setdefault(leased.endpoint.id, Circuit())
        if not circuit.admits(time.monotonic()):
            await self._leave_alone(leased, circuit)
            return
        outcome: Outcome = NotTried(error="crashed")
        try:
            if not await self._still_ours(leased):
                self._log.info("delivery.dropped", delivery_id=str(leased.delivery_id))
                self._lanes.free(leased.delivery_id)
                return
            started_at = datetime.now(UTC)
            started = time.perf_counter()
            outcome = await self._attempt(leased, started_at)
            seconds = time.perf_counter() - started
        finally:
            circuit.report(outcome, time.monotonic())
        if isinstance(outcome, NotTried) and not self._stopping:
            # Our own trouble, at this moment: in a moment's time, rather than round in circles.
            self._report(leased, outcome, PutBack(), seconds)
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
        lease_seconds = leased.endpoint.lease_seconds
        if may_need_fetch(leased.event) and self._wants_document(leased):
            lease_seconds += FETCH_LEASE_SECONDS
        enough_seconds = lease_seconds - 2 * RENEW_EVERY_SECONDS - 2.0
        if not leased.is_lost and leased.lease_ends - time.monotonic() < enough_seconds:
            try:
                await self._renew([(leased, lease_seconds)])
            except (*LEDGER_AWAY, *LEDGER_BUSY):
                return False
        return not leased.is_lost

    async def _attempt(self, leased: Leased, now: datetime) -> Outcome:
        endpoint = leased.endpoint
        if endpoint.format not in FORMATS:
            # Set by a newer version of ours, which will know what to say; this one puts it back.
            return NotTried(error="unknown_format")
        try:
            outcome = await self._try_url(leased, endpoint.url, now)
            failover_url = endpoint.failover_url
            if (
                isinstance(outcome, NotTold)
                and failover_url is not None
                and has_word(failover_url, endpoint.format, leased.event)
            ):
                failover = await self._try_url(leased, failover_url, now)
                # Our own trouble on the way to the failover does not undo that the endpoint itself failed us; nor does
                # a failure there undo that the endpoint wants to be told no more.
                if isinstance(failover, Told) or not (isinstance(failover, NotTried) or outcome.is_gone):
                    outcome = failover
        except (MediaUnavailable, ProxyAway) as error:
            return NotTried(error=error.code)
        return outcome

    def _wants_document(self, leased: Leased) -> bool:
        urls = (leased.endpoint.url, leased.endpoint.failover_url)
        return any(url and self._channel(url).wants_document(leased.event, leased.endpoint.format) for url in urls)

    def _channel(self, url: str) -> Channel:
        return self._channels[url.partition(":")[0]]

    async def _try_url(self, leased: Leased, url: str, now: datetime) -> Outcome:
        endpoint, event = leased.endpoint, leased.event
        channel = self._channel(url)
        document = None
        if event.media is not None and channel.wants_document(event, endpoint.format):
            event, document = await self._documents.of(event, leased.attempt)
        return await channel.attempt(
            Attempt(
                event=event,
                document=document,
                url=url,
                format=endpoint.format,
                tokens=endpoint.tokens,
                timeout_seconds=endpoint.timeout_seconds,
                delivery_id=leased.delivery_id,
                command_id=command_id(event.id, endpoint.id),
                number=leased.attempt,
                now=now,
            )
        )

    def _report(self, leased: Leased, outcome: Outcome, verdict: Verdict, seconds: float) -> None:
        self._metrics.attempted(outcome, seconds)
        if leased.attempt == 1 and isinstance(outcome, Told):
            waited = datetime.now(UTC) - leased.event.received_at
            self._metrics.told_seconds.observe(max(0.0, waited.total_seconds()))
        self._log.info(
            "attempt.made",
            event_id=leased.event.id,
            delivery_id=str(leased.delivery_id),
            endpoint_id=str(leased.endpoint.id),
            attempt=leased.attempt,
            outcome=type(outcome).__name__,
            verdict=type(verdict).__name__,
            http_status=None if isinstance(outcome, NotTried) else outcome.http_status,
            code=None if isinstance(outcome, Told) else outcome.error,
            seconds=round(seconds, 6),
        )


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
