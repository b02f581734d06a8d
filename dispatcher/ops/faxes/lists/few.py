"""All that an endpoint or a provider has, where that is little: without it a list would lead through empty pages.

A list of a busy endpoint's finds enough among the newest rows; that of one that is told of a fax a week would not. No
index has deliveries by endpoint, because each delivery would pay for it: so a ledger that is not large is read once. In
a large one a page looks at some rows, as for a busy endpoint.
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.cursor import MOST_PER_PAGE
from dispatcher.ops.faxes.lists.delivery_ids import least_id
from shared.domain import Provider

MOST_FEW: Final = 2_000
MOST_READ: Final = 1_500_000
"""Deliveries in the ledger, as the planner knows it: one with more is large. A million are read in 90 ms."""

READING_MILLISECONDS: Final = 200
"""A ledger that is busy meanwhile is left alone."""

_SETTINGS: Final = (
    f"SET LOCAL statement_timeout = {READING_MILLISECONDS}",
    "SET LOCAL plan_cache_mode = force_custom_plan",  # best for a rare endpoint: several workers at once
)
_SIZE: Final = "SELECT reltuples FROM pg_class WHERE oid = 'deliveries'::regclass"
_DELIVERIES: Final = "SELECT id, event_id FROM deliveries WHERE endpoint_id = $1 AND id >= $2 LIMIT $3"
_EVENTS: Final = "SELECT id FROM events WHERE provider = $1 ORDER BY fax_id LIMIT $2"  # as an index has them


async def few_deliveries(pool: Pool, query: Any, since: datetime | None) -> list[Any] | None:
    """Return all deliveries (id, event_id) of the query's endpoint, owed at *since* or later.

    None if the query names no endpoint, if the ledger is large, if they are many or not found in time; and for an
    export, whose pages are larger than those of a client, and which reads on by itself.
    """
    if query.endpoint_id is None or query.limit > MOST_PER_PAGE:
        return None
    (size,) = await pool.fetch(_SIZE)
    if size["reltuples"] > MOST_READ:
        return None
    first = UUID(int=0) if since is None else least_id(since)
    async with pool.acquire() as connection:
        try:
            async with connection.transaction():
                await connection.execute("; ".join(_SETTINGS))
                found: list[Any] = await connection.fetch(_DELIVERIES, query.endpoint_id, first, MOST_FEW + 1)
        except asyncpg.QueryCanceledError:
            return None
    return found if len(found) <= MOST_FEW else None


async def few_events(pool: Pool, provider: Provider | None) -> list[Any] | None:
    """Return all events (id) of a provider, by the index of faxes' events; None if they are many, or none is named."""
    if provider is None:
        return None
    found: list[Any] = await pool.fetch(_EVENTS, provider, MOST_FEW + 1)
    return found if len(found) <= MOST_FEW else None
