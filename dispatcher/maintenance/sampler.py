"""What the ledger owes, for the metrics: looked at every few seconds by one dispatcher, not by every scrape.

Which one is said by an advisory lock that goes with its connection. The queries read an index of what is not settled
and stop at a bound, so that a large ledger or backlog costs no more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from dispatcher.ledger.locks import Lock, leader
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.metrics import LedgerSample, Metrics

SAMPLE_EVERY_SECONDS: Final = 15.0
"""As often as Prometheus looks by habit."""

MOST_OWED: Final = 1_000_000
MOST_DUE: Final = 100_000

SAMPLE: Final = """
SELECT (SELECT count(*) FROM (
           SELECT FROM deliveries WHERE state IN ('pending', 'retrying') LIMIT $1) AS owed) AS owed,
       (SELECT count(*) FROM (
           SELECT FROM deliveries WHERE state IN ('pending', 'retrying') AND greatest(due_at, lease_until) < now()
           LIMIT $2) AS due) AS due,
       (SELECT extract(epoch FROM now() - greatest(due_at, lease_until))::float8 FROM deliveries
        WHERE state IN ('pending', 'retrying') ORDER BY greatest(due_at, lease_until) LIMIT 1) AS overdue
"""


async def sample(connection: Any) -> LedgerSample:
    """Look once."""
    row = await connection.fetchrow(SAMPLE, MOST_OWED, MOST_DUE)
    return LedgerSample(owed=row["owed"], due=row["due"], oldest_overdue_seconds=max(0.0, row["overdue"] or 0.0))


class Sampler:
    """Samples while it is the leader. One connection of *pool* is kept for as long."""

    def __init__(self, pool: Pool, metrics: Metrics, *, every_seconds: float = SAMPLE_EVERY_SECONDS) -> None:
        self._pool = pool
        self._metrics = metrics
        self._every_seconds = every_seconds

    async def run(self, schema_verified: Callable[[], Awaitable[None]]) -> None:
        """Sample for ever, once the schema is verified; there is no sample while the ledger is away."""
        await schema_verified()
        while True:
            with suppress(*LEDGER_UNAVAILABLE):  # `/readyz` and the log say that the ledger is away
                async with leader(self._pool, Lock.SAMPLE) as connection:
                    if connection is not None:
                        await self._sample(connection)
            await asyncio.sleep(self._every_seconds)

    async def _sample(self, connection: Any) -> None:
        try:
            while True:
                self._metrics.sample = await sample(connection)
                await asyncio.sleep(self._every_seconds)
        finally:
            self._metrics.sample = None
