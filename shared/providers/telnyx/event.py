"""What Telnyx's words mean: from an envelope that was read to an event."""

from collections.abc import Mapping
from typing import Any, Final

from shared.callback import Callback
from shared.domain import Direction, Event, EventType, Failure, Provider
from shared.errors import Unreadable
from shared.providers.common import (
    e164,
    named_media,
    read_count,
    read_flag,
    read_id,
    read_job_id,
    read_time,
    text_of,
)
from shared.providers.numbers import numbered
from shared.providers.telnyx.errors import INBOUND_ONLY, is_permanent

_DIRECTIONS: Final = {
    **dict.fromkeys(("outbound", "outgoing", "sent"), Direction.SENT),
    **dict.fromkeys(("inbound", "incoming", "received"), Direction.RECEIVED),
}
_BOTH_MEDIA: Final = {Direction.SENT: EventType.MEDIA_PROCESSED, Direction.RECEIVED: EventType.MEDIA_PROCESSED}
_BOTH_UNKNOWN: Final = {Direction.SENT: EventType.UNKNOWN, Direction.RECEIVED: EventType.UNKNOWN}

_TYPES: Final[dict[str, dict[Direction, EventType]]] = {
    "fax.queued": {Direction.SENT: EventType.QUEUED},
    "fax.media.processed": _BOTH_MEDIA,
    "fax.sending.started": {Direction.SENT: EventType.SENDING},
    # One revision of Telnyx's own guide describes a received fax as an inbound fax.delivered.
    "fax.delivered": {Direction.SENT: EventType.DELIVERED, Direction.RECEIVED: EventType.RECEIVED},
    "fax.failed": {Direction.SENT: EventType.FAILED, Direction.RECEIVED: EventType.RECEIVE_FAILED},
    "fax.receiving.started": {Direction.RECEIVED: EventType.RECEIVING},
    "fax.media.processing.started": dict(reversed(_BOTH_MEDIA.items())),
    "fax.received": {Direction.RECEIVED: EventType.RECEIVED},
}
"""What an event type says of a fax of each direction. Where the payload names no direction the first one is taken."""

_MEDIA_URLS: Final = ("media_url", "original_media_url", "stored_media_url")
"""Where the revisions of Telnyx's guide name the document of a received fax."""

_STATUSES_OF_RECEIVED: Final = frozenset({"initiated", "receiving", "media.processing", "received"})

_FAILURES: Final = frozenset({EventType.FAILED, EventType.RECEIVE_FAILED})


def compose(callback: Callback, sent: dict[str, Any], payload: Mapping[str, Any]) -> Event:
    """Make an event of what was *sent*; *payload* is the part of it that tells of the fax.

    Raises:
        Unreadable: An id or the event's type is missing.
    """
    word = text_of(sent.get("event_type"))
    if not word:
        raise Unreadable("there is no event_type")
    event_id = _required(sent, "id", "id of the event")
    # Not `payload.id`: one published tester puts the fax's id there and sends no `fax_id`.
    fax_id = _required(payload, "fax_id", "fax_id")
    direction = _direction(word, payload)
    event_type = _TYPES.get(word.lower(), _BOTH_UNKNOWN)[direction]
    is_received = event_type is EventType.RECEIVED
    meta = sent.get("meta")
    return Event(
        id=f"{Provider.TELNYX}:{event_id}",
        provider=Provider.TELNYX,
        type=event_type,
        phase=event_type.phase,
        direction=direction,
        fax_id=fax_id,
        occurred_at=read_time(sent.get("occurred_at")),
        received_at=callback.received_at,
        from_number=e164(numbered(payload.get("from"))),
        to_number=e164(numbered(payload.get("to"))),
        pages=read_count(payload.get("page_count")),
        status=text_of(payload.get("status")) or None,
        failure=_failure(payload) if event_type in _FAILURES else None,
        job_id=read_job_id(callback.query.get("job_id")),
        client_state=client_state if isinstance(client_state := payload.get("client_state"), str) else None,
        # Of a sent fax `original_media_url` is where the application keeps it.
        media=named_media(*(payload.get(name) for name in _MEDIA_URLS)) if is_received else None,
        # Samples print it with other events too; it means something where a document arrived.
        partial=is_received and bool(read_flag(payload.get("partial_content"))),
        attempt=(read_count(meta.get("attempt")) or None) if isinstance(meta, dict) else None,
        fields=sent,
    )


def _required(source: Mapping[str, Any], name: str, shown: str) -> str:
    value = read_id(source.get(name))
    if not value:
        raise Unreadable(f"there is no {shown}")
    return value


def _direction(word: str, payload: Mapping[str, Any]) -> Direction:
    possible = _TYPES.get(word.lower(), _BOTH_UNKNOWN)
    direction = _DIRECTIONS.get(text_of(payload.get("direction")).lower())
    # Only received faxes have a caller_id, and only they fail for the sender's reasons; of a sent one no document is
    # to be fetched.
    if direction is None and (
        "caller_id" in payload
        or text_of(payload.get("failure_reason")) in INBOUND_ONLY
        or text_of(payload.get("status")).lower() in _STATUSES_OF_RECEIVED
        or (named_media(payload.get("media_url")) and "original_media_url" not in payload)
    ):
        direction = Direction.RECEIVED
    return direction if direction in possible else next(iter(possible))


def _failure(payload: Mapping[str, Any]) -> Failure | None:
    reason = text_of(payload.get("failure_reason")) or None
    finer = text_of(payload.get("internal_failure_reason")) or None
    if reason is None and finer is None:
        return None
    return Failure(code=reason, message=finer or reason, permanent=is_permanent(reason))
