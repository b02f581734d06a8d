"""A ledger filled without a dispatcher."""

from typing import Any

import asyncpg
from dispatchers import STORE

from dispatcher.ledger.endpoint_cache import EndpointCache
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
    cache = EndpointCache(pool, STORE)
    await cache.refresh()
    await Intake(pool, STORE, cache).take(events)


async def endpoint(pool: asyncpg.Pool, **fields: Any) -> Endpoint:
    """Add an endpoint at which no application listens."""
    made = Endpoint(**{"id": uuid7(), "url": "http://127.0.0.1:1/hook", **fields})
    await STORE.insert(pool, made)
    return made
