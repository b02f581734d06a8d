"""Refused log-ins and tokens in the audit: the first at once, a flood of them counted.

The audit is kept for ever and a guess costs its sender nothing, so that lines are rationed: equal refusals that wait
for their line become one with a count, and past `MOST_WAITING` different ones the rest is one more.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import asyncpg

from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.ops.api.audit import ORIGIN, write_audit

BURST_LINES: Final = 30
SECONDS_PER_LINE: Final = 10.0
"""Past the burst: at most 8,640 lines a day."""

MOST_WAITING: Final = 100
LEDGER_SECONDS: Final = 5.0

_Key = tuple[str, str, str | None, str]


class Refusals:
    """Refused log-ins that are to be written; of each the count since its last line."""

    def __init__(self, pool: Pool, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._waiting: dict[_Key, int] = {}
        self._wanted = asyncio.Event()
        self._lines = float(BURST_LINES)
        self._counted_at = clock()

    def note(self, what: str, who: str, reason: str) -> None:
        """Take that *who* was refused: *what* is `api.refused` or `console.refused`. Never waits."""
        key: _Key = (what, who, ORIGIN.get(), reason)
        if key not in self._waiting and len(self._waiting) >= MOST_WAITING:
            key = (what, "several", None, "more refusals than the audit lists one by one")
        self._waiting[key] = self._waiting.get(key, 0) + 1
        self._wanted.set()

    async def run(self) -> None:
        """Write what was taken, until cancelled."""
        while True:
            await self._wanted.wait()
            await self._write_one()

    async def _write_one(self) -> None:
        if (wait := self._seconds_to_next()) > 0:
            await asyncio.sleep(wait)
            return
        key, count = next(iter(self._waiting.items()))
        what, who, origin, reason = key
        ORIGIN.set(origin)
        try:
            await write_audit(self._pool, who, what, what.partition(".")[0], {"reason": reason, "count": count})
        except (*LEDGER_UNAVAILABLE, asyncpg.PostgresError):  # away, or not migrated yet
            await asyncio.sleep(LEDGER_SECONDS)
            return
        self._lines -= 1
        self._waiting[key] -= count  # more may have come meanwhile
        if not self._waiting[key]:
            del self._waiting[key]
        if not self._waiting:
            self._wanted.clear()

    def _seconds_to_next(self) -> float:
        """Return how long to wait until a line may be written; count those that became free."""
        now = self._clock()
        self._lines = min(BURST_LINES, self._lines + (now - self._counted_at) / SECONDS_PER_LINE)
        self._counted_at = now
        return max(0.0, (1.0 - self._lines) * SECONDS_PER_LINE)
