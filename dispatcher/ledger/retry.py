"""Repeats work that the ledger cannot do now: the one loop for a ledger that is away or busy."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from dispatcher.ledger.health import CutOff, LedgerHealth
from dispatcher.ledger.pool import LEDGER_REFUSES, LEDGER_UNAVAILABLE
from shared.log import get_logger
from shared.sql.connection import ledger_reason

RETRY_SECONDS: Final = 0.5

Value = TypeVar("Value")


class LedgerRetry:
    """Runs work until the ledger has done it; one for each part that must not go on without it.

    The first failure is logged as *log_event*. With *health*, it stops once this process is cut off from the ledger.
    """

    def __init__(self, log_event: str, health: LedgerHealth | None = None) -> None:
        self._log_event = log_event
        self._health = health
        self.tries = 0

    async def __call__(self, work: Callable[[], Awaitable[Value]], count: int) -> Value:
        """Return what *work* returns; *count* is how many items it is about, for the log.

        Raises:
            CutOff: The ledger has been away for too long.
            Exception: What is no trouble of the ledger's; one of `LEDGER_REFUSES`, say.
        """
        was_logged = False
        while True:
            self.tries += 1
            try:
                return await work()
            except LEDGER_REFUSES as error:
                # Trouble with certificates is a ValueError as well; no row is to blame for it.
                if not isinstance(error, OSError | asyncpg.ClientConfigurationError):
                    raise
                reason = ledger_reason(error)
            except LEDGER_UNAVAILABLE as error:
                reason = ledger_reason(error)
            if not was_logged:
                get_logger().warning(self._log_event, count=count, reason=reason)
                was_logged = True
            if self._health is not None and self._health.is_cut_off:
                raise CutOff("the ledger is away")
            await asyncio.sleep(RETRY_SECONDS)
