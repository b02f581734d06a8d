"""Is the ledger there, and for how long has it not been? One task asks; every part of the process looks here."""

import asyncio
from contextlib import suppress
from typing import Final

import asyncpg

from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from shared.errors import FaxhookError, Misconfigured
from shared.log import get_logger
from shared.runtime.watchdog import Look
from shared.sql import REVISION
from shared.sql.connection import (
    CONNECT_TIMEOUT_SECONDS,
    SESSION_ERRORS,
    SharedSession,
    check_apart,
    check_sessions,
    ledger_reason,
)
from shared.sql.roles import MAY_NOT_READ, RoleLacksRights, check_rights

ASK_EVERY_SECONDS: Final = 1.0

SLOW_SECONDS: Final = 2.0
"""A ledger that takes longer to say its revision counts as away."""

CUT_OFF_AFTER_SECONDS: Final = 5.0
"""After so long without a ledger, this process leaves the broker's messages to others, which may have one."""

MOST_REASONS: Final = 5
"""Logged of one absence: a ledger that restarts gives several."""

CHECK_SESSIONS_EVERY_SECONDS: Final = 30.0
"""A pooler's mode may be changed under us, between two looks at the ledger."""

ROUNDS_AT_ONCE: Final = 3
"""Of each such check, which is repeated: all of them as at the start would cost a resting dispatcher a fifth more."""

ASK: Final = "SELECT version_num FROM alembic_version"


class SchemaMissing(Misconfigured):
    """The ledger's schema is not what this version of the code wants."""

    code = "schema"


class CutOff(FaxhookError):
    """The ledger has been away for so long that the broker's messages are better left to another dispatcher."""

    code = "cut_off"


class LedgerHealth:
    """Whether the ledger answers, by its last answer to a small question."""

    def __init__(self, pool: Pool, database_url: str) -> None:
        self._pool = pool
        self._database_url = database_url
        self._schema_verified = asyncio.Event()
        self._answering = asyncio.Event()
        self._cut_off = asyncio.Event()
        self._answered_at = asyncio.get_running_loop().time()
        self._asked = 0
        self._reasons: set[str] = set()

    @property
    def is_answering(self) -> bool:
        """Did the ledger answer when it was last asked?"""
        return self._answering.is_set()

    @property
    def is_cut_off(self) -> bool:
        """Has the ledger not answered for `CUT_OFF_AFTER_SECONDS`?"""
        return self._cut_off.is_set()

    async def schema_verified(self) -> None:
        """Wait until the ledger has been found to have this version's schema. Nothing may use it before."""
        await self._schema_verified.wait()

    async def answering(self) -> None:
        """Wait until the ledger answers, with this version's schema."""
        await self._answering.wait()

    async def cut_off(self) -> None:
        """Wait until the ledger has not answered for `CUT_OFF_AFTER_SECONDS`."""
        await self._cut_off.wait()

    def progress(self) -> Look:
        """Return for the watchdog that there is always work, and how often the ledger was asked."""
        return 1, self._asked

    async def run(self) -> None:
        """Ask for ever.

        Raises:
            SchemaMissing: The ledger is not migrated. The message says what to do.
            SharedSession: A pooler in between gives one session to several connections.
            RoleLacksRights: The role of DATABASE_URL may not do what it has to.
        """
        while True:
            self._asked += 1
            asking = asyncio.create_task(self._ask())
            try:
                # It is not cancelled when it is slow: a cancelled command waits for the ledger as well. Its own timeout
                # ends it.
                await asyncio.wait({asking}, timeout=SLOW_SECONDS)
                if not asking.done():
                    self._note_silence(f"no answer within {SLOW_SECONDS:.0f} s")
                await asking
            except LEDGER_UNAVAILABLE as error:
                self._note_silence(ledger_reason(error))
            except SESSION_ERRORS as error:
                raise SharedSession from error
            finally:
                asking.cancel()
                await asyncio.wait({asking})
            await asyncio.sleep(ASK_EVERY_SECONDS)

    async def _ask(self) -> None:
        if not self.is_answering:  # at the start, and after each absence
            await check_sessions(self._database_url)
        try:
            found = await self._pool.fetchval(ASK)
        except asyncpg.UndefinedTableError:
            found = None
        except asyncpg.InsufficientPrivilegeError as error:
            raise RoleLacksRights(MAY_NOT_READ) from error
        # A later schema holds ours: it is migrated first, while processes of this version may still start.
        if not self._schema_verified.is_set() and (found is None or found < REVISION):
            raise SchemaMissing(
                f"DATABASE_URL leads to a ledger at revision {found}, this version needs {REVISION}: "
                "run `faxhook migrate` first"
            )
        if not self._schema_verified.is_set():
            await check_rights(self._pool)
        self._answered_at = asyncio.get_running_loop().time()
        self._schema_verified.set()
        self._answering.set()
        self._cut_off.clear()
        self._reasons.clear()

    def _note_silence(self, reason: str) -> None:
        if reason not in self._reasons and len(self._reasons) < MOST_REASONS:
            get_logger().warning("ledger.away", reason=reason)
            self._reasons.add(reason)
        self._answering.clear()
        if asyncio.get_running_loop().time() - self._answered_at >= CUT_OFF_AFTER_SECONDS:
            self._cut_off.set()


async def check_sessions_often(pool: Pool) -> None:
    """Check for ever that no pooler has come in between that gives one session to several connections.

    Beside `LedgerHealth`, which it must not delay, and on connections that are there: two new ones each time would cost
    the server two processes and the logins of both sides, a tenth of a second twice a minute.

    Raises:
        SharedSession: One has.
    """
    while True:
        await asyncio.sleep(CHECK_SESSIONS_EVERY_SECONDS)
        with suppress(*LEDGER_UNAVAILABLE):
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS), pool.acquire() as first, pool.acquire() as second:
                await check_apart(first, second, rounds=ROUNDS_AT_ONCE)
