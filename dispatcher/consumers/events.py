"""Takes events off `work.events` into the ledger. What is acked is in the ledger, or in `dead.events`.

| stage | trouble | then |
|---|---|---|
| before the ledger | a message that cannot be read | published to `dead.events`, confirmed, acked |
| the ledger | away or busy | the same batch again, later; nothing is acked |
| | away for longer | the connection is closed, so that another dispatcher gets the messages, until it is back |
| | refuses a row | the batch is halved until the culprit stands alone; it goes to `dead.events`, the others go on |
| our own code | fails | the same, after a few tries |
| | kills the process, again and again | what has come often comes alone, see `consumer.groups` |
| after the commit | we die before the ack | the messages come again and are repetitions |
| | we die before what was deferred has its message | the sweeper finds it, due without one |
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

import asyncpg

from dispatcher.consumers.isolation import bisect_batch
from dispatcher.delivery.lanes import Lanes
from dispatcher.delivery.leases import Releaser
from dispatcher.ledger.faxes.documents import merge_repeated
from dispatcher.ledger.health import LedgerHealth
from dispatcher.ledger.intake import Intake, Taken
from dispatcher.ledger.pool import LEDGER_REFUSES
from dispatcher.ledger.retry import LedgerRetry
from dispatcher.messages import PersistentPublisher, Publishing
from dispatcher.metrics import Metrics
from shared.amqp.frames import Message
from shared.broker import DEAD_EVENT, FAX_DEAD
from shared.domain import Event, decode_event, encode_event
from shared.errors import place_of
from shared.log import get_logger
from shared.tracing.context import read_trace

EVENTS_PER_BATCH: Final = 200
EVENTS_PREFETCH: Final = 400
"""One batch in the ledger, one on its way."""


class EventHandler:
    """Takes batches of events into the ledger, and what is owed for them into the lanes."""

    def __init__(
        self,
        intake: Intake,
        health: LedgerHealth,
        lanes: Lanes,
        releaser: Releaser,
        publisher: Publishing,
        metrics: Metrics,
    ) -> None:
        self._intake = intake
        self._lanes = lanes
        self._releaser = releaser
        self._publisher = PersistentPublisher(publisher)
        self._metrics = metrics
        self._retry = LedgerRetry("batch.delayed", health)
        self._log = get_logger()

    @property
    def tries(self) -> int:
        """How often the ledger was asked."""
        return self._retry.tries

    async def __call__(self, batch: Sequence[Message]) -> None:
        """Take *batch*; afterwards each of its messages is in the ledger or in `dead.events`."""
        events: dict[str, Event] = {}
        repeated: dict[str, list[Event]] = {}
        traces: dict[str, str] = {}
        for message in batch:
            try:
                event = decode_event(message.body)
            except Exception as error:  # noqa: BLE001 - whatever reading it raises, it cannot be read
                event_id = str(message.headers.get("event_id") or "")
                await self._give_up(message.body, event_id, "unreadable", type(error).__name__)
                continue
            if event.id in events:
                self._report_repeated(event)
                repeated.setdefault(event.id, [events[event.id]]).append(event)
            else:
                events[event.id] = event
            if (trace := read_trace(message.headers)) is not None:
                traces[event.id] = trace
        events |= {event_id: merge_repeated(copies) for event_id, copies in repeated.items()}
        if events:
            await bisect_batch(list(events.values()), partial(self._take, traces), self._crashed)

    async def _take(self, traces: Mapping[str, str], events: Sequence[Event]) -> None:
        # 1. Into the ledger: from its commit on the row is the durable copy.
        try:
            taken = await self._retry(lambda: self._intake.take(events, traces), len(events))
        except LEDGER_REFUSES as error:
            if len(events) > 1 or not isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
                raise
            await self._give_up(encode_event(events[0]), events[0].id, "ledger_refused", type(error).__name__)
            return
        # 2. Into the lanes at once, or deferred: what follows may wait for the ledger, a first attempt need not.
        self._enter(taken)
        # 3. An endpoint of a fax may have been registered meanwhile: what was owed to no endpoint is looked at again.
        owed_ids = Counter(taken.owed_ids)
        is_settled = taken.recorded_only | taken.repeated
        unowed = [each.id for each in events if each.id not in owed_ids and each.id not in is_settled]
        late = await self._retry(lambda: self._intake.owe_unowed(unowed, leased=True), len(unowed))
        self._enter(late)
        owed_ids.update(late.owed_ids)
        for event in events:
            if event.id in taken.fresh - taken.repeated:
                is_owed = event.id in owed_ids or event.id in taken.recorded_only
                self._report_accepted(event, owed_ids[event.id], is_owed=is_owed)
            else:
                self._report_repeated(event)
        # 4. A repetition may bring another URL of the document: that of its event may expire before it is used.
        repeated = [event for event in events if event.id not in taken.fresh and event.media is not None]
        if repeated:
            await self._retry(lambda: self._intake.note_repeated(repeated), len(repeated))

    def _enter(self, taken: Taken) -> None:
        self._lanes.enter(taken.deliveries)
        for each in taken.deferred:
            self._releaser.leave_message(each, each.wait_seconds)

    async def _crashed(self, event: Event, error: Exception) -> None:
        await self._give_up(encode_event(event), event.id, "crashed", place_of(error))

    async def _give_up(self, body: bytes, event_id: str, cause: str, reason: str) -> None:
        headers: dict[str, str | int] = {
            "event_id": event_id,
            "cause": cause,
            "reason": reason[:200],
            "died_at": datetime.now(UTC).isoformat(),
        }
        await self._publisher.publish(FAX_DEAD, DEAD_EVENT, body, headers)
        self._metrics.events_dead.inc()
        self._log.error("event.dead", event_id=event_id, cause=cause)

    def _report_accepted(self, event: Event, owed: int, *, is_owed: bool) -> None:
        seconds = (datetime.now(UTC) - event.received_at).total_seconds()
        self._metrics.count_accepted(seconds, is_owed=is_owed)
        self._log.info(
            "event.accepted",
            event_id=event.id,
            provider=event.provider,
            fax_id=event.fax_id,
            type=event.type,
            owed=owed,
            seconds=round(seconds, 6),
        )

    def _report_repeated(self, event: Event) -> None:
        self._metrics.events_repeated.inc()
        self._log.info(
            "event.repeated", event_id=event.id, provider=event.provider, fax_id=event.fax_id, type=event.type
        )
