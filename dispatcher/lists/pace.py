"""A pace that leaves room to live traffic, in the event loop and in the ledger.

| work | pace |
|---|---|
| faxes that are read | a fraction of a millisecond at a time, and at most `FAXES_PER_SECOND` |
| faxes that are looked up | `AT_ONCE`, a fraction of a millisecond of the ledger |
| statements over many rows | after each a rest of `RESTS` times as long, at most `MOST_REST_SECONDS` |

Where the machine is busy, work takes longer and the rests are shorter. A list of 100,000 faxes has a minute: it is read
in 42 s and counted in a few more.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

STEP_SECONDS: Final = 0.0003
"""One live delivery waits for the event loop some dozen times on its way."""

AT_ONCE: Final = 50
FAXES_PER_SECOND: Final = 2_400.0
MOST_LAG_SECONDS: Final = 0.05
RESTS: Final = 2
MOST_REST_SECONDS: Final = 0.01


class Pace:
    """The pace of one reading or one account.

    Attributes:
        statement_seconds: What the last statement took.
    """

    def __init__(
        self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.statement_seconds = 0.0
        self._sleep = sleep
        self._clock = clock
        self._due = clock()

    async def faxes(self, items: Iterable[Item]) -> AsyncIterator[Item]:
        """Yield *items*; what the caller does with them between two rests takes the event loop for a step."""
        await self._sleep(0.0)  # what came before took its own step
        began = self._clock()
        for item in items:
            yield item
            self._due += 1 / FAXES_PER_SECOND
            if self._clock() - began >= STEP_SECONDS:
                await self._rest()
                began = self._clock()
        await self._rest()

    async def passed(self, count: int) -> None:
        """Rest as *count* faxes ask for that were not yielded by `faxes`."""
        self._due += count / FAXES_PER_SECOND
        await self._rest()

    async def _rest(self) -> None:
        """Sleep until the faxes so far were due. What other work took is made up for, but not by a burst."""
        now = self._clock()
        self._due = max(self._due, now - MOST_LAG_SECONDS)
        await self._sleep(max(0.0, self._due - now))

    async def statement(self, statement: Awaitable[Result]) -> Result:
        """Return what the *statement* gives, after a rest."""
        began = self._clock()
        result = await statement
        self.statement_seconds = self._clock() - began
        await self._sleep(min(RESTS * self.statement_seconds, MOST_REST_SECONDS))
        return result
