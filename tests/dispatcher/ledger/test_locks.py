"""Each advisory lock of the ledger has its own number, and is given back by the process that held it."""

import asyncio
import re
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from waiting import until

from dispatcher.ledger.locks import Lock, leader
from dispatcher.ledger.pool import close_pool, open_pool

REPOSITORY = Path(__file__).parents[3]
KEY = re.compile(r"0xFA_?([0-9A-F]{4})\b")


def test_every_advisory_lock_has_a_number_of_its_own() -> None:
    files = [path for package in ("dispatcher", "shared") for path in (REPOSITORY / package).rglob("*.py")]
    found = Counter(key for path in files for key in KEY.findall(path.read_text(encoding="utf-8")))
    assert len(found) >= 8
    assert [key for key, times in found.items() if times > 1] == []


async def test_a_leader_gives_its_lock_back_though_the_connection_goes_on(
    pool: asyncpg.Pool, database_url: str
) -> None:
    few = await open_pool(database_url, size=1)
    async with leader(few, Lock.SWEEP) as connection:
        assert connection is not None
        assert not await is_free(pool, Lock.SWEEP)
    assert await is_free(pool, Lock.SWEEP)
    await close_pool(few)


async def test_a_lock_that_cannot_be_given_back_goes_with_its_connection(
    pool: asyncpg.Pool, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = await open_pool(database_url, size=1)

    async def canceled(*_arguments: Any) -> None:
        raise asyncpg.QueryCanceledError("canceling statement due to user request")

    async with leader(few, Lock.SWEEP) as connection:
        assert connection is not None
        monkeypatch.setattr("asyncpg.Connection.execute", canceled)
    monkeypatch.undo()

    async def free() -> bool:
        return await is_free(pool, Lock.SWEEP)

    await until(free, "the lock is free", 5.0)  # sooner than an idle connection ends
    await close_pool(few)


async def test_a_lock_whose_grant_never_reaches_its_leader_goes_with_its_connection(
    pool: asyncpg.Pool, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancellation may come when the answer is there already: the library keeps such a connection for its next use."""
    few, ask = await open_pool(database_url, size=1), asyncpg.Connection.fetchval

    async def granted_and_cancelled(*arguments: Any) -> None:
        assert await ask(*arguments)
        raise asyncio.CancelledError

    monkeypatch.setattr("asyncpg.Connection.fetchval", granted_and_cancelled)
    with pytest.raises(asyncio.CancelledError):
        async with leader(few, Lock.SWEEP):
            pass
    monkeypatch.undo()

    async def free() -> bool:
        return await is_free(pool, Lock.SWEEP)

    await until(free, "the lock is free", 10.0)  # sooner than an idle connection ends
    await close_pool(few)


async def is_free(pool: asyncpg.Pool, lock: Lock) -> bool:
    async with pool.acquire() as connection, connection.transaction():
        return bool(await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", lock))


async def test_a_leader_that_is_cancelled_on_a_connection_that_is_gone_is_cancelled(pool):
    leads = asyncio.Event()

    async def lead() -> None:
        async with leader(pool, Lock.KEEP_ACCOUNTS) as connection:
            connection.terminate()
            leads.set()
            await asyncio.Event().wait()

    leading = asyncio.create_task(lead())
    await leads.wait()
    leading.cancel()
    await asyncio.wait({leading})
    assert leading.cancelled(), "else a loop that tries again after trouble with the ledger would never end"
