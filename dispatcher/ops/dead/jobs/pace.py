"""How fast a replay goes: evenly, and never with many deliveries ahead of live traffic."""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from dispatcher.ledger.pool import Pool
from dispatcher.ops.dead.jobs.moves import deliveries
from dispatcher.ops.dead.queues.held_queue import DeadQueues
from shared.broker import WORK_DELIVERIES

RATE: Final = 5.0
"""Letters a second, one at a time: live traffic comes first, and what is dead has waited for long. Several at once
would delay the live deliveries just behind them. `dead replay --rate` sets another."""

MOST_UNDER_WAY: Final = 100
"""Replayed and neither attempted nor put off: behind a slow application, or a long queue, the replay waits."""

LOOK_SECONDS: Final = 0.25
UNCONSUMED_SECONDS: Final = 3.0


class Pace:
    """Lets letters go one by one, *rate* a second."""

    def __init__(self, pool: Pool, queues: DeadQueues, rate: float) -> None:
        self._pool = pool
        self._queues = queues
        self._gap_seconds = 1.0 / rate
        self._next_at = 0.0
        self._under_way: list[UUID] = []
        self._unconsumed_at = float("-inf")

    async def next(self) -> None:
        """Wait until one more may go."""
        now = asyncio.get_running_loop().time()
        wait_seconds = self._next_at - now
        self._next_at = max(self._next_at, now) + self._gap_seconds
        if wait_seconds > 0:
            await asyncio.sleep(wait_seconds)

    def sent(self, delivery_ids: Sequence[UUID]) -> None:
        """Count deliveries that are under way now."""
        self._under_way += delivery_ids

    async def room(self) -> None:
        """Wait until few deliveries are under way; return at once where no dispatcher runs that they could delay."""
        loop = asyncio.get_running_loop()
        if len(self._under_way) < MOST_UNDER_WAY or loop.time() - self._unconsumed_at < UNCONSUMED_SECONDS:
            return
        began = loop.time()
        while True:
            self._under_way = await deliveries.under_way(self._pool, self._under_way)
            if len(self._under_way) < MOST_UNDER_WAY:
                return
            if loop.time() - began >= UNCONSUMED_SECONDS:
                if not (await self._queues.depth(WORK_DELIVERIES)).consumers:
                    self._unconsumed_at, self._under_way = loop.time(), []
                    return
                began = loop.time()
            await asyncio.sleep(LOOK_SECONDS)
