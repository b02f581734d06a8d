"""Rows of the ledger as bodies of the API."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from dispatcher.ops.endpoints.urls import masked_url
from dispatcher.ops.faxes.bodies import (
    Attempt,
    Delivery,
    DeliveryWithAttempts,
    EventWithContent,
    Fax,
    RecordedEvent,
)
from dispatcher.ops.faxes.explain import DeliveryStatus, explain, is_leased
from dispatcher.ops.words import printable
from dispatcher.policy.lifecycle import is_overtaken
from shared.domain import Direction, EventType, Provider, decode_event

DELIVERY_COLUMNS: Final = """
d.id, d.event_id, d.endpoint_id, d.state, d.reason, d.attempts, d.created_at, d.settled_at, d.due_at, d.lease_until,
d.sweeps, d.budget_from, endpoints.url, endpoints.enabled, endpoints.removed_at
"""
"""What `delivery_of` reads: *d* joined with its endpoint."""


def fax_of(row: Any) -> Fax:
    """Return the fax of a row."""
    return Fax(
        provider=Provider(row["provider"]),
        fax_id=row["fax_id"],
        direction=Direction(row["direction"]),
        state=EventType(row["state"]),
        conflicting=row["conflicting"],
        from_number=row["from_number"],
        to_number=row["to_number"],
        job_id=row["job_id"],
        pages=row["pages"],
        first_received_at=row["first_received_at"],
        last_received_at=row["last_received_at"],
    )


def event_of(row: Any) -> RecordedEvent:
    """Return the event of a row that has its fax's `rank`, `is_pruned` and `owed` as well."""
    return RecordedEvent(**_event_fields(row), is_pruned=row["is_pruned"])


def event_with_content_of(row: Any) -> EventWithContent:
    """Return the event of a row that has its `body` as well."""
    body = row["body"]
    return EventWithContent(
        **_event_fields(row), is_pruned=body is None, content=None if body is None else decode_event(body)
    )


def _event_fields(row: Any) -> dict[str, Any]:
    event_type = EventType(row["type"])
    return {
        "id": row["id"],
        "provider": Provider(row["provider"]),
        "fax_id": row["fax_id"],
        "type": event_type,
        "phase": event_type.phase,
        "occurred_at": row["occurred_at"],
        "received_at": row["received_at"],
        "recorded_at": row["recorded_at"],
        "is_overtaken": is_overtaken(event_type, row["rank"]),
        "owed": row["owed"],
    }


def delivery_of(row: Any, now: datetime) -> Delivery:
    """Return the delivery of a row with `DELIVERY_COLUMNS`."""
    return Delivery(**_delivery_fields(row, now))


def delivery_with_attempts_of(row: Any, attempts: Sequence[Attempt], now: datetime) -> DeliveryWithAttempts:
    """Return the same with its attempts."""
    return DeliveryWithAttempts(**_delivery_fields(row, now), attempts=tuple(attempts))


def _delivery_fields(row: Any, now: datetime) -> dict[str, Any]:
    standing = DeliveryStatus(
        state=row["state"],
        reason=row["reason"],
        attempts_made=row["attempts"],
        attempts_before_replay=row["budget_from"],
        due_at=row["due_at"],
        lease_until=row["lease_until"],
        sweeps=row["sweeps"],
        settled_at=row["settled_at"],
        endpoint_is_enabled=bool(row["enabled"]),
        endpoint_is_removed=row["url"] is None or row["removed_at"] is not None,
    )
    leased = is_leased(standing, now)
    due_at = row["lease_until"] if leased else row["due_at"]
    return {
        "id": row["id"],
        "event_id": row["event_id"],
        "endpoint_id": row["endpoint_id"],
        "endpoint_url": None if row["url"] is None else masked_url(row["url"]),
        "state": row["state"],
        "reason": row["reason"],
        "attempts_made": row["attempts"],
        "created_at": row["created_at"],
        "settled_at": row["settled_at"],
        "due_at": due_at if row["state"] in {"pending", "retrying"} else None,
        "is_leased": leased,
        "explanation": explain(standing, now),
    }


def attempt_of(row: Any) -> Attempt:
    """Return the attempt of a row."""
    return Attempt(
        number=row["number"],
        started_at=row["started_at"],
        seconds=row["seconds"],
        outcome=row["outcome"],
        url=row["url"],
        http_status=row["http_status"],
        error=row["error"],
        answer=printable(row["answer"] or b""),
    )
