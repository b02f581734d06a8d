"""A ledger filled without a dispatcher."""

from typing import Any

import asyncpg
from dispatchers import STORE

from dispatcher.ledger.intake import Intake
from dispatcher.policy.endpoint import Endpoint
from shared.domain import Event
from shared.ids import uuid7

ADVISORY_LOCKS = """(
    SELECT pg_locks.* FROM pg_locks JOIN pg_database ON pg_database.oid = database
    WHERE datname = current_database() AND locktype = 'advisory') AS locks"""
"""The advisory locks of this test's database: other tests hold the same locks in theirs, on the same server."""


async def take(pool: asyncpg.Pool, *events: Event) -> None:
    """Take *events* into the ledger without attempting what they owe."""
    await Intake(pool, STORE).take(events)


async def endpoint(pool: asyncpg.Pool, **fields: Any) -> Endpoint:
    """Add an endpoint at which no application listens."""
    made = Endpoint(**{"id": uuid7(), "url": "http://127.0.0.1:1/hook", **fields})
    await STORE.insert(pool, made)
    return made


async def add_endpoints_of_numbers(pool: asyncpg.Pool, count: int) -> None:
    """Add *count* endpoints, of the numbers +1555000001 and so on, at which no application listens."""
    for first in range(1, count + 1, 5_000):  # the ledger cuts off what takes long
        await pool.execute(
            """
            INSERT INTO endpoints (id, scope, direction, match_number, url, format)
            SELECT gen_random_uuid(), 'number', 'any', '+1555' || lpad(n::text, 6, '0'), 'http://127.0.0.1:1/hook',
                   'phaxio-v2.1'
            FROM generate_series($1::integer, $2::integer) n
            """,
            first,
            min(first + 4_999, count),
            timeout=60.0,
        )
