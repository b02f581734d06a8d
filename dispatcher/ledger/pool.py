"""The pool of connections to the ledger, and what can be wrong with it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import asyncpg.transaction

from shared.sql.connection import CONNECT_TIMEOUT_SECONDS, LedgerAway, check_sessions, connect, ledger_reason

POOL_SIZE: Final = 6
"""One for each batch under way (events, deliveries, records), one each for leases, endpoints and the health check; not
one for each message. What works beside live traffic has connections of its own."""

COMMAND_TIMEOUT_SECONDS: Final = 5.0
"""A ledger that does not answer by then is away; its own statements take milliseconds. Whatever hangs when it comes
back ends after this, and is repeated on another connection."""

IDLE_SECONDS: Final = 90.0
"""A connection that was not used for so long is closed, before a firewall or the server (`SESSION_SETTINGS`) does it.
Longer than what is done once a minute rests: a new connection costs a process there, and each statement is planned on
it again, which holds up what waits for it by a tenth of a second."""

MAX_QUERIES: Final = 1_000_000
"""After so many a connection is replaced, whatever its session has gathered in the server by then. An hour of steady
traffic: a live one would be replaced every minute by the library's 50,000."""

LEDGER_REFUSES: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,
    TypeError,
    OverflowError,
)
"""A row's fault: a value that its column cannot hold, found by the server or by the driver. Catch these before
`LEDGER_AWAY`: the driver's refusals are interface errors as well."""


LEDGER_AWAY: Final = (LedgerAway, OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, TimeoutError)
"""Our own trouble: the same batch is tried again later, whatever it holds."""

LEDGER_BUSY: Final = (
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.PostgresSystemError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InternalClientError,
)
"""The server is there but cannot now: restarting, failing over, out of connections, a deadlock that chose us,
an error of its disk. We may have been the one that stood still in a transaction."""

LEDGER_UNAVAILABLE: Final = (*LEDGER_AWAY, *LEDGER_BUSY)
"""Away or busy: no fault of what was to be read or written, which is tried again later."""

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool  # generic in its stubs only


@asynccontextmanager
async def planned_by_index(connection: Any) -> AsyncIterator[None]:
    """Have what the body runs on *connection* planned with indexes.

    A plan is kept, and one that was made while a table was small reads the whole of it.
    """
    try:  # a cancellation may come with the answer: the pool would keep the setting
        await connection.execute("SET enable_seqscan = off")
        yield
    finally:
        try:
            await connection.execute("RESET enable_seqscan")
        except LEDGER_UNAVAILABLE:  # what ended the body is to be raised
            connection.terminate()


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
        if isinstance(error, LedgerAway):
            raise
        raise LedgerAway(f"no connection to the ledger: {ledger_reason(error)}") from error
    try:
        async with connection.transaction():
            yield connection
    finally:
        await pool.release(connection)


class _Transaction(asyncpg.transaction.Transaction):
    """A transaction whose roll-back never hides why it is rolled back.

    On a connection that is gone it fails in the library, and the server does it; a part that tries again after trouble
    would take that failure for trouble, and the cancellation behind it would be lost.
    """

    __slots__ = ()

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        try:
            await super().__aexit__(kind, error, trace)
        except LEDGER_UNAVAILABLE:
            if error is None:
                raise


FIRST_OWN_TYPE: Final = 10_000
"""Below this PostgreSQL numbers its own types by hand (`FirstGenbkiObjectId`), the same in each version."""

_KNOWN_TYPES: Final[dict[int, Any]] = {}
"""What the driver asked about each of such types, once for all connections of the process."""


class _Impatient(asyncpg.Connection):
    """A connection that ends with the first command that is cut off.

    The library would ask the server, over a second connection, to cancel the command, and keep the pool's place taken
    until it answers: a server that hangs would hold every place twice as long.
    """

    __slots__ = ()

    def get_reset_query(self) -> str:
        # Nothing of a session outlives its use: no setting, cursor or channel, and `locks.leader` gives its lock back.
        # The library would send four statements after each use; for a batch of a few events that is a fifth of all.
        return ""

    def transaction(self, *, isolation: Any = None, readonly: bool = False, deferrable: bool = False) -> _Transaction:
        self._check_open()  # type: ignore[attr-defined]  # private in the library, and not in its stubs
        return _Transaction(self, isolation, readonly, deferrable)

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float) -> Any:  # noqa: ASYNC109 - the library's
        # Each new connection would ask again what an array of UUIDs is: 5 to 15 ms of the server for each type.
        wanted = list(typeoids)
        if max(wanted) >= FIRST_OWN_TYPE:
            return await super()._introspect_types(wanted, timeout)  # type: ignore[misc]  # private in the library
        # One by one: which types a statement is the first to need differs from connection to connection.
        for each in wanted:
            if each not in _KNOWN_TYPES:
                _KNOWN_TYPES[each] = await super()._introspect_types([each], timeout)  # type: ignore[misc]
        asked = [_KNOWN_TYPES[each] for each in wanted]
        return [row for rows, _ in asked for row in rows], asked[0][1]

    def _cancel_current_command(self, waiter: Any, cancel_waiter: Any = None) -> None:  # noqa: ARG002 - the library's
        asyncio.get_running_loop().call_soon(self.terminate)
        if not waiter.done():
            waiter.set_result(None)


class _OpenPool(Pool):
    """A pool in which a connection that ended with its command does not hide how that command ended."""

    __slots__ = ()

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the library's
        with suppress(*LEDGER_UNAVAILABLE):  # the pool drops the connection; its user has the error
            await super().release(connection, timeout=timeout)


async def open_pool(database_url: str, size: int = POOL_SIZE, may_connect: Callable[[], bool] = lambda: True) -> Pool:
    """Return a pool; it connects when it is first used, so that a service can start before its database.

    *may_connect* is asked before each new connection. What works beside live traffic waits with it while the ledger is
    away: a server that has but one connection left gives it to deliveries.
    """

    async def connect_if_allowed(*arguments: Any, **options: Any) -> asyncpg.Connection:
        if not may_connect():
            raise LedgerAway("the ledger is away: deliveries get the first connection")
        return await connect(*arguments, **options)

    pool = _OpenPool(
        database_url,
        min_size=0,
        max_size=size,
        max_queries=MAX_QUERIES,
        max_cached_statement_lifetime=0,  # for good: planned again, each costs some milliseconds of those that wait
        command_timeout=COMMAND_TIMEOUT_SECONDS,
        timeout=CONNECT_TIMEOUT_SECONDS,
        max_inactive_connection_lifetime=IDLE_SECONDS,
        connect=connect_if_allowed,
        connection_class=_Impatient,
        record_class=asyncpg.Record,
        loop=asyncio.get_running_loop(),
    )
    await pool
    return pool


async def open_command_pool(database_url: str, size: int = 1) -> Pool:
    """Return a pool for one command, which cannot wait for its database.

    Raises:
        SharedSession: A pooler in between gives one session to several connections.
        LedgerAway: The ledger cannot be reached now.
    """
    await check_sessions(database_url)
    return await open_pool(database_url, size)


CLOSE_SECONDS: Final = 5.0


async def close_pool(pool: Pool) -> None:
    """Close *pool*; what does not answer is cut off, as a server in a black hole would keep us waiting for ever."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
    except TimeoutError:
        pool.terminate()
