"""A statement that is cut off raises the reason, not what the driver says of its connection afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
from waiting import until

from dispatcher.ledger import pool as module
from dispatcher.ledger.pool import IDLE_SECONDS, LEDGER_UNAVAILABLE, close_pool, open_pool, transaction
from shared.sql.connection import LedgerAway

SLOW = "SELECT pg_sleep(60) /* cut off */"


async def by_itself(pool):
    await pool.fetchval(SLOW)


async def on_a_connection(pool):
    async with pool.acquire() as connection:
        await connection.fetchval(SLOW)


async def in_a_transaction(pool):
    async with transaction(pool) as connection:
        await connection.fetchval(SLOW)


async def in_a_transaction_on_a_connection(pool):
    async with pool.acquire() as connection, connection.transaction():
        await connection.fetchval(SLOW)


async def in_a_savepoint(pool):
    async with transaction(pool) as connection, connection.transaction():
        await connection.fetchval(SLOW)


WAYS: list[Callable[[asyncpg.Pool], Awaitable[None]]] = [
    by_itself,
    on_a_connection,
    in_a_transaction,
    in_a_transaction_on_a_connection,
    in_a_savepoint,
]


async def under_way(pool):
    """Wait until the slow statement runs; return its server process."""
    found = []

    async def seen():
        found[:] = await pool.fetch(
            "SELECT pid FROM pg_stat_activity WHERE query = $1 AND state = 'active' AND datname = current_database()",
            SLOW,
        )
        return found

    await until(seen, "the statement is under way")
    return found[0]["pid"]


async def trying_again(way, pool):
    while True:  # as every part of the dispatcher does after trouble with its ledger
        try:
            await way(pool)
        except LEDGER_UNAVAILABLE:
            await asyncio.sleep(0.01)  # what tries again gives the others a turn


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_who_is_cancelled_in_a_statement_ends_at_once_even_if_it_tries_again_after_trouble(pool, way):
    task = asyncio.create_task(trying_again(way, pool))
    await under_way(pool)
    task.cancel()
    await asyncio.wait({task}, timeout=5.0)
    hidden = not task.done()
    task.cancel()
    assert not hidden
    assert task.cancelled()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_time_limit_around_a_statement_is_a_time_out(pool, way):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await way(pool)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_server_that_ends_the_connection_is_told_as_such(pool, way):
    task = asyncio.create_task(way(pool))
    await pool.fetchval("SELECT pg_terminate_backend($1)", await under_way(pool))
    with pytest.raises((asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError)):
        await task


async def test_places_of_a_pool_are_free_after_what_was_cut_off_on_them(database_url):
    pool = await open_pool(database_url, size=2)
    for way in WAYS:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await way(pool)
    async with asyncio.timeout(5.0):
        assert await asyncio.gather(*(pool.fetchval("SELECT 1") for _ in range(4))) == [1] * 4
    await close_pool(pool)


async def test_an_error_in_a_transaction_is_told_and_nothing_of_it_is_kept(pool):
    async def half_way():
        async with transaction(pool) as connection:
            await connection.execute("CREATE TABLE half_written ()")
            raise LookupError("ours")

    with pytest.raises(LookupError, match="ours"):
        await half_way()
    assert await pool.fetchval("SELECT to_regclass('half_written')") is None


async def test_a_commit_that_is_refused_is_not_taken_for_one_that_was_done(pool):
    async def orphaned():
        async with transaction(pool) as connection:
            await connection.execute(
                "CREATE TABLE parents (id int PRIMARY KEY);"
                "CREATE TABLE children (parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED);"
                "INSERT INTO children VALUES (1)"
            )

    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await orphaned()


async def test_a_commit_on_a_dead_connection_is_not_taken_for_one_that_was_done(pool):
    async def ended_before_its_commit():
        async with transaction(pool) as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            await pool.execute("SELECT pg_terminate_backend($1)", pid)

    with pytest.raises(LEDGER_UNAVAILABLE):
        await ended_before_its_commit()


async def test_what_works_beside_live_traffic_opens_no_connection_while_the_ledger_is_away(database_url):
    is_answering = False
    pool = await open_pool(database_url, may_connect=lambda: is_answering)
    try:
        with pytest.raises(LedgerAway, match="deliveries get the first connection"):
            await pool.fetchval("SELECT 1")
        with pytest.raises(LedgerAway, match="deliveries get the first connection"):
            async with transaction(pool):
                pass
        is_answering = True
        assert await pool.fetchval("SELECT 1") == 1
        is_answering = False
        assert await pool.fetchval("SELECT 1") == 1, "a connection that is there is used"
    finally:
        await close_pool(pool)


async def test_nothing_is_sent_behind_a_statement(pool, database_url):
    few = await open_pool(database_url, size=1)
    server_process = await few.fetchval("SELECT pg_backend_pid()")
    last = await pool.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", server_process)
    assert last == "SELECT pg_backend_pid()"
    await close_pool(few)


async def test_the_next_user_of_a_connection_whose_statement_was_cancelled_gets_a_sound_one(database_url, pool):
    single = await open_pool(database_url, size=1)
    cancelled = asyncio.create_task(single.fetchval(SLOW))
    await under_way(pool)
    following = asyncio.create_task(single.fetchval("SELECT 1"))
    await asyncio.sleep(0)  # it waits for the only connection
    cancelled.cancel()
    assert await following == 1
    await close_pool(single)


@pytest.fixture
def asked(monkeypatch):
    """What the driver asks the server about types from here on: their numbers."""
    monkeypatch.setattr(module, "_KNOWN_TYPES", {})
    numbers = []
    library = asyncpg.Connection._introspect_types

    async def noted(connection, typeoids, *more):
        numbers.extend(typeoids)
        return await library(connection, typeoids, *more)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", noted)
    return numbers


async def test_what_an_array_is_is_asked_once_in_a_process_not_on_each_connection(database_url, asked):
    wanted = [uuid4(), uuid4()]
    for _ in range(2):
        single = await open_pool(database_url, size=1)
        assert await single.fetchval("SELECT $1::uuid[]", wanted) == wanted
        assert await single.fetchval("SELECT $1::timestamptz[]", [datetime(2026, 10, 3, tzinfo=UTC)]) != []
        await close_pool(single)
    assert len(asked) == 2


async def test_types_that_come_together_or_alone_are_asked_for_once_each(database_url, asked):
    both = ([datetime(2026, 10, 3, tzinfo=UTC)], [b"page"])
    for query, values in (
        ("SELECT $1::timestamptz[], $2::bytea[]", both),
        ("SELECT $2::bytea[], $1::timestamptz[], $3::float8[]", (*both, [1.5])),
        ("SELECT $1::float8[]", ([1.5],)),
    ):
        single = await open_pool(database_url, size=1)
        assert set(map(repr, await single.fetchrow(query, *values))) == set(map(repr, values))
        await close_pool(single)
    assert len(asked) == len(set(asked)) == 3


async def test_a_type_that_is_not_postgresql_s_own_is_asked_for_on_each_connection(database_url, pool, asked):
    await pool.execute("CREATE DOMAIN own_kind AS int")
    for _ in range(2):
        single = await open_pool(database_url, size=1)
        assert await single.fetchval("SELECT ARRAY[$1::own_kind]", 7) == [7]
        await close_pool(single)
    own = await pool.fetchval("SELECT 'own_kind'::regtype::oid::int")
    assert asked.count(own) == 2


async def test_an_idle_connection_is_closed_by_us_before_the_server_ends_it_and_outlives_a_minute_s_rest(database_url):
    single = await open_pool(database_url, size=1)
    ends_after_seconds = await single.fetchval(
        "SELECT extract(epoch FROM current_setting('idle_session_timeout')::interval)"
    )
    assert 60.0 < IDLE_SECONDS < ends_after_seconds
    await close_pool(single)
