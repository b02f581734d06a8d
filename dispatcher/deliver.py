"""Makes attempts at leased deliveries and sees to it that each has a next step before this one is forgotten.

| what happened | then |
|---|---|
| told | recorded |
| not told, the table has a wait left | next attempt published and confirmed, then recorded |
| not told, the table is used up | dead letter published and confirmed, then recorded |
| our own trouble, or we are stopping | put back, not counted |
| our own code failed | the lease runs out and the sweeper puts it back |
"""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Protocol, assert_never
from uuid import UUID

import msgspec

from dispatcher import ledger
from dispatcher.channels import Attempt, Channel
from dispatcher.fetch import LEASE_SECONDS as FETCH_LEASE_SECONDS
from dispatcher.fetch import may_need_fetch
from dispatcher.formats import FORMATS
from dispatcher.intake import OwedDelivery
from dispatcher.lanes import Lanes, Leased
from dispatcher.ledger import Claim, Record
from dispatcher.lifecycle import is_overtaken
from dispatcher.messages import DeadDelivery, DeliveryMessage, Publishing, publish_until_kept
from dispatcher.metrics import Metrics
from dispatcher.outcome import Bury, NotTold, NotTried, Outcome, PutBack, RetryAfter, Settle, Told, Verdict, judge
from dispatcher.pool import LEDGER_AWAY, LEDGER_BUSY, Pool
from dispatcher.recorder import Recorder
from dispatcher.routing import Endpoint, has_word
from dispatcher.way_out import ProxyAway
from shared.backoff import DEFER_WAITS_SECONDS
from shared.broker import DEAD_DELIVERY, FAX_DEAD, FAX_RETRY, FAX_WORK, WORK_KEY, defer_queue, retry_queue
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
        publisher: Publishing,
        channels: Mapping[str, Channel],
        documents: Documents,
        recorder: Recorder,
        metrics: Metrics,
        backoff_seconds: Sequence[float],
    ) -> None:
        self._pool = pool
        self._publisher = publisher
        self._channels = channels
        self._documents = documents
        self._recorder = recorder
        self._metrics = metrics
        self._backoff_seconds = backoff_seconds
        self._lanes = Lanes(self._work, metrics.leased)
        self._stopping = False
        self._background: set[asyncio.Task[None]] = set()
        self._log = get_logger()

    async def room(self) -> None:
        """Wait until this process may lease more."""
        await self._lanes.room()

    def take_first(self, owed: Sequence[OwedDelivery]) -> None:
        """Take the deliveries of a batch of events, leased by the transaction that wrote them."""
        for each in owed:
            if each.lease_until is not None:
                self._enter(each.delivery_id, each.owed.event, each.owed.endpoint, 1, each.lease_until)

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
        endpoint = claim.endpoint
        if claim.is_removed or not endpoint.enabled:
            self._lanes.hold(claim.delivery_id)
            cause = "endpoint_removed" if claim.is_removed else "endpoint_disabled"
            self._in_background(self._bury_unattempted(claim, cause))
        elif endpoint.overtaken == "skip" and is_overtaken(claim.event.type, claim.fax_rank):
            self._lanes.hold(claim.delivery_id)
            self._record(
                Record(delivery_id=claim.delivery_id, attempt=claim.attempt, state="skipped", reason="overtaken")
            )
        else:
            self._enter(claim.delivery_id, claim.event, endpoint, claim.attempt, claim.lease_until)

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
        while self._background:
            await asyncio.wait(self._background)
        await self._recorder.drained()

    def _enter(self, delivery_id: UUID, event: Event, endpoint: Endpoint, attempt: int, lease_until: datetime) -> None:
        leased = Leased(
            delivery_id=delivery_id,
            event=event,
            endpoint=endpoint,
            attempt=attempt,
            lease_until=lease_until,
            lease_ends=time.monotonic() + endpoint.lease_seconds,
        )
        self._lanes.hold(delivery_id, leased)
        if not self._lanes.enter(leased):
            self._log.info("delivery.deferred", delivery_id=str(delivery_id), endpoint_id=str(endpoint.id))
            self._in_background(self._put_back(leased))

    def _record(self, record: Record) -> None:
        self._recorder.record(record, partial(self._lanes.free, record.delivery_id))

    async def _work(self, leased: Leased) -> None:
        if self._stopping:
            await self._put_back(leased)
            return
        if not await self._still_ours(leased):
            self._log.info("delivery.dropped", delivery_id=str(leased.delivery_id))
            self._lanes.free(leased.delivery_id)
            return
        started_at = datetime.now(UTC)
        started = time.perf_counter()
        outcome = await self._attempt(leased, started_at)
        seconds = time.perf_counter() - started
        verdict = judge(outcome, leased.attempt, self._backoff_seconds)
        self._report(leased, outcome, verdict, seconds)
        record = Record(
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
        match verdict:
            case Settle():
                pass
            case RetryAfter(wait):
                await self._publish_attempt(FAX_RETRY, retry_queue(wait), leased.delivery_id, leased.attempt + 1)
                record = msgspec.structs.replace(record, state="retrying", wait_seconds=wait)
            case Bury(cause):
                reason = f"the last of {leased.attempt} attempts failed"
                await self._publish_dead(
                    leased.delivery_id, leased.attempt, leased.event.id, leased.endpoint.id, cause, reason
                )
                record = msgspec.structs.replace(record, state="dead", reason=cause)
            case PutBack():
                await self._put_back(leased)
                return
            case _:
                assert_never(verdict)
        self._record(record)

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
                # Our own trouble on the way to the failover does not undo that the endpoint itself failed us.
                outcome = outcome if isinstance(failover, NotTried) else failover
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

    async def _publish_attempt(self, exchange: str, key: str, delivery_id: UUID, attempt: int) -> None:
        body = msgspec.json.encode(DeliveryMessage(delivery_id, attempt))
        await publish_until_kept(self._publisher, exchange, key, body, {"attempt": attempt})

    async def _publish_dead(
        self, delivery_id: UUID, attempt: int, event_id: str, endpoint_id: UUID, cause: str, reason: str
    ) -> None:
        dead = DeadDelivery(
            delivery_id=delivery_id,
            attempt=attempt,
            event_id=event_id,
            endpoint_id=endpoint_id,
            cause=cause,
            reason=reason,
            died_at=datetime.now(UTC),
        )
        body = msgspec.json.encode(dead)
        await publish_until_kept(self._publisher, FAX_DEAD, DEAD_DELIVERY, body, {"cause": cause})
        self._metrics.dead.labels(cause).inc()
        self._log.warning(
            "delivery.dead", delivery_id=str(delivery_id), event_id=event_id, endpoint_id=str(endpoint_id), cause=cause
        )

    async def _bury_unattempted(self, claim: Claim, cause: str) -> None:
        reason = "the endpoint takes no more"
        await self._publish_dead(claim.delivery_id, claim.attempt, claim.event.id, claim.endpoint.id, cause, reason)
        dead = Record(delivery_id=claim.delivery_id, attempt=claim.attempt, state="dead", reason=cause)
        self._record(dead)

    async def _put_back(self, leased: Leased) -> None:
        """Give the lease back without an attempt and leave a message: for the next process, or for later."""
        wait_seconds = 0.0 if self._stopping else DEFER_WAITS_SECONDS[0]
        exchange, key = (FAX_WORK, WORK_KEY) if self._stopping else (FAX_RETRY, defer_queue(wait_seconds))
        # The lease goes first: a message that finds a live lease is dropped. Should we die between the two, the
        # delivery is due without a message, which is what the sweeper looks for.
        lease = ledger.Lease(leased.delivery_id, leased.lease_until, wait_seconds)
        try:
            if await ledger.release(self._pool, [lease]):
                self._lanes.free(leased.delivery_id)
                await self._publish_attempt(exchange, key, leased.delivery_id, leased.attempt)
        except (*LEDGER_AWAY, *LEDGER_BUSY) as error:
            # The lease runs out by itself.
            self._log.warning("record.delayed", count=1, reason=type(error).__name__)
        finally:
            self._lanes.free(leased.delivery_id)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
