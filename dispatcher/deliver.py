"""Makes attempts at leased deliveries: each endpoint in its own lane, so that one never waits for another.

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
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol, assert_never
from uuid import UUID

import msgspec

from dispatcher import ledger
from dispatcher.endpoints import EndpointBook
from dispatcher.formats import FORMATS, Facts, Webhook
from dispatcher.ledger import LEDGER_AWAY, LEDGER_BUSY, Claim, Pool, Record
from dispatcher.lifecycle import is_overtaken
from dispatcher.metrics import Metrics
from dispatcher.outcome import Bury, NotTold, NotTried, Outcome, PutBack, RetryAfter, Settle, Told, judge
from dispatcher.recorder import Recorder
from dispatcher.routing import Endpoint
from shared.backoff import DEFER_WAITS_SECONDS
from shared.broker import DEAD_DELIVERY, FAX_DEAD, FAX_RETRY, FAX_WORK, WORK_KEY, defer_queue, retry_queue
from shared.domain import Event, Media
from shared.ids import command_id
from shared.log import get_logger
from shared.media import MediaUnavailable
from shared.publisher import NotKept

MOST_LEASED: Final = 4_000
"""Deliveries held by this process, waiting, under way, or told and not yet recorded; past it consuming pauses."""

MOST_IN_LANE: Final = 1_000
"""Deliveries that may wait for one endpoint; what comes on top is deferred, so that one endpoint cannot fill all."""

PUBLISH_RETRY_SECONDS: Final = 0.5


class Publishing(Protocol):
    """What the deliverer needs of a publisher."""

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: dict[str, str | int]) -> None:
        """Return once a queue holds the message; raise `NotKept` otherwise."""


class Channel(Protocol):
    """What reaches an endpoint."""

    async def attempt(self, url: str, webhook: Webhook, timeout_seconds: float) -> Outcome:
        """Make one request."""


class Documents(Protocol):
    """What gives a stored document."""

    async def get(self, media: Media) -> bytes:
        """Return its content; raise `MediaUnavailable`."""


class DeliveryMessage(msgspec.Struct, frozen=True):
    """A message in `work.deliveries`: a reason to look, no more. *attempt* is the one to make, from 1."""

    delivery_id: UUID
    attempt: int


class DeadDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message in `dead.deliveries`: what, where, why and when, for people with broker tools."""

    delivery_id: UUID
    attempt: int
    event_id: str
    endpoint_id: UUID
    cause: str
    reason: str
    died_at: datetime


class Leased(msgspec.Struct, kw_only=True):
    """A delivery that this process holds, until `lease_ends` on the loop's clock."""

    delivery_id: UUID
    event: Event
    endpoint: Endpoint
    attempt: int
    lease_ends: float


class Deliverer:
    """Holds leased deliveries and makes their attempts."""

    def __init__(
        self,
        pool: Pool,
        publisher: Publishing,
        channel: Channel,
        documents: Documents,
        recorder: Recorder,
        endpoints: EndpointBook,
        metrics: Metrics,
        backoff_seconds: Sequence[float],
    ) -> None:
        self._pool = pool
        self._publisher = publisher
        self._channel = channel
        self._documents = documents
        self._recorder = recorder
        self._endpoints = endpoints
        self._metrics = metrics
        self._backoff_seconds = backoff_seconds
        self._lanes: dict[UUID, deque[Leased]] = {}
        self._workers: dict[UUID, set[asyncio.Task[None]]] = {}
        self._leased = 0
        self._room = asyncio.Event()
        self._room.set()
        self._stopping = False
        self._background: set[asyncio.Task[None]] = set()
        self._log = get_logger()

    # -- taking in ----------------------------------------------------------------------------------------------------

    async def room(self) -> None:
        """Wait until this process may lease more."""
        await self._room.wait()

    def take_first(self, owed: Sequence[tuple[UUID, Any]]) -> None:
        """Take the deliveries of a batch of events, leased by the transaction that wrote them."""
        for delivery_id, each in owed:
            if each.skipped is None:
                self._enter(delivery_id, each.event, each.endpoint, 1)

    def take_claims(self, claims: Sequence[Claim]) -> None:
        """Take deliveries that came out of `work.deliveries` and were claimed."""
        for claim in claims:
            endpoint = self._endpoints.get(claim.endpoint_id)
            if endpoint is None or not endpoint.enabled:
                cause = "endpoint_removed" if endpoint is None else "endpoint_disabled"
                self._held(1)
                self._in_background(self._bury_unattempted(claim, cause))
            elif endpoint.overtaken == "skip" and is_overtaken(claim.event.type, claim.fax_rank):
                self._held(1)
                self._recorder.record(
                    Record(delivery_id=claim.delivery_id, attempt=claim.attempt, state="skipped", reason="overtaken"),
                    self._freed,
                )
            else:
                self._enter(claim.delivery_id, claim.event, endpoint, claim.attempt)

    def _enter(self, delivery_id: UUID, event: Event, endpoint: Endpoint, attempt: int) -> None:
        self._held(1)
        lane = self._lanes.setdefault(endpoint.id, deque())
        leased = Leased(
            delivery_id=delivery_id,
            event=event,
            endpoint=endpoint,
            attempt=attempt,
            lease_ends=time.monotonic() + endpoint.lease_seconds,
        )
        if self._stopping:
            self._in_background(self._put_back(leased))
            return
        if len(lane) >= MOST_IN_LANE:
            self._in_background(self._defer(leased))
            return
        lane.append(leased)
        workers = self._workers.setdefault(endpoint.id, set())
        if len(workers) < endpoint.max_concurrent:
            worker = asyncio.create_task(self._work(lane))
            workers.add(worker)
            worker.add_done_callback(workers.discard)

    def _held(self, count: int) -> None:
        self._leased += count
        self._metrics.leased.set(self._leased)
        if self._leased >= MOST_LEASED:
            self._room.clear()

    def _freed(self) -> None:
        self._leased -= 1
        self._metrics.leased.set(self._leased)
        if self._leased < MOST_LEASED:
            self._room.set()

    # -- attempts -----------------------------------------------------------------------------------------------------

    async def _work(self, lane: deque[Leased]) -> None:
        while lane:
            leased = lane.popleft()
            if self._stopping:
                await self._put_back(leased)
                continue
            try:
                await self._deliver(leased)
            except Exception as error:  # noqa: BLE001 - one delivery that breaks our code must not stop its lane
                self._log.error(
                    "attempt.crashed",
                    delivery_id=str(leased.delivery_id),
                    event_id=leased.event.id,
                    attempt=leased.attempt,
                    reason=type(error).__name__,
                    exc_info=error,
                )
                self._freed()

    async def _deliver(self, leased: Leased) -> None:
        if not await self._still_ours(leased):
            self._freed()
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
            url=getattr(outcome, "url", None),
            http_status=getattr(outcome, "http_status", None),
            error=getattr(outcome, "error", None),
            answer=getattr(outcome, "answer", b""),
        )
        match verdict:
            case Settle():
                pass
            case RetryAfter(wait):
                await self._publish_message(FAX_RETRY, retry_queue(wait), leased, leased.attempt + 1)
                record = msgspec.structs.replace(record, state="retrying", wait_seconds=wait)
            case Bury(cause):
                await self._publish_dead(
                    leased.delivery_id,
                    leased.attempt,
                    leased.event.id,
                    leased.endpoint.id,
                    cause,
                    f"the last of {leased.attempt} attempts failed",
                )
                record = msgspec.structs.replace(record, state="dead", reason=cause)
            case PutBack():
                await self._put_back(leased)
                return
            case _:
                assert_never(verdict)
        self._recorder.record(record, self._freed)

    async def _still_ours(self, leased: Leased) -> bool:
        """Prolong a lease that waited so long in its lane that an attempt might outlive it."""
        needed_seconds = leased.endpoint.lease_seconds - 5.0
        if leased.lease_ends - time.monotonic() >= needed_seconds:
            return True
        leased.lease_ends = time.monotonic() + leased.endpoint.lease_seconds
        try:
            return await ledger.renew(self._pool, leased.delivery_id, leased.attempt, leased.endpoint.lease_seconds)
        except (*LEDGER_AWAY, *LEDGER_BUSY):
            return False

    async def _attempt(self, leased: Leased, now: datetime) -> Outcome:
        endpoint = leased.endpoint
        try:
            document = await self._document(leased)
        except MediaUnavailable as error:
            return NotTried(error=error.code)
        outcome = await self._request(leased, endpoint.url, document, now)
        if isinstance(outcome, NotTold) and endpoint.failover_url is not None:
            outcome = await self._request(leased, endpoint.failover_url, document, now)
        return outcome

    async def _request(self, leased: Leased, url: str, document: bytes | None, now: datetime) -> Outcome:
        endpoint, event = leased.endpoint, leased.event
        webhook = FORMATS[endpoint.format].render(
            event,
            document,
            Facts(url=url, tokens=endpoint.tokens, delivery_id=leased.delivery_id, attempt=leased.attempt, now=now),
        )
        webhook.headers.update(
            {
                "X-Faxhook-Event-Id": event.id,
                "X-Faxhook-Delivery-Id": str(leased.delivery_id),
                "X-Faxhook-Attempt": str(leased.attempt),
                "X-Faxhook-Command-Id": command_id(event.id, endpoint.id),
            }
        )
        return await self._channel.attempt(url, webhook, endpoint.timeout_seconds)

    async def _document(self, leased: Leased) -> bytes | None:
        media = leased.event.media
        if media is None or media.key is None or not FORMATS[leased.endpoint.format].wants_document(leased.event):
            return None
        return await self._documents.get(media)

    def _report(self, leased: Leased, outcome: Outcome, verdict: Any, seconds: float) -> None:
        self._metrics.attempt_seconds.observe(seconds)
        match outcome:
            case Told():
                self._metrics.attempts_told.inc()
                if leased.attempt == 1:
                    waited = datetime.now(UTC) - leased.event.received_at
                    self._metrics.told_seconds.observe(max(0.0, waited.total_seconds()))
            case NotTold():
                self._metrics.attempts_not_told.inc()
            case NotTried():
                self._metrics.attempts_not_tried.inc()
        self._log.info(
            "attempt.made",
            event_id=leased.event.id,
            delivery_id=str(leased.delivery_id),
            endpoint_id=str(leased.endpoint.id),
            attempt=leased.attempt,
            outcome=type(outcome).__name__,
            verdict=type(verdict).__name__,
            http_status=getattr(outcome, "http_status", None),
            code=getattr(outcome, "error", None),
            seconds=round(seconds, 6),
        )

    # -- publishing, for as long as it takes ----------------------------------------------------------------------------

    async def _publish_message(self, exchange: str, key: str, leased: Leased, attempt: int) -> None:
        body = msgspec.json.encode(DeliveryMessage(leased.delivery_id, attempt))
        await self._publish(exchange, key, body, {"attempt": attempt})

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
        await self._publish(FAX_DEAD, DEAD_DELIVERY, msgspec.json.encode(dead), {"cause": cause})
        self._metrics.dead.labels(cause).inc()
        self._log.warning(
            "delivery.dead", delivery_id=str(delivery_id), event_id=event_id, endpoint_id=str(endpoint_id), cause=cause
        )

    async def _publish(self, exchange: str, key: str, body: bytes, headers: dict[str, str | int]) -> None:
        was_delayed = False
        while True:
            try:
                await self._publisher.publish(exchange, key, body, headers)
                return
            except NotKept as error:
                if not was_delayed:
                    self._log.warning("retry.delayed", exchange=exchange, key=key, reason=str(error))
                was_delayed = True
                await asyncio.sleep(PUBLISH_RETRY_SECONDS)

    # -- without an attempt -----------------------------------------------------------------------------------------------

    async def _bury_unattempted(self, claim: Claim, cause: str) -> None:
        await self._publish_dead(
            claim.delivery_id, claim.attempt, claim.event.id, claim.endpoint_id, cause, "the endpoint takes no more"
        )
        self._recorder.record(
            Record(delivery_id=claim.delivery_id, attempt=claim.attempt, state="dead", reason=cause), self._freed
        )

    async def _defer(self, leased: Leased) -> None:
        wait = DEFER_WAITS_SECONDS[0]
        self._log.info("delivery.deferred", delivery_id=str(leased.delivery_id), endpoint_id=str(leased.endpoint.id))
        await self._hand_over(leased, FAX_RETRY, defer_queue(wait), wait)

    async def _put_back(self, leased: Leased) -> None:
        """Give the lease back and leave a message for whoever comes next."""
        wait = 0.0 if self._stopping else DEFER_WAITS_SECONDS[0]
        exchange, key = (FAX_WORK, WORK_KEY) if self._stopping else (FAX_RETRY, defer_queue(wait))
        await self._hand_over(leased, exchange, key, wait)

    async def _hand_over(self, leased: Leased, exchange: str, key: str, wait_seconds: float) -> None:
        # The lease goes first: a message that finds a live lease is dropped. Should we die between the two, the
        # delivery is due without a message, which is what the sweeper looks for.
        try:
            await ledger.release(self._pool, [(leased.delivery_id, leased.attempt, wait_seconds)])
            await self._publish_message(exchange, key, leased, leased.attempt)
        except (*LEDGER_AWAY, *LEDGER_BUSY):
            self._log.warning("record.delayed", count=1, reason="lease not given back; it runs out by itself")
        finally:
            self._freed()

    def _in_background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def drain(self) -> None:
        """Finish the attempts under way, put back what only waited, write all outcomes.

        Takes as long as the attempts under way: at most twice the longest `timeout_seconds`. A request that was cut
        off might have told the application all the same.
        """
        self._stopping = True
        while tasks := [*self._background, *(task for workers in self._workers.values() for task in workers)]:
            await asyncio.wait(tasks)
        await self._recorder.drained()
