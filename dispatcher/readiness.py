"""Can the dispatcher work now, and if not, why: for `/readyz`, the console and the watchdog."""

import asyncio
from collections.abc import Sequence

from dispatcher.consumers.consumer import Consumer
from dispatcher.ledger.health import LedgerHealth
from shared.amqp.publisher import Publisher
from shared.runtime.service import Stop


class Readiness:
    """Looks at the parts without which the dispatcher cannot work."""

    def __init__(
        self,
        publisher: Publisher,
        topology_check: "asyncio.Task[None]",
        health: LedgerHealth,
        consumers: Sequence[Consumer],
        stop: Stop,
    ) -> None:
        self._publisher = publisher
        self._topology_check = topology_check
        self._health = health
        self._consumers = consumers
        self._stop = stop

    def problems(self) -> list[str]:
        """Return in sentences why the dispatcher cannot work now; an empty list if it can."""
        found = [] if self._publisher.is_ready else ["the broker is away or takes no messages"]
        found += [] if self._topology_check.done() else ["the broker's queues are not checked yet"]
        found += [] if self._health.is_answering else ["the ledger is away"]
        found += [] if all(consumer.is_consuming for consumer in self._consumers) else ["a queue is not consumed"]
        found += ["the service is stopping"] if self._stop.is_set else []
        return found

    def is_store_away(self) -> bool:
        """Is the broker or the ledger away? Then work that waits for it is no fault of ours."""
        return not (self._publisher.is_ready and self._health.is_answering)
