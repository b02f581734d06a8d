"""The pool of connections to the ledger, what can be wrong with it, and whether its schema is ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from shared.errors import FaxhookError, Misconfigured
from shared.sql import REVISION

POOL_SIZE: Final = 5
"""As many as batches in flight (events, deliveries, records), one for the sweeper and one for retention, which hold
theirs while they are at it; not as messages."""

COMMAND_TIMEOUT_SECONDS: Final = 10.0
"""A ledger that does not answer by then is away; its own statements take milliseconds."""

LEDGER_REFUSES: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,
    TypeError,
    OverflowError,
)
"""A row's fault: a value that its column cannot hold, found by the server or by the driver. To be caught before
`LEDGER_AWAY`, because the driver's refusals are interface errors as well."""


class LedgerAway(FaxhookError):
    """No connection to the ledger can be had now."""

    code = "ledger_away"


LEDGER_AWAY: Final = (LedgerAway, OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, TimeoutError)
"""Our own trouble: the same batch is tried again later, whatever it holds."""

LEDGER_BUSY: Final = (
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InternalClientError,
)
"""The server is there but cannot now: restarting, failing over, out of connections, a deadlock that chose us."""

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool  # generic in its stubs only


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Any]:
    """Yield a connection in a transaction.

    Raises:
        LedgerAway: No connection can be had. Whatever the cause, a certificate say, it is no fault of what was to be
            written, and must not be taken for one.
    """
    try:
        connection = await pool.acquire()
    except Exception as error:
        raise LedgerAway(f"no connection to the ledger: {type(error).__name__}") from error
    try:
        async with connection.transaction():
            yield connection
    finally:
        await pool.release(connection)


async def open_pool(database_url: str, size: int = POOL_SIZE) -> Pool:
    """Return a pool; it connects when it is first used, so that a service can start before its database."""
    pool = asyncpg.create_pool(database_url, min_size=0, max_size=size, command_timeout=COMMAND_TIMEOUT_SECONDS)
    return await pool


class SchemaMissing(Misconfigured):
    """The ledger's schema is not what this version of the code wants."""

    code = "schema"


async def verified_schema(pool: Pool) -> None:
    """Check once, as soon as the ledger answers, that it is migrated.

    Raises:
        SchemaMissing: Says what to do.
    """
    while True:
        try:
            found = await pool.fetchval("SELECT version_num FROM alembic_version")
        except (*LEDGER_AWAY, *LEDGER_BUSY):
            await asyncio.sleep(1.0)
            continue
        except asyncpg.UndefinedTableError:
            found = None
        if found == REVISION:
            return
        raise SchemaMissing(
            f"DATABASE_URL leads to a ledger at revision {found}, this version needs {REVISION}: "
            "run `faxhook migrate` first"
        )
