"""Dead letters of every kind, made as the services make them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from dispatchers import DispatcherHarness, an_event

from dispatcher.messages import DeadDelivery
from dispatcher.policy.endpoint import Endpoint
from shared.broker import DEAD_CALLBACK, DEAD_DELIVERY, DEAD_EVENT, FAX_DEAD
from shared.domain import Event, Provider, encode_event
from shared.ids import uuid7
from shared.media import MediaStore
from shared.quarantine import QuarantinedCallback

CAUSES = ("host_not_found", "tls", "timeout", "http_503", "http_404")


async def add_dead_deliveries(
    harness: DispatcherHarness,
    endpoints: Sequence[Endpoint],
    count: int,
    causes: Sequence[str] = CAUSES,
    first: int = 0,
) -> list[UUID]:
    """Add *count* dead deliveries, evenly over endpoints and causes, as settling does: copy in the queue, row dead."""
    rows, copies = [], []
    now = datetime.now(UTC)
    for number in range(first, first + count):
        event = an_event(number)
        endpoint, cause = endpoints[number % len(endpoints)], causes[number // len(endpoints) % len(causes)]
        delivery_id, died_at = uuid7(), now - timedelta(seconds=60 + number % 1_000)
        rows.append((delivery_id, event, endpoint, cause, died_at))
        copies.append(
            DeadDelivery(
                delivery_id=delivery_id,
                attempt=17,
                event_id=event.id,
                endpoint_id=endpoint.id,
                cause=cause,
                reason="the last of 17 attempts failed",
                died_at=died_at,
            )
        )
    await _insert(harness, rows)
    for start in range(0, count, 1_000):
        await asyncio.gather(
            *(
                harness.publisher.publish(FAX_DEAD, DEAD_DELIVERY, msgspec.json.encode(copy), {"cause": copy.cause})
                for copy in copies[start : start + 1_000]
            )
        )
    return [row[0] for row in rows]


async def _insert(harness: DispatcherHarness, rows: Sequence[tuple[UUID, Event, Endpoint, str, datetime]]) -> None:
    events = [row[1] for row in rows]
    async with harness.pool.acquire() as connection, connection.transaction():
        await connection.executemany(
            """
            INSERT INTO events (id, provider, fax_id, type, received_at, body) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT DO NOTHING
            """,
            [(e.id, e.provider, e.fax_id, e.type, e.received_at, encode_event(e)) for e in events],
        )
        await connection.executemany(
            """
            INSERT INTO faxes (provider, fax_id, direction, state, rank, type_order, event_id, endings,
                               first_received_at, last_received_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8) ON CONFLICT DO NOTHING
            """,
            [
                (e.provider, e.fax_id, e.direction, e.type, e.type.rank, e.type.order, e.id, e.received_at)
                for e in events
            ],
        )
        await connection.executemany(
            """
            INSERT INTO deliveries (id, event_id, endpoint_id, state, reason, attempts, settled_at)
            VALUES ($1, $2, $3, 'dead', $4, 17, $5)
            """,
            [(delivery_id, e.id, endpoint.id, cause, died_at) for delivery_id, e, endpoint, cause, died_at in rows],
        )
        await connection.executemany(
            """
            INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome, http_status, error, answer)
            VALUES ($1, 17, $2, 0.1, 'not_told', $3, $4, 'sorry')
            """,
            [
                (delivery_id, died_at, int(cause[5:]) if cause.startswith("http_") else None, cause)
                for delivery_id, _, _, cause, died_at in rows
            ],
        )


async def quarantine_callback(
    harness: DispatcherHarness,
    media: Path,
    body: bytes,
    *,
    provider: Provider = Provider.TELNYX,
    route: str = "/telnyx-webhook",
    verified_by: str = "telnyx-ed25519",
    headers: dict[str, str] | None = None,
    cause: str = "unreadable",
) -> str:
    """Quarantine a callback as the ingress does; return its id."""
    callback_id = str(uuid7())
    kept = await MediaStore(media.as_uri()).put(body, "application/json")
    message = QuarantinedCallback(
        callback_id=callback_id,
        provider=provider,
        route=route,
        target=f"{route}?job_id=7",
        headers=headers or {"Content-Type": "application/json"},
        verified_by=verified_by,
        body=kept,
        received_at=datetime.now(UTC),
        cause=cause,
        reason="there is no payload object",
    )
    properties: dict[str, str | int] = {"callback_id": callback_id, "cause": cause, "schema": 1}
    await harness.publisher.publish(FAX_DEAD, DEAD_CALLBACK, msgspec.json.encode(message), properties)
    return callback_id


async def park_event(harness: DispatcherHarness, body: bytes, cause: str = "unreadable", **headers: Any) -> None:
    """Park an event message as the dispatcher does."""
    properties = {"event_id": "", "cause": cause, "reason": "ValidationError", **headers}
    properties["died_at"] = datetime.now(UTC).isoformat()
    await harness.publisher.publish(FAX_DEAD, DEAD_EVENT, body, properties)
