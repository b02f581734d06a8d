"""Takes delivery messages off `work.deliveries`: what may be attempted now is claimed and enters its lane.

A message is only a reason to look: the claim decides by the ledger. A message that claims nothing is stale and dropped;
if its delivery is due all the same, the sweeper finds it.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from dispatcher.consumers.deferrer import Deferrer
from dispatcher.consumers.isolation import bisect_batch
from dispatcher.consumers.lag import ConsumerLag
from dispatcher.delivery.lanes import Lanes
from dispatcher.ledger import deliveries
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.health import LedgerHealth
from dispatcher.ledger.pool import Pool
from dispatcher.ledger.retry import LedgerRetry
from dispatcher.messages import DeliveryMessage, PersistentPublisher, Publishing
from dispatcher.policy.delivery import LeasedDelivery
from dispatcher.policy.endpoint import LEASE_MARGIN_SECONDS
from shared.amqp.frames import Message
from shared.broker import DEAD_DELIVERY, DEFER_QUEUES, FAX_DEAD, FIRST_DEATH_QUEUE
from shared.errors import place_of
from shared.log import get_logger

DELIVERIES_PER_BATCH: Final = 100
DELIVERIES_PREFETCH: Final = 200
"""One batch being claimed, one on its way."""


def was_deferred(message: Message) -> bool:
    """Return whether it comes from a `defer.*` queue: it has waited for 15 s and more, and a claim can wait a little.

    One claim for several of them is one commit, beside live events that are told meanwhile.
    """
    return str(message.headers.get(FIRST_DEATH_QUEUE, "")).startswith(DEFER_QUEUES)


class DeliveryHandler:
    """Claims the deliveries that messages point at."""

    def __init__(
        self,
        pool: Pool,
        store: EndpointStore,
        health: LedgerHealth,
        lanes: Lanes,
        deferrer: Deferrer,
        publisher: Publishing,
        lag: ConsumerLag,
    ) -> None:
        self._pool = pool
        self._store = store
        self._lanes = lanes
        self._deferrer = deferrer
        self._publisher = PersistentPublisher(publisher)
        self._lag = lag
        self._retry = LedgerRetry("batch.delayed", health)
        self._log = get_logger()

    @property
    def tries(self) -> int:
        """How often the ledger was asked."""
        return self._retry.tries

    async def __call__(self, batch: Sequence[Message]) -> None:
        """Claim what may be attempted now."""
        # Several attempts of one delivery are several requests: only the ledger knows which of them is stale.
        wanted: dict[tuple[UUID, int], DeliveryMessage] = {}
        for message in batch:
            try:
                wanted_delivery = msgspec.json.decode(message.body, type=DeliveryMessage)
            except Exception:  # noqa: BLE001 - whatever reading it raises, it cannot be read
                await self._give_up(message.body, "unreadable")
                continue
            wanted[wanted_delivery.delivery_id, wanted_delivery.attempt] = wanted_delivery
        if wanted:
            await bisect_batch(list(wanted.values()), self._claim, self._crashed)

    async def _claim(self, wanted: Sequence[DeliveryMessage]) -> None:
        pairs = {(each.delivery_id, each.attempt) for each in wanted}
        # 1. What would only be given back is deferred without being leased.
        deferred = await self._retry(lambda: self._deferrer.defer([*pairs]), len(pairs))
        pairs -= {(each.delivery_id, each.attempt) for each in deferred}
        self._lag.note_claims([each.overdue_seconds for each in deferred])
        if not pairs:
            return
        # 2. The rest is leased, if it may be attempted now.
        claimed = await self._retry(
            lambda: deliveries.claim(self._pool, self._store, [*pairs], LEASE_MARGIN_SECONDS), len(pairs)
        )
        self._lag.note_claims([each.overdue_seconds for each in claimed if isinstance(each, LeasedDelivery)])
        self._lanes.enter(claimed)
        for delivery_id, attempt in pairs - {(each.delivery_id, each.attempt) for each in claimed}:
            self._log.info("delivery.dropped", delivery_id=str(delivery_id), attempt=attempt)

    async def _crashed(self, wanted: DeliveryMessage, error: Exception) -> None:
        # Only the message is given up: its row is as it was, and the sweeper finds it.
        self._log.error("attempt.crashed", delivery_id=str(wanted.delivery_id), reason=place_of(error))
        await self._give_up(msgspec.json.encode(wanted), "crashed")

    async def _give_up(self, body: bytes, cause: str) -> None:
        await self._publisher.publish(FAX_DEAD, DEAD_DELIVERY, body, {"cause": cause})
