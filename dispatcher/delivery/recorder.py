"""Writes what became of attempts into the ledger, many at a time, and never gives up on one.

A 2xx whose record cannot be written is held here and written later; nothing is sent again because of it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from dispatcher.ledger import deliveries as ledger
from dispatcher.ledger.deliveries import Record
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from shared.log import get_logger
from shared.runtime.watchdog import Look

MOST_PER_BATCH: Final = 500
RETRY_SECONDS: Final = 0.5


class Recorder:
    """A queue of records and the one task that writes them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: deque[tuple[Record, Callable[[], None]]] = deque()
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_hand = 0
        self._tries = 0

    def unwritten(self) -> Look:
        """Return for the watchdog what waits to be written, and how often that was tried."""
        return len(self._waiting) + self._in_hand, self._tries

    @property
    def waiting(self) -> int:
        """How many records wait to be written."""
        return len(self._waiting)

    def record(self, record: Record, written: Callable[[], None]) -> None:
        """Write *record* soon; call *written* when it is in the ledger."""
        self._waiting.append((record, written))
        self._idle.clear()
        self._some.set()

    async def drained(self) -> None:
        """Wait until everything is written."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write for ever."""
        while True:
            if not self._waiting:
                self._idle.set()
                self._some.clear()
                await self._some.wait()
            batch = [self._waiting.popleft() for _ in range(min(MOST_PER_BATCH, len(self._waiting)))]
            self._in_hand = len(batch)
            await self._write([record for record, _ in batch])
            self._in_hand = 0
            for _, written in batch:
                written()

    async def _write(self, records: list[Record]) -> None:
        was_delayed = False
        while True:
            self._tries += 1
            try:
                await ledger.record(self._pool, records)
                return
            except LEDGER_UNAVAILABLE as error:
                if not was_delayed:
                    get_logger().warning("record.delayed", count=len(records), reason=type(error).__name__)
                was_delayed = True
                await asyncio.sleep(RETRY_SECONDS)
