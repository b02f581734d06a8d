"""Rows of the ledger as bodies of the API: fields are the columns of the same names, and what is made of those."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from dispatcher.ops.endpoints.urls import masked_url, name_of
from dispatcher.ops.faxes.bodies import (
    Attempt,
    Decision,
    Delivery,
    DeliveryWithAttempts,
    EventWithContent,
    Fax,
    FaxInList,
    RecordedEvent,
    WebhookCounts,
)
from dispatcher.ops.faxes.explain import DeliveryStatus, explain, is_leased
from dispatcher.ops.words import printable
from dispatcher.policy.lifecycle import is_overtaken
from shared.domain import FINISHED_RANK, EventType, Media, decode_event
from shared.sql import PARKED_DUE_AT

DELIVERY_COLUMNS: Final = f"""
d.id, d.event_id, d.endpoint_id, d.state, d.reason, d.attempts AS attempts_made, d.created_at, d.settled_at, d.due_at,
d.lease_until, d.sweeps, d.budget_from AS attempts_before_replay, d.resent_from, endpoints.url,
endpoints.description,
coalesce(endpoints.enabled, false) AS endpoint_is_enabled,
endpoints.url IS NULL OR endpoints.removed_at IS NOT NULL AS endpoint_is_removed,
d.due_at = {PARKED_DUE_AT} AS is_parked
"""
"""What `delivery_of` reads: *d* joined with its endpoint."""


def fax_of(row: Any) -> Fax:
    """Return the fax of a row."""
    return msgspec.convert({**row, "stalled_at": _stalled_at(row)}, Fax)


def fax_in_list_of(row: Any, webhooks: Mapping[str, int], body: bytes | None) -> FaxInList:
    """Return the fax of a row; *webhooks* are counts by state, *body* is the event that set its state, if it failed."""
    failure = None if body is None else decode_event(body).failure
    made = {"webhooks": WebhookCounts(**webhooks), "failure": failure, "stalled_at": _stalled_at(row)}
    return msgspec.convert({**row, **made}, FaxInList)


def _stalled_at(row: Any) -> datetime | None:
    """Return since when a fax is stalled: what has ended is no longer."""
    stalled_at: datetime | None = row["stalled_at"] if row["rank"] < FINISHED_RANK else None
    return stalled_at


def event_of(row: Any) -> RecordedEvent:
    """Return the event of a row that has its fax's `rank`, `is_pruned` and `owed` as well."""
    return msgspec.convert({**row, **_made_of_event(row)}, RecordedEvent)


def event_with_content_of(row: Any) -> EventWithContent:
    """Return the event of a row that has its fax's `rank`, its `body` and `owed` as well."""
    body = row["body"]
    content = None if body is None else decode_event(body)
    fetched = None if row["media"] is None else msgspec.json.decode(row["media"], type=Media)
    sent = None if content is None else content.media
    kept = [each for each in (fetched, sent) if each is not None and each.key is not None]
    own = {"is_pruned": body is None, "content": content, "document": kept[0] if kept else None}
    return msgspec.convert({**row, **_made_of_event(row), **own}, EventWithContent)


def _made_of_event(row: Any) -> dict[str, Any]:
    event_type = EventType(row["type"])
    return {"phase": event_type.phase, "is_overtaken": is_overtaken(event_type, row["rank"])}


def delivery_of(row: Any, now: datetime) -> Delivery:
    """Return the delivery of a row with `DELIVERY_COLUMNS`."""
    return msgspec.convert(_delivery(row, now), Delivery)


def delivery_with_attempts_of(
    row: Any, attempts: Sequence[Attempt], decisions: Sequence[Decision], now: datetime
) -> DeliveryWithAttempts:
    """Return the same with its attempts, and what people decided on it."""
    marked = tuple(msgspec.structs.replace(each, resent_by=resent_by(each.number, decisions)) for each in attempts)
    whole = {**_delivery(row, now), "attempts": marked, "decisions": tuple(decisions)}
    return msgspec.convert(whole, DeliveryWithAttempts)


def resent_by(number: int, decisions: Sequence[Decision]) -> str | None:
    """Return who had attempt *number* made, if the last decision before it was to send again."""
    before = [each for each in decisions if each.attempts < number]
    return before[-1].who if before and before[-1].what == "delivery.resend" else None


def decision_of(row: Any) -> Decision:
    """Return the decision of a row."""
    return msgspec.convert(dict(row), Decision)


def _delivery(row: Any, now: datetime) -> dict[str, Any]:
    status = msgspec.convert(dict(row), DeliveryStatus)
    leased = is_leased(status, now)
    due_at = status.lease_until if leased else status.due_at
    return {
        **row,
        "endpoint_name": None if row["url"] is None else name_of(row["url"], row["description"]),
        "endpoint_url": None if row["url"] is None else masked_url(row["url"]),
        "due_at": due_at if status.is_owed and not status.is_parked else None,
        "is_leased": leased,
        "explanation": explain(status, now),
    }


def attempt_of(row: Any) -> Attempt:
    """Return the attempt of a row."""
    return msgspec.convert({**row, "answer": printable(row["answer"] or b"")}, Attempt)
