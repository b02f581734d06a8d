"""Events older than the retention, with deliveries in any state."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dispatchers import DispatcherHarness, an_event

from shared.domain import Event, EventType
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

AGE = timedelta(days=31, hours=1)


async def yes() -> bool:
    return True


def an_old_event(number: int, event_type: EventType = EventType.DELIVERED, **fields: Any) -> Event:
    return an_event(number, event_type, received_at=datetime.now(UTC) - AGE, **fields)


async def in_state(
    harness: DispatcherHarness, event: Event, state: str, *, settled: timedelta | None = AGE, tried: int = 1
) -> UUID:
    """Take *event* in as long ago as it was received, with one delivery in *state* and *tried* attempts."""
    (owed,) = (await harness.take(event)).deliveries
    age = datetime.now(UTC) - event.received_at
    await harness.pool.execute("UPDATE events SET recorded_at = now() - $2::interval WHERE id = $1", event.id, age)
    await harness.pool.execute(
        "UPDATE deliveries SET state = $2, attempts = $3, lease_until = NULL, settled_at = now() - $4::interval "
        "WHERE id = $1",
        owed.delivery_id,
        state,
        tried,
        settled,
    )
    await harness.pool.executemany(
        "INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome) VALUES ($1, $2, now(), 1, 'told')",
        [(owed.delivery_id, number + 1) for number in range(tried)],
    )
    return owed.delivery_id


async def payloads(harness: DispatcherHarness) -> set[str]:
    """Return the faxes whose events have a payload."""
    return {row["fax_id"] for row in await harness.pool.fetch("SELECT fax_id FROM events WHERE body IS NOT NULL")}


async def tried(harness: DispatcherHarness) -> set[str]:
    """Return the faxes that have attempts."""
    rows = await harness.pool.fetch(
        "SELECT fax_id FROM attempts JOIN deliveries d ON d.id = delivery_id JOIN events ON events.id = d.event_id"
    )
    return {row["fax_id"] for row in rows}


async def many_old(harness: DispatcherHarness, endpoint_id: UUID, number: int, *, attempts: int) -> None:
    """Write *number* old events of one moment, each with a delivery; every tenth is dead."""
    await harness.pool.execute(
        "INSERT INTO events (id, provider, fax_id, type, received_at, recorded_at, body) "
        "SELECT 'phaxio:' || n, 'phaxio', n::text, 'fax.delivered', now() - interval '40 days', "
        "now() - interval '40 days', '{}' FROM generate_series(1, $1::int) n",
        number,
    )
    await harness.pool.execute(
        "INSERT INTO deliveries (id, event_id, endpoint_id, state, attempts, settled_at) "
        "SELECT gen_random_uuid(), 'phaxio:' || n, $1, CASE WHEN n % 10 = 0 THEN 'dead' ELSE 'told' END, $3, "
        "now() - interval '39 days' FROM generate_series(1, $2::int) n",
        endpoint_id,
        number,
        attempts,
    )
    await harness.pool.execute(
        "INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome) "
        "SELECT id, n, now(), 1, 'told' FROM deliveries, generate_series(1, $1::int) n",
        attempts,
    )


async def in_state_of_one(harness: DispatcherHarness) -> None:
    await harness.endpoint()
    await in_state(harness, an_old_event(1), "told")
