"""How fast a replay goes: evenly, and never with much standing in line before live traffic."""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from dispatcher.ledger.pool import Pool
from dispatcher.ops.dead.jobs import fates
from dispatcher.ops.dead.queues.held_queue import DeadQueues
from shared.broker import WORK_DELIVERIES

RATE: Final = 5.0
"""Letters a second, one at a time: live traffic comes first, and what is dead has waited for long. Several at once
would be noticed by the live deliveries that come just behind them. Who is in a hurry says so."""

MOST_UNDER_WAY: Final = 100
"""Replayed and not yet attempted, or put off: behind a slow application, or a queue that is long, the replay waits."""

LOOK_SECONDS: Final = 0.25
NOBODY_SECONDS: Final = 3.0


class Pace:
    """Lets one letter after the other go."""

    def __init__(self, pool: Pool, queues: DeadQueues, rate: float = RATE) -> None:
        self._pool = pool
        self._queues = queues
        self._gap_seconds = 1.0 / rate
        self._next_at = 0.0
        self._under_way: list[UUID] = []
        self._looked_at = 0.0
        self._nobody_at = float("-inf")

    async def next(self) -> None:
        """Wait until one more may go."""
        now = asyncio.get_running_loop().time()
        wait_seconds = self._next_at - now
        self._next_at = max(self._next_at, now) + self._gap_seconds
        if wait_seconds > 0:
            await asyncio.sleep(wait_seconds)

    def sent(self, delivery_ids: Sequence[UUID]) -> None:
        """Count what stands in line now."""
        self._under_way += delivery_ids

    async def room(self) -> None:
        """Wait until little stands in line; not where no dispatcher runs, and so nobody could be disturbed."""
        loop = asyncio.get_running_loop()
        if len(self._under_way) < MOST_UNDER_WAY or loop.time() - self._nobody_at < NOBODY_SECONDS:
            return
        began = loop.time()
        while True:
            self._under_way = await fates.under_way(self._pool, self._under_way)
            if len(self._under_way) < MOST_UNDER_WAY:
                return
            if loop.time() - began >= NOBODY_SECONDS:
                if not (await self._queues.depth(WORK_DELIVERIES)).consumers:
                    self._nobody_at, self._under_way = loop.time(), []
                    return
                began = loop.time()
            await asyncio.sleep(LOOK_SECONDS)
