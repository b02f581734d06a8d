"""Advisory locks of the ledger: every number in one place, and being the one process that holds one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import IntEnum, unique
from typing import Any

from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool


@unique
class Lock(IntEnum):
    """What one process at a time does. The first number is the migrations', which do not import the dispatcher."""

    SWEEP = 0xFA_0002
    PRUNE = 0xFA_0003
    SAMPLE = 0xFA_0004
    READ_LIST_OF_PHAXIO = 0xFA_0005
    READ_LIST_OF_TELNYX = 0xFA_0006
    READ_LIST_OF_SINCH = 0xFA_0007
    KEEP_ACCOUNTS = 0xFA_0008
    ALERT = 0xFA_0009
    FIND_STALLED = 0xFA_000A
    LOOK_AT_DEAD_CALLBACKS = 0xFA_0010
    LOOK_AT_DEAD_EVENTS = 0xFA_0011
    LOOK_AT_DEAD_DELIVERIES = 0xFA_0012
    BEGIN_JOB = 0xFA_0020
    ADD_ENDPOINT = 0xFA_0030


@asynccontextmanager
async def leader(pool: Pool, lock: Lock) -> AsyncIterator[Any]:
    """Yield a connection that holds *lock*, outside any transaction; None if another process holds it.

    The lock goes with its connection: a leader that dies or is cut off makes room for the next one.
    """
    async with pool.acquire() as connection:
        try:
            is_ours = await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock)
        except BaseException:
            with suppress(*LEDGER_UNAVAILABLE):
                connection.terminate()  # the server may have given us the lock, and the pool would keep the session
            raise
        if not is_ours:
            yield None
            return
        try:
            yield connection
        finally:
            try:
                if not connection.is_closed():
                    await connection.execute("SELECT pg_advisory_unlock($1)", lock)
            except BaseException as error:
                with suppress(*LEDGER_UNAVAILABLE):  # one that is gone has no lock; what ended the body is to be raised
                    connection.terminate()  # the lock goes with it, whatever failed
                if not isinstance(error, LEDGER_UNAVAILABLE):
                    raise


async def stay_awake(connection: Any) -> None:
    """Have the ledger hear of a connection that is not used for a while: it ends a session that is idle for long."""
    await connection.execute("SELECT")
