"""Takes messages off the two work queues. What is acked is in the ledger, or was never ours to keep.

| stage | trouble | then |
|---|---|---|
| before the ledger | an event message that cannot be read | published to `dead.events`, confirmed, acked |
| | a delivery message that cannot be read | published to `dead.deliveries`, confirmed, acked |
| the ledger | away or busy | the same batch again, later; nothing is acked |
| | away for longer | the connection is closed, so that another dispatcher gets the messages, until it is back |
| | refuses a row | the batch is halved until the culprit stands alone; it is parked, the others go on |
| our own code | breaks | the same, after a few tries |
| | kills the process, again and again | what has come often comes alone, see `groups` |
| after the commit | we die before the ack | the messages come again and are repetitions |
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

import aiormq
import asyncpg
import msgspec

from dispatcher import ledger
from dispatcher.backlog import Backlog
from dispatcher.deliver import Deliverer
from dispatcher.endpoint_store import EndpointStore
from dispatcher.endpoints import EndpointBook
from dispatcher.intake import Intake, Taken
from dispatcher.messages import DeliveryMessage, Publishing, publish_until_kept
from dispatcher.metrics import Metrics
from dispatcher.poison import isolated
from dispatcher.pool import LEDGER_AWAY, LEDGER_BUSY, LEDGER_REFUSES, Pool
from dispatcher.routing import LEASE_MARGIN_SECONDS
from shared.amqp import Channel, Delivered, keep_connected
from shared.broker import DEAD_DELIVERY, DEAD_EVENT, FAX_DEAD, WORK_DELIVERIES, WORK_EVENTS
from shared.domain import Event, decode_event, encode_event
from shared.errors import FaxhookError, Misconfigured, place_of
from shared.log import get_logger
from shared.watchdog import Look

EVENTS_PER_BATCH: Final = 200
EVENTS_PREFETCH: Final = 400
"""One batch in the ledger, one on its way."""

DELIVERIES_PER_BATCH: Final = 100
DELIVERIES_PREFETCH: Final = 200

RETRY_SECONDS: Final = 0.5

Value = TypeVar("Value")


class CutOff(FaxhookError):
    """The ledger has been away for so long that the messages are better off with another dispatcher."""

    code = "cut_off"


class Handler(Protocol):
    """What is done with a batch; returns when every message of it may be acked."""

    @property
    def tries(self) -> int:
        """Counts up whenever something is tried."""

    async def ready(self) -> None:
        """Wait until it makes sense to take messages."""

    async def unready(self) -> None:
        """Wait until it makes sense no more."""

    async def __call__(self, batch: Sequence[Delivered]) -> None:
        """Do it; nothing of the batch is acked if it raises. `CutOff` waits for `ready`, all else ends the process."""


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
        self._channel: Channel | None = None
        self._in_hand = 0
        self._handled = 0
        self._wants_connection = False
        self._connects = 0

    @property
    def is_consuming(self) -> bool:
        """Does the broker push us messages?"""
        return self._channel is not None and self._channel.is_open

    def unhandled(self) -> Look:
        """Return for the watchdog what was pushed and is not acked, and what was done; nothing while there is no room.

        What takes the room is watched where it is.
        """
        received = len(self._channel.received) if self._channel is not None and self._deliverer.has_room else 0
        return self._in_hand + received, (self._handled, self._handler.tries)

    def connecting(self) -> Look:
        """Return for the watchdog if a connection is wanted, and how often it was tried."""
        return int(self._wants_connection and not self.is_consuming), self._connects

    @property
    def idle_seconds(self) -> float:
        """For how long there has been room here and no message there; 0 while there is work, or no connection."""
        return 0.0 if self._idle_since is None else time.monotonic() - self._idle_since

    async def run(self) -> None:
        """Consume until `stop`, connecting anew as often as needed."""
        while await self._unless_stopping(self._handler.ready()):
            self._wants_connection = True
            try:
                await keep_connected(self._amqp_url, f"dispatcher {self._queue}", self._use, self._tried)
            except CutOff as error:
                get_logger().warning("consumer.paused", queue=self._queue, reason=error.code)
            finally:
                self._wants_connection = False

    def stop(self) -> None:
        """End `run` after the batch in hand; what was pushed and not begun goes back to the queue."""
        self._stopping.set()

    def _tried(self) -> None:
        self._connects += 1

    async def _use(self, connection: aiormq.Connection) -> None:
        channel = await Channel.open(connection, prefetch=self._prefetch)
        await channel.consume(self._queue)
        self._channel = channel
        asking = asyncio.create_task(channel.keep_asking())
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())  # the channel knows it, too
        try:
            while await self._unless_stopping(self._some(channel)):
                await self._handle(channel, channel.take(self._batch))
        finally:
            asking.cancel()
            self._channel = None
        await channel.close()

    async def _handle(self, channel: Channel, batch: list[Delivered]) -> None:
        self._in_hand = len(batch)
        try:
            for group in groups(batch):
                await self._handler(group)
                if len(group) == len(batch):
                    channel.ack(batch[-1].tag, multiple=True)
                else:
                    for message in group:
                        channel.ack(message.tag)
                self._in_hand -= len(group)
                self._handled += 1
        finally:
            self._in_hand = 0

    async def _unless_stopping(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do *work*; False if we are to stop, as soon as that is known."""
        stopping, working = asyncio.ensure_future(self._stopping.wait()), asyncio.ensure_future(work)
        try:
            await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                return False
            await working
            return True
        finally:
            stopping.cancel()
            working.cancel()

    async def _some(self, channel: Channel) -> None:
        """Wait for room and for a message.

        Raises:
            CutOff: It makes no sense to wait any longer.
            ConnectionLost: The channel is gone, and with it what came over it.
        """
        if channel.received and self._deliverer.has_room and channel.is_open:
            return
        unready = asyncio.ensure_future(self._handler.unready())
        waiting = asyncio.ensure_future(self._room_and_message(channel))
        try:
            await asyncio.wait({unready, waiting, channel.closed}, return_when=asyncio.FIRST_COMPLETED)
            if channel.closed.done():
                channel.closed.result()
            if not waiting.done():
                raise CutOff("the ledger is away")
        finally:
            unready.cancel()
            waiting.cancel()

    async def _room_and_message(self, channel: Channel) -> None:
        await self._deliverer.room()
        self._idle_since = time.monotonic()
        try:
            await channel.wait()
        finally:
            self._idle_since = None


SUSPECT_FROM: Final = 3
"""Deliveries of one message without an ack. A restart or two happen to everybody."""


def groups(batch: Sequence[Delivered]) -> list[list[Delivered]]:
    """Return *batch* in the parts to be handled one after the other.

    A message that kills the process takes with it, each time, all that was pushed along with it, and the broker gives
    up on every one of them after the same number of times. So what has come often comes last and alone, in an order
    that differs each time: the innocent get away one after the other.
    """
    suspects = [[each] for each in batch if _is_suspect(each)]
    if not suspects:
        return [list(batch)]
    random.shuffle(suspects)
    others = [each for each in batch if not _is_suspect(each)]
    return [others, *suspects] if others else suspects


def _is_suspect(message: Delivered) -> bool:
    count = message.headers.get("x-delivery-count", 0)
    return isinstance(count, int) and count >= SUSPECT_FROM


class Patience:
    """Tries again what the ledger cannot do now."""

    def __init__(self, endpoints: EndpointBook) -> None:
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
            except (*LEDGER_AWAY, *LEDGER_BUSY) as error:
                reason = type(error).__name__
            if not was_delayed:
                self._log.warning("batch.delayed", count=count, reason=reason)
            was_delayed = True
            if self._endpoints.is_cut_off:
                raise CutOff("the ledger is away")
            await asyncio.sleep(RETRY_SECONDS)


NOBODYS_FAULT: Final = (Misconfigured, CutOff, asyncpg.SyntaxOrAccessError)
"""No message is to blame: a setting is wrong, the ledger is away, or is another than this version knows."""


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
        self._patience = Patience(endpoints)
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

    async def __call__(self, batch: Sequence[Delivered]) -> None:
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
                self._metrics.events_repeated.inc()
                self._log.info("event.repeated", event_id=event.id)
            events[event.id] = event
        if events:
            await isolated(list(events.values()), self._take, self._give_up, NOBODYS_FAULT)

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
        self._patience = Patience(endpoints)
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

    async def __call__(self, batch: Sequence[Delivered]) -> None:
        """Claim what may be attempted now; everything else in *batch* is stale, and its ledger row knows better."""
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
            await isolated(list(wanted.values()), self._claim, self._give_up, NOBODYS_FAULT)

    async def _claim(self, wanted: Sequence[DeliveryMessage]) -> None:
        pairs = [(each.delivery_id, each.attempt) for each in wanted]
        claims = await self._patience(
            lambda: ledger.claim(self._pool, self._store, pairs, LEASE_MARGIN_SECONDS), len(pairs)
        )
        self._backlog.claimed([claim.overdue_seconds for claim in claims if isinstance(claim, ledger.Claim)])
        claimed = {(claim.delivery_id, claim.attempt) for claim in claims}
        for delivery_id, attempt in pairs:
            if (delivery_id, attempt) not in claimed:
                self._log.info("delivery.dropped", delivery_id=str(delivery_id))
        self._deliverer.take_claims(claims)

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
