"""Repeats work that the ledger cannot do now: the one loop for a ledger that is away or busy."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import asyncpg

from dispatcher.ledger.health import CutOff, LedgerHealth
from dispatcher.ledger.pool import LEDGER_REFUSES, LEDGER_UNAVAILABLE
from shared.errors import FaxhookError
from shared.log import get_logger
from shared.sql.connection import ledger_reason

RETRY_SECONDS: Final = 0.5

TOO_SLOW: Final = (TimeoutError, asyncpg.QueryCanceledError, asyncpg.TransactionTimeoutError)
"""A statement ran out of its time: ours, or the server's."""

Value = TypeVar("Value")
Item = TypeVar("Item")


class TooMuchAtOnce(FaxhookError):
    """The ledger answers, and cannot do so much work in the time of one statement; less of it, it may."""

    code = "too_much_at_once"


class LedgerRetry:
    """Runs work until the ledger has done it; one for each part that must not go on without it.

    The first failure is logged as *log_event*. With *health*, it stops once this process is cut off from the ledger.
    *always*: no error of the server's ends it but a refused value, not a lost right nor a broken index.
    """

    def __init__(self, log_event: str, health: LedgerHealth | None = None, *, always: bool = False) -> None:
        self._log_event = log_event
        self._health = health
        self._repeated = (*LEDGER_UNAVAILABLE, asyncpg.PostgresError) if always else LEDGER_UNAVAILABLE
        self.tries = 0

    async def in_parts(self, work: Callable[[Sequence[Item]], Awaitable[None]], items: Sequence[Item]) -> None:
        """Do *work* for all *items*: where that is too much at once, for halves of them, one after the other.

        Raises like a call, but no `TooMuchAtOnce`.
        """
        try:
            await self(lambda: work(items), len(items))
        except TooMuchAtOnce:
            middle = len(items) // 2
            await self.in_parts(work, items[:middle])
            await self.in_parts(work, items[middle:])

    async def __call__(self, work: Callable[[], Awaitable[Value]], count: int) -> Value:
        """Return what *work* returns; *count* is how many items it is about, for the log.

        Raises:
            CutOff: The ledger has been away for too long.
            TooMuchAtOnce: A statement for several items ran out of its time: do it for halves of them. The same
                statement would run out of it again, for ever.
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
                reason, is_too_slow = ledger_reason(error), False
            except self._repeated as error:
                reason, is_too_slow = ledger_reason(error), isinstance(error, TOO_SLOW)
            if not was_logged:
                get_logger().warning(self._log_event, count=count, reason=reason)
                was_logged = True
            if self._health is not None and self._health.is_cut_off:
                raise CutOff("the ledger is away")
            if count > 1 and is_too_slow and (self._health is None or self._health.is_answering):
                raise TooMuchAtOnce(f"{count} items take longer than a statement may")
            await asyncio.sleep(RETRY_SECONDS)
