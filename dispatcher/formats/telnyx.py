"""Telnyx's fax webhooks, version 2: a JSON envelope, signed with Ed25519 over the attempt's time and the body.

| ours | telnyx-v2 |
|---|---|
| id | `data.id`; a Telnyx event has its own again |
| occurred_at | `data.occurred_at`, with microseconds; absent where the source gives none |
| type and direction | `data.event_type`, `payload.status`, `payload.direction`: see the tables below |
| type: page_sent, retry_scheduled | no word |
| type: unknown | no word, but for a Telnyx event: its own |
| type: stalled | no word |
| type: queued, sending of a received fax; receiving of a sent one | no word |
| fax_id | `payload.fax_id` |
| from_number, to_number | `payload.from`, `payload.to` |
| pages | `payload.page_count` |
| failure.message, else its code, else its type | `payload.failure_reason` |
| type: partially_delivered | `fax.failed` with `failure_reason=partially_delivered` |
| partial | `payload.partial_content`, of received faxes |
| media, where it is known by URL | `payload.media_url`, of received faxes |
| client_state | `payload.client_state`, of sent faxes |
| number of the attempt, URL posted to | `meta.attempt`, `meta.delivered_to` |
| only Telnyx gives them | `connection_id`, `user_id`, `caller_id`, `call_duration_secs`, … |
| is_test, the document | no key |

What is not known is absent. The token is the base64 of an Ed25519 seed; the application has the public key. An event
that came from Telnyx keeps its own payload. The key of the signature is read each time, so that no secret stays in
a cache.
"""

from typing import Any, Final

import msgspec

from dispatcher.formats.base import Facts, Webhook
from dispatcher.formats.tokens import telnyx_seed
from shared.domain import Direction, Event, EventType, Phase, Provider
from shared.signatures import sign_telnyx

PARTIALLY_DELIVERED: Final = "partially_delivered"

_ENDINGS: Final = {
    EventType.DELIVERED: ("fax.delivered", "delivered"),
    EventType.PARTIALLY_DELIVERED: ("fax.failed", "failed"),
    EventType.FAILED: ("fax.failed", "failed"),
    EventType.RECEIVED: ("fax.received", "received"),
    EventType.RECEIVE_FAILED: ("fax.failed", "failed"),
}
_ON_THE_WAY: Final = {
    (EventType.QUEUED, Direction.SENT): ("fax.queued", "queued"),
    (EventType.MEDIA_PROCESSED, Direction.SENT): ("fax.media.processed", "media.processed"),
    (EventType.SENDING, Direction.SENT): ("fax.sending.started", "sending"),
    (EventType.RECEIVING, Direction.RECEIVED): ("fax.receiving.started", "receiving"),
    (EventType.MEDIA_PROCESSED, Direction.RECEIVED): ("fax.media.processing.started", "media.processing"),
}
_DIRECTIONS: Final = {Direction.SENT: "outbound", Direction.RECEIVED: "inbound"}

_encode = msgspec.json.Encoder().encode


class TelnyxV2:
    """The format `telnyx-v2`."""

    def has_word_for(self, event: Event) -> bool:
        """All that Telnyx has an event type for, and every event of its own."""
        if event.type is EventType.STALLED:  # never Telnyx's own
            return False
        return event.phase is Phase.POSTFLIGHT or (event.type, event.direction) in _ON_THE_WAY or _is_own(event)

    def wants_document(self, event: Event) -> bool:  # noqa: ARG002 - no event does
        """Telnyx's webhooks name documents by URL."""
        return False

    def render(self, event: Event, document: bytes | None, facts: Facts) -> Webhook:  # noqa: ARG002 - see above
        """Return the envelope, signed with the first token if that is a seed."""
        data = _own_data(event) if _is_own(event) else _data(event)
        body = _encode({"data": data, "meta": {"attempt": facts.attempt, "delivered_to": facts.url}})
        headers = {"Content-Type": "application/json"}
        if facts.tokens and (seed := telnyx_seed(facts.tokens[0])):
            timestamp = int(facts.now.timestamp())
            headers["telnyx-timestamp"] = str(timestamp)
            headers["telnyx-signature-ed25519"] = sign_telnyx(seed, timestamp, body)
        return Webhook(body=body, headers=headers)


def _is_own(event: Event) -> bool:
    """Did it come from Telnyx, as Telnyx writes it?"""
    fields = event.fields
    return (
        event.provider is Provider.TELNYX
        and isinstance(fields.get("event_type"), str)
        and isinstance(fields.get("payload"), dict)
    )


def _own_data(event: Event) -> dict[str, Any]:
    return {"record_type": "event"} | {name: value for name, value in event.fields.items() if name != "meta"}


def _data(event: Event) -> dict[str, Any]:
    word, status = _ENDINGS.get(event.type) or _ON_THE_WAY[event.type, event.direction]
    is_received = event.direction is Direction.RECEIVED
    payload = {
        "direction": _DIRECTIONS[event.direction],
        "fax_id": event.fax_id,
        "from": event.from_number,
        "to": event.to_number,
        "status": status,
        "page_count": event.pages,
        "failure_reason": _reason(event),
        "client_state": None if is_received else event.client_state,
        "media_url": event.media.url if event.media and is_received else None,
        "partial_content": True if event.partial and is_received else None,
    }
    data: dict[str, Any] = {"record_type": "event", "event_type": word, "id": event.id}
    if event.occurred_at is not None:
        data["occurred_at"] = event.occurred_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    data["payload"] = {name: value for name, value in payload.items() if value is not None}
    return data


def _reason(event: Event) -> str | None:
    if event.type is EventType.PARTIALLY_DELIVERED:
        return PARTIALLY_DELIVERED
    failure = event.failure
    return None if failure is None else failure.message or failure.code or failure.type
