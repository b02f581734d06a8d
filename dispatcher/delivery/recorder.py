"""Writes what became of attempts into the ledger, many at a time, and never gives up on one.

A 2xx whose record cannot be written is held here and written later; nothing is sent again because of it.
"""

import asyncio
import time
from collections import deque
from typing import Final

from dispatcher.delivery.held import HeldDeliveries
from dispatcher.ledger import deliveries
from dispatcher.ledger.deliveries import Record
from dispatcher.ledger.pool import Pool
from dispatcher.ledger.retry import LedgerRetry
from dispatcher.policy.linger import Linger
from shared.runtime.watchdog import Look

MOST_PER_BATCH: Final = 500


class Recorder:
    """A queue of records and the one task that writes them."""

    def __init__(self, pool: Pool, held: HeldDeliveries) -> None:
        self._pool = pool
        self._held = held
        self._waiting: deque[Record] = deque()
        self._in_hand = 0
        self._linger = Linger()
        self._has_work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._retry = LedgerRetry("record.delayed", always=True)

    @property
    def waiting(self) -> int:
        """How many records wait to be written."""
        return len(self._waiting)

    def progress(self) -> Look:
        """Return for the watchdog how many records are not written, and how often writing was tried."""
        return len(self._waiting) + self._in_hand, self._retry.tries

    def record(self, record: Record) -> None:
        """Write *record* soon; its delivery is held until then."""
        self._waiting.append(record)
        self._idle.clear()
        self._has_work.set()

    async def drained(self) -> None:
        """Wait until everything is written."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write for ever."""
        while True:
            if not self._waiting:
                self._idle.set()
                self._has_work.clear()
                await self._has_work.wait()
            if wait_seconds := self._linger.wait_seconds(len(self._waiting), time.monotonic()):
                await asyncio.sleep(wait_seconds)
            batch = [self._waiting.popleft() for _ in range(min(MOST_PER_BATCH, len(self._waiting)))]
            self._linger.took(len(batch), time.monotonic())
            self._in_hand = len(batch)
            await self._write(batch)
            self._in_hand = 0
            for record in batch:
                self._held.free(record.delivery_id)

    async def _write(self, batch: list[Record]) -> None:
        await self._retry.in_parts(lambda part: deliveries.record(self._pool, part), batch)
