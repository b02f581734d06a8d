"""One connection to the ledger: made, set up, and the reason if it cannot be made. For many, see the dispatcher's pool.

A pooler (PgBouncer) may stand in between if it gives each connection a session of its own. Leader locks belong to a
session, prepared statements and settings as well: in another mode one process would run the statements of another.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from random import SystemRandom
from typing import Any, Final

import asyncpg

from shared.errors import EXIT_AWAY, FaxhookError, Misconfigured
from shared.sentences.reasons import one_line, reason_of

CONNECT_TIMEOUT_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 1.0

SESSION_SETTINGS: Final = {
    # Our statements take milliseconds; compiling one takes more, and is tried where statistics are out of date.
    "jit": "off",
    "idle_in_transaction_session_timeout": "10s",
    # A session whose client is swallowed between the parts of one statement counts as busy, not as idle.
    "statement_timeout": "10s",
    "idle_session_timeout": "100s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20s",
}
"""What the server does if the network loses our packets. By its defaults it would keep our locks for two hours, and
every repetition of our last batch would wait for them. Set after connecting: a pooler refuses them at start-up."""

ROUNDS: Final = 24
"""Of the check for sessions of our own. One round misses a busy pooler with N connections to the server once in N: with
two of them, all rounds together once in ten million. An idle one is found by the first or the second."""

MOST_PAUSE_SECONDS: Final = 0.003
"""Between the questions of a round, by chance up to it. Without, the rounds fall into step with the other clients: two
of them at a pooler with two connections hid it from twenty rounds in a row."""


class LedgerAway(FaxhookError):
    """No connection to the ledger can be had now."""

    code = "ledger_away"
    status = 503
    exit_code = EXIT_AWAY


class SharedSession(Misconfigured):
    """A pooler in transaction or statement mode stands before the ledger."""

    code = "shared_session"

    def __init__(self) -> None:
        super().__init__(
            "DATABASE_URL leads to a connection pooler in transaction or statement mode, in which locks and prepared "
            "statements get lost: set pool_mode=session for this database, or connect to PostgreSQL directly"
        )


SESSION_ERRORS: Final = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""A statement of ours is not there, or is there already: another session answered."""


async def connect(
    database_url: str, *, session_settings: Mapping[str, str] = SESSION_SETTINGS, **options: Any
) -> asyncpg.Connection:
    """Return a connection whose session has *session_settings*; *options* are the driver's.

    Raises:
        LedgerAway: It cannot be made. Whatever the cause, a certificate say, it is no fault of what was to be written,
            and must not be taken for one.
    """
    connection = await _connect(database_url, **options)
    try:
        if session_settings:
            await connection.execute("".join(f"SET {name} = '{value}';" for name, value in session_settings.items()))
    except Exception as error:
        connection.terminate()
        raise _away(error) from error
    except BaseException:
        connection.terminate()
        raise
    return connection


async def check_sessions(database_url: str) -> None:
    """Check that each new connection has a session of its own.

    Raises:
        SharedSession: A pooler gives one session to several connections.
        LedgerAway: No connection can be had.
    """
    options = {"statement_cache_size": 0, "command_timeout": CONNECT_TIMEOUT_SECONDS}
    opened = [await _connect(database_url, **options)]
    try:
        try:
            opened.append(await _connect(database_url, **options))
        except LedgerAway as error:
            # A pooler that is full. Else the server's own limit: one is enough to work with, if slowly.
            if isinstance(error.__cause__, asyncpg.ProtocolViolationError):
                raise
        else:
            await check_apart(*opened)
    finally:
        for connection in opened:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=CLOSE_SECONDS)


async def check_apart(first: Any, second: Any, *, rounds: int = ROUNDS) -> None:
    """Check in *rounds* that two open connections have a session each. Sets nothing: another client might get it.

    Raises:
        SharedSession: A pooler gives one session to both.
        LedgerAway: The server does not answer on one of them.
    """
    pair = (first, second)
    try:
        for number in range(rounds):
            if await _is_shared(pair[number % 2], pair[1 - number % 2]):
                raise SharedSession
    except SESSION_ERRORS as error:
        raise SharedSession from error
    except asyncpg.PostgresError as error:
        # PgBouncer in statement mode has no transactions, and says so with its general code.
        if "pooling mode" in str(error):
            raise SharedSession from error
        raise _away(error) from error
    except (OSError, asyncpg.InterfaceError) as error:
        raise _away(error) from error


async def _is_shared(first: Any, second: Any) -> bool:
    """Does the server see both connections as one, or the first as two while the second is in a transaction?"""
    own = await _session(first)
    await _pause()
    async with second.transaction():
        other = await second.fetchval("SELECT pg_backend_pid()")
        if other == own:  # with a pool of one connection the first would wait for it in vain
            return True
        await _pause()
        return await _session(first) != own


async def _pause() -> None:
    await asyncio.sleep(SystemRandom().uniform(0, MOST_PAUSE_SECONDS))


async def _session(connection: Any) -> int:
    async with connection.transaction():  # else a pooler may take parts of one statement to two sessions
        return int(await connection.fetchval("SELECT pg_backend_pid()"))


async def _connect(database_url: str, **options: Any) -> asyncpg.Connection:
    defaults = {"timeout": CONNECT_TIMEOUT_SECONDS, "server_settings": {"application_name": "faxhook"}}
    try:
        return await asyncpg.connect(database_url, **{**defaults, **options})
    except Exception as error:
        raise _away(error) from error


def _away(error: Exception) -> LedgerAway:
    return LedgerAway(f"no connection to the ledger (DATABASE_URL): {ledger_reason(error)}")


def ledger_reason(error: BaseException) -> str:
    """Return why the ledger did not do what it was asked: the server's own words, or the network's."""
    match error:
        case FaxhookError():
            return str(error)
        case asyncpg.PostgresError():
            # Without the details behind it, which may quote a row.
            return f"the server answers: {one_line(str(error.args[0] if error.args else ''))}"
        case asyncpg.ClientConfigurationError():
            return reason_of(error.__cause__ or error)  # its own sentence may quote the URL
        case asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return one_line(str(error)) or type(error).__name__
        case _:
            return reason_of(error)
