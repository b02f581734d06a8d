"""A pooler that keeps sessions apart is found usable, one that does not is refused; and who cannot connect hears why."""

import asyncio
from contextlib import AsyncExitStack
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from pgbouncers import pooled

from shared.sql.connection import LedgerAway, SharedSession, check_sessions, connect

SHARING = {
    "transaction": {"pool_mode": "transaction"},
    "transaction, parameters ignored": {
        "pool_mode": "transaction",
        "ignore_startup_parameters": "jit,statement_timeout,extra_float_digits",
    },
    "transaction, one server connection": {"pool_mode": "transaction", "default_pool_size": "1"},
    "transaction, server connections in turn": {
        "pool_mode": "transaction",
        "server_round_robin": "1",
        "min_pool_size": "4",
    },
    "statement": {"pool_mode": "statement"},
}
"""Modes in which a session has several users."""


@pytest.mark.parametrize("settings", SHARING.values(), ids=SHARING)
async def test_a_pooler_that_shares_sessions_is_refused_with_what_to_do(database_url, settings):
    async with pooled(database_url, **settings) as bouncer:
        with pytest.raises(SharedSession, match="pool_mode=session"):
            await check_sessions(bouncer.url)


@pytest.mark.parametrize(("connections", "clients"), [(8, 8), (3, 4), (2, 2), (2, 8), (1, 2)])
async def test_a_pooler_that_shares_sessions_among_busy_clients_is_refused_every_time(
    database_url, connections, clients
):
    async with (
        pooled(database_url, pool_mode="transaction", default_pool_size=str(connections)) as bouncer,
        AsyncExitStack() as stack,
    ):
        others = [await asyncpg.connect(bouncer.url, statement_cache_size=0) for _ in range(clients)]
        for other in others:
            stack.push_async_callback(other.close)

        async def busy(other):
            while True:
                await other.execute("SELECT pg_sleep(random() * 0.003)")

        tasks = [asyncio.create_task(busy(other)) for other in others]
        try:
            for _ in range(10):
                with pytest.raises(SharedSession):
                    await check_sessions(bouncer.url)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("settings", [{}, {"ignore_startup_parameters": "jit"}, {"server_round_robin": "1"}], ids=str)
async def test_a_pooler_in_session_mode_is_usable(database_url, settings):
    async with pooled(database_url, pool_mode="session", **settings) as bouncer:
        for _ in range(5):
            await check_sessions(bouncer.url)


async def test_the_server_itself_is_usable(database_url):
    await check_sessions(database_url)


async def test_the_settings_of_a_session_are_there_through_a_pooler_and_gone_for_the_next_client(database_url):
    async with pooled(database_url, default_pool_size="1") as bouncer:
        connection = await connect(bouncer.url)
        assert await connection.fetchval("SHOW jit") == "off"
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "10s"
        await connection.close()
        other = await asyncpg.connect(bouncer.url)
        assert await other.fetchval("SHOW idle_in_transaction_session_timeout") == "0"
        await other.close()


def at(database_url: str, **parts: str) -> str:
    """Return the URL with other parts: user, password, host, port, path, query."""
    url = urlsplit(database_url)
    user = f"{parts.get('user', url.username)}:{parts.get('password', url.password)}"
    host = f"{parts.get('host', url.hostname)}:{parts.get('port', url.port)}"
    path, query = parts.get("path", url.path), parts.get("query", "")
    return urlunsplit(url._replace(netloc=f"{user}@{host}", path=path, query=query))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"password": "wrong"}, "password authentication failed for user"),
        ({"user": "stranger"}, "password authentication failed for user"),
        ({"path": "/no_such_database"}, 'database "no_such_database" does not exist'),
        ({"host": "no-such-host.invalid"}, "its host name cannot be resolved"),
        ({"port": "1"}, "the connection is refused"),
        ({"query": "sslmode=require"}, "rejected SSL upgrade"),
        ({"query": "sslmode=verify-full&sslrootcert=/no/such/file.pem"}, "a file that its URL names cannot be read"),
    ],
    ids=str,
)
async def test_why_there_is_no_connection_is_said_and_the_password_is_not(database_url, parts, reason):
    for way in (check_sessions, connect):
        with pytest.raises(LedgerAway) as caught:
            await way(at(database_url, **parts))
        assert reason in str(caught.value)
        assert "DATABASE_URL" in str(caught.value)
        assert parts.get("password", urlsplit(database_url).password) not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "parts", "reason"),
    [
        ({"max_client_conn": "1"}, {}, "no more connections allowed"),
        ({}, {"password": "wrong"}, "authentication failed"),
        ({}, {"user": "stranger"}, "auth"),
        ({}, {"path": "/no_such_database"}, "no_such_database"),
        ({"target": "127.0.0.1:1", "server_login_retry": "1"}, {}, "no answer in time"),
        ({"default_pool_size": "1", "query_wait_timeout": "1"}, {}, "query_wait_timeout"),
    ],
    ids=str,
)
async def test_a_pooler_s_own_refusals_are_said(database_url, settings, parts, reason):
    async with pooled(database_url, **settings) as bouncer:
        with pytest.raises(LedgerAway, match=reason):
            await check_sessions(at(bouncer.url, **parts))
