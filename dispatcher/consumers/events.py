"""Takes messages off the two work queues. What is acked is in the ledger, or was never ours to keep.

| stage | trouble | then |
|---|---|---|
| before the ledger | an event message that cannot be read | published to `dead.events`, confirmed, acked |
| | a delivery message that cannot be read | published to `dead.deliveries`, confirmed, acked |
| the ledger | away or busy | the same batch again, later; nothing is acked |
| | away for longer | the connection is closed, so that another dispatcher gets the messages, until it is back |
| | refuses a row | the batch is halved until the culprit stands alone; it is parked, the others go on |
| our own code | breaks | the same, after a few tries |
| | kills the process, again and again | what has come often comes alone, see `consumer.groups` |
| after the commit | we die before the ack | the messages come again and are repetitions |
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from dispatcher.consumers.consumer import Consumer, CutOff
from dispatcher.consumers.isolation import bisect_batch
from dispatcher.consumers.lag import ConsumerLag
from dispatcher.delivery.deliverer import Deliverer
from dispatcher.ledger import deliveries as ledger
from dispatcher.ledger.endpoint_cache import EndpointCache
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.intake import Intake, Taken
from dispatcher.ledger.pool import LEDGER_REFUSES, LEDGER_UNAVAILABLE, Pool
from dispatcher.messages import DeliveryMessage, Publishing, publish_until_kept
from dispatcher.metrics import Metrics
from dispatcher.policy.endpoint import LEASE_MARGIN_SECONDS
from shared.amqp.frames import Message
from shared.backoff import DEFER_WAITS_SECONDS
from shared.broker import DEAD_DELIVERY, DEAD_EVENT, FAX_DEAD, FAX_RETRY, WORK_DELIVERIES, WORK_EVENTS, defer_queue
from shared.domain import Event, decode_event, encode_event
from shared.errors import Misconfigured, place_of
from shared.log import get_logger

EVENTS_PER_BATCH: Final = 200
EVENTS_PREFETCH: Final = 400
"""One batch in the ledger, one on its way."""

DELIVERIES_PER_BATCH: Final = 100
DELIVERIES_PREFETCH: Final = 200

RETRY_SECONDS: Final = 0.5

LATER: Final = defer_queue(DEFER_WAITS_SECONDS[0])

Value = TypeVar("Value")


class LedgerRetry:
    """Tries again what the ledger cannot do now."""

    def __init__(self, endpoints: EndpointCache) -> None:
        self._endpoints = endpoints
        self._log = get_logger()
        self.tries = 0

    async def __call__(self, work: Callable[[], Awaitable[Value]], count: int) -> Value:
        """Return what *work* does; *count* is for the log.

        Raises:
            CutOff: The ledger has been away for too long.
        """
        was_delayed = False
        while True:
            self.tries += 1
            try:
                return await work()
            except LEDGER_REFUSES as error:
                # Certificate errors are both OSError and ValueError; no row is to blame for them.
                if not isinstance(error, OSError):
                    raise
                reason = type(error).__name__
            except LEDGER_UNAVAILABLE as error:
                reason = type(error).__name__
            if not was_delayed:
                self._log.warning("batch.delayed", count=count, reason=reason)
            was_delayed = True
            if self._endpoints.is_cut_off:
                raise CutOff("the ledger is away")
            await asyncio.sleep(RETRY_SECONDS)


NOT_ITEM_ERRORS: Final = (Misconfigured, CutOff, asyncpg.SyntaxOrAccessError)
"""No message is to blame: a setting is wrong, the ledger is away, or is another than this version knows."""


class EventHandler:
    """Takes batches of `work.events` into the ledger and hands what is owed to the deliverer."""

    def __init__(
        self, intake: Intake, publisher: Publishing, endpoints: EndpointCache, deliverer: Deliverer, metrics: Metrics
    ) -> None:
        self._intake = intake
        self._publisher = publisher
        self._endpoints = endpoints
        self._deliverer = deliverer
        self._metrics = metrics
        self._patience = LedgerRetry(endpoints)
        self._log = get_logger()

    @property
    def tries(self) -> int:
        """How often the ledger was asked."""
        return self._patience.tries

    async def ready(self) -> None:
        """Wait for the ledger."""
        await self._endpoints.fresh()

    async def unready(self) -> None:
        """Wait until it is away."""
        await self._endpoints.cut_off()

    async def __call__(self, batch: Sequence[Message]) -> None:
        """Take *batch*; afterwards each of its messages is in the ledger or in `dead.events`."""
        await self._endpoints.known()
        events: dict[str, Event] = {}
        for message in batch:
            try:
                event = decode_event(message.body)
            except Exception as error:  # noqa: BLE001 - whatever reading it raises, it cannot be read
                await self._park(message.body, message.headers.get("event_id"), "unreadable", type(error).__name__)
                continue
            if event.id in events:
                self._report_repeated(event)
            events[event.id] = event
        if events:
            await bisect_batch(list(events.values()), self._take, self._give_up, NOT_ITEM_ERRORS)

    async def _take(self, events: Sequence[Event]) -> None:
        try:
            taken = await self._patience(lambda: self._intake.take(events), len(events))
        except LEDGER_REFUSES as error:
            if len(events) > 1 or not isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
                raise
            await self._park(encode_event(events[0]), events[0].id, "ledger_refused", type(error).__name__)
            return
        self._report(events, taken)
        self._deliverer.take_first(taken.owed)

    async def _give_up(self, event: Event, error: Exception) -> None:
        await self._park(encode_event(event), event.id, "crashed", place_of(error))

    def _report(self, events: Sequence[Event], taken: Taken) -> None:
        now = datetime.now(UTC)
        owed_count: dict[str, int] = {}
        for each in taken.owed:
            event_id = each.owed.event.id
            owed_count[event_id] = owed_count.get(event_id, 0) + (each.lease_until is not None)
        for event in events:
            if event.id in taken.fresh:
                owed = owed_count.get(event.id)
                seconds = (now - event.received_at).total_seconds()
                self._metrics.accepted(seconds, is_owed=owed is not None)
                self._log.info(
                    "event.accepted",
                    event_id=event.id,
                    provider=event.provider,
                    fax_id=event.fax_id,
                    type=event.type,
                    owed=owed or 0,
                    seconds=round(seconds, 6),
                )
            else:
                self._report_repeated(event)

    def _report_repeated(self, event: Event) -> None:
        self._metrics.events_repeated.inc()
        self._log.info(
            "event.repeated", event_id=event.id, provider=event.provider, fax_id=event.fax_id, type=event.type
        )

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
        endpoints: EndpointCache,
        backlog: ConsumerLag,
    ) -> None:
        self._backlog = backlog
        self._pool = pool
        self._store = store
        self._publisher = publisher
        self._deliverer = deliverer
        self._endpoints = endpoints
        self._patience = LedgerRetry(endpoints)
        self._log = get_logger()

    @property
    def tries(self) -> int:
        """How often the ledger was asked."""
        return self._patience.tries

    async def ready(self) -> None:
        """Wait for the ledger."""
        await self._endpoints.fresh()

    async def unready(self) -> None:
        """Wait until it is away."""
        await self._endpoints.cut_off()

    async def __call__(self, batch: Sequence[Message]) -> None:
        """Claim what may be attempted now; everything else in *batch* is stale, or too early."""
        await self._endpoints.known()
        # Several attempts of one delivery are several wishes: only the ledger knows which of them is stale.
        wanted: dict[tuple[UUID, int], DeliveryMessage] = {}
        for message in batch:
            try:
                wanted_delivery = msgspec.json.decode(message.body, type=DeliveryMessage)
            except Exception:  # noqa: BLE001 - whatever reading it raises, it cannot be read
                await self._park(message.body, "unreadable")
                continue
            wanted[wanted_delivery.delivery_id, wanted_delivery.attempt] = wanted_delivery
        if wanted:
            await bisect_batch(list(wanted.values()), self._claim, self._give_up, NOT_ITEM_ERRORS)

    async def _claim(self, wanted: Sequence[DeliveryMessage]) -> None:
        pairs = [(each.delivery_id, each.attempt) for each in wanted]
        claims = await self._patience(
            lambda: ledger.claim(self._pool, self._store, pairs, LEASE_MARGIN_SECONDS), len(pairs)
        )
        self._backlog.claimed([claim.overdue_seconds for claim in claims if isinstance(claim, ledger.Claim)])
        claimed = {(claim.delivery_id, claim.attempt) for claim in claims}
        self._deliverer.take_claims(claims)
        if stale := [pair for pair in pairs if pair not in claimed]:
            await self._leave(stale)

    async def _leave(self, pairs: Sequence[tuple[UUID, int]]) -> None:
        """Look again later at what overtook the record of the attempt before; drop the rest, whose rows know better."""
        early = await self._patience(lambda: ledger.early(self._pool, pairs), len(pairs))
        for delivery_id, attempt in pairs:
            if (delivery_id, attempt) not in early:
                self._log.info("delivery.dropped", delivery_id=str(delivery_id), attempt=attempt)
                continue
            body = msgspec.json.encode(DeliveryMessage(delivery_id, attempt))
            await publish_until_kept(self._publisher, FAX_RETRY, LATER, body, {"attempt": attempt})
            self._log.info("delivery.early", delivery_id=str(delivery_id), attempt=attempt)

    async def _give_up(self, wanted: DeliveryMessage, error: Exception) -> None:
        # Only the message: its row is as it was, and the sweeper looks after it.
        self._log.error("attempt.crashed", delivery_id=str(wanted.delivery_id), reason=place_of(error))
        await self._park(msgspec.json.encode(wanted), "crashed")

    async def _park(self, body: bytes, cause: str) -> None:
        await publish_until_kept(self._publisher, FAX_DEAD, DEAD_DELIVERY, body, {"cause": cause})


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
