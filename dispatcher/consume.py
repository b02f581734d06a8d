"""Takes messages off the two work queues. What is acked is in the ledger, or was never ours to keep.

| stage | trouble | then |
|---|---|---|
| before the ledger | an event message that cannot be read | published to `dead.events`, confirmed, acked |
| | a delivery message that cannot be read | published to `dead.deliveries`, confirmed, acked |
| the ledger | away or busy | the same batch again, later; nothing is acked |
| | refuses a row | the batch is halved until the culprit stands alone; it is parked, the others go on |
| after the commit | we die before the ack | the messages come again and are repetitions |
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

import aiormq
import msgspec

from dispatcher import ledger
from dispatcher.backlog import Backlog
from dispatcher.deliver import Deliverer
from dispatcher.endpoint_store import EndpointStore
from dispatcher.endpoints import EndpointBook
from dispatcher.intake import Intake, Taken
from dispatcher.messages import DeliveryMessage, Publishing, publish_until_kept
from dispatcher.metrics import Metrics
from dispatcher.pool import LEDGER_AWAY, LEDGER_BUSY, LEDGER_REFUSES, Pool
from dispatcher.routing import LEASE_MARGIN_SECONDS
from shared.amqp import Channel, Delivered, keep_connected
from shared.broker import DEAD_DELIVERY, DEAD_EVENT, FAX_DEAD, WORK_DELIVERIES, WORK_EVENTS
from shared.domain import Event, decode_event, encode_event
from shared.log import get_logger

EVENTS_PER_BATCH: Final = 200
EVENTS_PREFETCH: Final = 400
"""One batch in the ledger, one on its way."""

DELIVERIES_PER_BATCH: Final = 100
DELIVERIES_PREFETCH: Final = 200

RETRY_SECONDS: Final = 0.5

UNREADABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)
"""What reading a message may raise: no JSON, another shape, no UTF-8, or a million brackets."""


class Handler(Protocol):
    """What is done with a batch; returns when every message of it may be acked."""

    async def __call__(self, batch: Sequence[Delivered]) -> None:
        """Do it; whatever is raised ends the process, with nothing of the batch acked."""


class Consumer:
    """Consumes one queue in batches over a connection of its own."""

    def __init__(
        self, amqp_url: str, queue: str, handler: Handler, *, prefetch: int, batch: int, deliverer: Deliverer
    ) -> None:
        self._amqp_url = amqp_url
        self._queue = queue
        self._handler = handler
        self._prefetch = prefetch
        self._batch = batch
        self._deliverer = deliverer
        self._stopping = asyncio.Event()
        self._idle_since: float | None = None
        self.is_consuming = False

    @property
    def idle_seconds(self) -> float:
        """For how long there has been room here and no message there; 0 while there is work, or no connection."""
        return 0.0 if self._idle_since is None else time.monotonic() - self._idle_since

    async def run(self) -> None:
        """Consume until `stop`, connecting anew as often as needed."""
        await keep_connected(self._amqp_url, f"dispatcher {self._queue}", self._use)

    def stop(self) -> None:
        """End `run` after the batch in hand; what was pushed and not begun goes back to the queue."""
        self._stopping.set()

    async def _use(self, connection: aiormq.Connection) -> None:
        channel = await Channel.open(connection, prefetch=self._prefetch)
        await channel.consume(self._queue)
        self.is_consuming = True
        try:
            while await self._next_batch_wanted(channel):
                batch = channel.take(self._batch)
                await self._handler(batch)
                channel.ack(batch[-1].tag, multiple=True)
        finally:
            self.is_consuming = False
        await channel.close()

    async def _next_batch_wanted(self, channel: Channel) -> bool:
        """Wait for room and for a message; False if we are to stop."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        some = asyncio.ensure_future(self._some(channel))
        try:
            await asyncio.wait({stopping, some}, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                return False
            await some
            return True
        finally:
            stopping.cancel()
            some.cancel()

    async def _some(self, channel: Channel) -> None:
        await self._deliverer.room()
        self._idle_since = time.monotonic()
        try:
            await channel.wait()
        finally:
            self._idle_since = None


class EventHandler:
    """Takes batches of `work.events` into the ledger and hands what is owed to the deliverer."""

    def __init__(
        self, intake: Intake, publisher: Publishing, endpoints: EndpointBook, deliverer: Deliverer, metrics: Metrics
    ) -> None:
        self._intake = intake
        self._publisher = publisher
        self._endpoints = endpoints
        self._deliverer = deliverer
        self._metrics = metrics
        self._log = get_logger()

    async def __call__(self, batch: Sequence[Delivered]) -> None:
        """Take *batch*; afterwards each of its messages is in the ledger or in `dead.events`."""
        await self._endpoints.known()
        events: dict[str, Event] = {}
        for message in batch:
            try:
                event = decode_event(message.body)
            except UNREADABLE as error:
                await self._park(message.body, message.headers.get("event_id"), "unreadable", type(error).__name__)
                continue
            if event.id in events:
                self._metrics.events_repeated.inc()
                self._log.info("event.repeated", event_id=event.id)
            events[event.id] = event
        if events:
            await self._take(list(events.values()))

    async def _take(self, events: Sequence[Event]) -> None:
        """Take *events*, halving the batch around a row that the ledger refuses."""
        was_delayed = False
        while True:
            try:
                taken = await self._intake.take(events)
                break
            except LEDGER_REFUSES as error:
                # Certificate errors are both OSError and ValueError; no row is to blame for them.
                if isinstance(error, OSError):
                    was_delayed = await self._delay(len(events), error, was_delayed)
                    continue
                if len(events) == 1:
                    reason = type(error).__name__
                    await self._park(encode_event(events[0]), events[0].id, "ledger_refused", reason)
                    return
                middle = len(events) // 2
                await self._take(events[:middle])
                await self._take(events[middle:])
                return
            except (*LEDGER_AWAY, *LEDGER_BUSY) as error:
                was_delayed = await self._delay(len(events), error, was_delayed)
        self._report(events, taken)
        self._deliverer.take_first(taken.owed)

    async def _delay(self, count: int, error: BaseException, was_delayed: bool) -> bool:
        if not was_delayed:
            self._log.warning("batch.delayed", count=count, reason=type(error).__name__)
        await asyncio.sleep(RETRY_SECONDS)
        return True

    def _report(self, events: Sequence[Event], taken: Taken) -> None:
        owed_count: dict[str, int] = {}
        for each in taken.owed:
            event_id = each.owed.event.id
            owed_count[event_id] = owed_count.get(event_id, 0) + (each.lease_until is not None)
        for event in events:
            if event.id in taken.fresh:
                self._metrics.events_accepted.inc()
                self._log.info(
                    "event.accepted",
                    event_id=event.id,
                    provider=event.provider,
                    fax_id=event.fax_id,
                    type=event.type,
                    owed=owed_count.get(event.id, 0),
                )
            else:
                self._metrics.events_repeated.inc()
                self._log.info("event.repeated", event_id=event.id)

    async def _park(self, body: bytes, event_id: object, cause: str, reason: str) -> None:
        headers: dict[str, str | int] = {
            "event_id": str(event_id or ""),
            "cause": cause,
            "reason": reason[:200],
            "died_at": datetime.now(UTC).isoformat(),
        }
        await publish_until_kept(self._publisher, FAX_DEAD, DEAD_EVENT, body, headers)
        self._metrics.events_dead.inc()
        self._log.error("event.dead", event_id=str(event_id or ""), cause=cause)


class DeliveryHandler:
    """Claims the deliveries that messages of `work.deliveries` point at and hands them to the deliverer."""

    def __init__(
        self,
        pool: Pool,
        store: EndpointStore,
        publisher: Publishing,
        deliverer: Deliverer,
        endpoints: EndpointBook,
        backlog: Backlog,
    ) -> None:
        self._backlog = backlog
        self._pool = pool
        self._store = store
        self._publisher = publisher
        self._deliverer = deliverer
        self._endpoints = endpoints
        self._log = get_logger()

    async def __call__(self, batch: Sequence[Delivered]) -> None:
        """Claim what may be attempted now; everything else in *batch* is stale, and its ledger row knows better."""
        await self._endpoints.known()
        wanted: dict[object, DeliveryMessage] = {}
        for message in batch:
            try:
                wanted_delivery = msgspec.json.decode(message.body, type=DeliveryMessage)
            except UNREADABLE:
                await publish_until_kept(
                    self._publisher, FAX_DEAD, DEAD_DELIVERY, message.body, {"cause": "unreadable"}
                )
                continue
            wanted[wanted_delivery.delivery_id] = wanted_delivery
        claims = await self._claim(list(wanted.values()))
        self._backlog.claimed([claim.overdue_seconds for claim in claims])
        claimed = {claim.delivery_id for claim in claims}
        for wanted_delivery in wanted.values():
            if wanted_delivery.delivery_id not in claimed:
                self._log.info("delivery.dropped", delivery_id=str(wanted_delivery.delivery_id))
        self._deliverer.take_claims(claims)

    async def _claim(self, wanted: Sequence[DeliveryMessage]) -> list[ledger.Claim]:
        while True:
            try:
                pairs = [(each.delivery_id, each.attempt) for each in wanted]
                return await ledger.claim(self._pool, self._store, pairs, LEASE_MARGIN_SECONDS)
            except (*LEDGER_AWAY, *LEDGER_BUSY) as error:
                self._log.warning("batch.delayed", count=len(wanted), reason=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)


def event_consumer(amqp_url: str, handler: EventHandler, deliverer: Deliverer) -> Consumer:
    """Return the consumer of `work.events`."""
    return Consumer(
        amqp_url, WORK_EVENTS, handler, prefetch=EVENTS_PREFETCH, batch=EVENTS_PER_BATCH, deliverer=deliverer
    )


def delivery_consumer(amqp_url: str, handler: DeliveryHandler, deliverer: Deliverer) -> Consumer:
    """Return the consumer of `work.deliveries`."""
    return Consumer(
        amqp_url,
        WORK_DELIVERIES,
        handler,
        prefetch=DELIVERIES_PREFETCH,
        batch=DELIVERIES_PER_BATCH,
        deliverer=deliverer,
    )
