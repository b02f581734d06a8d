"""Webhooks as the dispatcher renders them, for `faxhook listen`."""

from datetime import UTC, datetime
from typing import Any

from dispatcher.formats import FORMATS, Facts
from shared.domain import Direction, Event, EventType, Provider
from shared.ids import uuid7

TOKEN = "listen-token"


def event(event_type: EventType = EventType.DELIVERED, direction: Direction = Direction.SENT, **fields: Any) -> Event:
    """Return an event of a fax at Telnyx."""
    return Event(
        id="telnyx:1",
        provider=Provider.TELNYX,
        type=event_type,
        phase=event_type.phase,
        direction=direction,
        fax_id="fax-1",
        received_at=datetime.now(UTC),
        from_number="+15550100101",
        to_number="+15550100102",
        pages=2,
        **fields,
    )


def rendered(
    url: str,
    told: Event | None = None,
    document: Any = None,
    delivery_id: Any = None,
    attempt: int = 1,
    format_name: Any = "phaxio-v2.1",
) -> dict[str, Any]:
    """Return a webhook to *url*, signed with `TOKEN` as the dispatcher does, as arguments of aiohttp's `post`."""
    facts = Facts(url=url, tokens=(TOKEN,), delivery_id=delivery_id or uuid7(), attempt=attempt, now=datetime.now(UTC))
    webhook = FORMATS[format_name].render(told or event(), document, facts)
    headers = {"X-Faxhook-Delivery-Id": str(facts.delivery_id), "X-Faxhook-Attempt": str(attempt)}
    return {"data": webhook.body, "headers": {**webhook.headers, **headers}}
