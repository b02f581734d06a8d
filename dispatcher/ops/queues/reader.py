"""Reads the queues: depth and consumers by AMQP, rates by the management API if it is set, due times by the ledger."""

import asyncio
from collections.abc import Sequence

from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.ops.queues.bodies import Queues
from dispatcher.ops.queues.broker import ApiAway, ApiQueue, api_queues, depths
from dispatcher.ops.queues.picture import LastEmpty, picture
from dispatcher.ops.queues.waiting import Waiting, read_waiting
from shared.amqp.channel import QueueDepth
from shared.amqp.errors import REFUSED, AccessRefused, ConnectionLost
from shared.broker import topology
from shared.domain import utc_now


class QueueReader:
    """Reads all queues of the topology that belongs to a table of waits. Never raises: `troubles` says what failed."""

    def __init__(self, amqp_url: str, api_url: str | None, pool: Pool, backoff_seconds: Sequence[float]) -> None:
        self._amqp_url = amqp_url
        self._api_url = api_url
        self._pool = pool
        self._backoff_seconds = backoff_seconds
        self.refusal: AccessRefused | None = None
        """Of the last look: why the broker, which answers, does not let us in."""

    async def depths(self) -> dict[str, QueueDepth] | None:
        """Return the depth of every queue that there is; None if the broker is away."""
        self.refusal = None
        try:
            return await depths(self._amqp_url, [queue.name for queue in topology(self._backoff_seconds).queues])
        except AccessRefused as error:
            self.refusal = error
            return None
        except (ConnectionLost, TimeoutError):
            return None

    async def read(self, last_empty: LastEmpty = lambda _: None) -> Queues:
        """Return every queue as it is now."""
        troubles: list[str] = []
        found, api, waiting = await asyncio.gather(self.depths(), self._api(troubles), self._waiting(troubles))
        if found is None:
            troubles.append(
                "the broker does not answer: no depths" if self.refusal is None else f"{REFUSED}: {self.refusal}"
            )
        return picture(
            backoff_seconds=self._backoff_seconds,
            depths=found,
            api=api,
            waiting=waiting,
            last_empty=last_empty,
            troubles=troubles,
            now=utc_now(),
        )

    async def _api(self, troubles: list[str]) -> dict[str, ApiQueue] | None:
        if self._api_url is None:
            return None
        try:
            return await api_queues(self._api_url, self._amqp_url)
        except ApiAway as error:
            troubles.append(str(error))
            return None

    async def _waiting(self, troubles: list[str]) -> Waiting | None:
        try:
            return await read_waiting(self._pool)
        except LEDGER_UNAVAILABLE:
            troubles.append("the ledger does not answer: nothing about what is due")
            return None
