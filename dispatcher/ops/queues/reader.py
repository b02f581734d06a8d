"""Reads the queues: depth and consumers by AMQP, rates by the management API if it is set, due times by the ledger."""

from collections.abc import Sequence

from dispatcher.ops.queues.bodies import Queues
from dispatcher.pool import Pool


class QueueReader:
    """Reads all queues of the topology that belongs to a table of waits; never raises, `troubles` says what failed."""

    def __init__(self, amqp_url: str, api_url: str | None, pool: Pool | None, backoff_seconds: Sequence[float]) -> None:
        self._amqp_url = amqp_url
        self._api_url = api_url
        self._pool = pool
        self._backoff_seconds = backoff_seconds

    async def read(self) -> Queues:
        """Return every queue as it is now."""
        raise NotImplementedError
