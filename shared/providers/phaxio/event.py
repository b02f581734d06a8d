"""What Phaxio's words mean: from a read callback to an event."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from shared.callback import Callback, Document, Parsed
from shared.domain import Direction, Event, EventType, Failure, Media, Phase, Provider
from shared.errors import Unreadable
from shared.forms import Part
from shared.providers.common import (
    digest_id,
    document_type,
    e164,
    first_of,
    named_media,
    read_count,
    read_flag,
    read_id,
    read_job_id,
    read_time,
    text_of,
)
from shared.providers.phaxio.errors import is_permanent
from shared.providers.phaxio.shapes import FILE_NAMES, ID_NAMES, Report

ROUTES: Final = {"/phaxio-callback": Direction.SENT, "/phaxio-inbound": Direction.RECEIVED}
"""Each route and the direction of a fax that does not say its own."""

_COMPLETED: Final = "fax_completed"
_PAGE: Final = "transmitting_page"
_RETRY: Final = "retry_scheduled"
_NAMED: Final = {_PAGE: EventType.PAGE_SENT, _RETRY: EventType.RETRY_SCHEDULED}

# Phaxio's documented statuses, and Faxbot's words for the same (the second line of two). A recipient's status may also
# be given for the fax.
_SENT: Final = {
    **dict.fromkeys(("queued", "pendingbatch"), EventType.QUEUED),
    **dict.fromkeys(("inprogress", "ringing", "callactive", "willretry"), EventType.SENDING),
    **dict.fromkeys(("in_progress", "sending"), EventType.SENDING),
    "success": EventType.DELIVERED,
    "partialsuccess": EventType.PARTIALLY_DELIVERED,
    "failure": EventType.FAILED,
    **dict.fromkeys(("error", "cancelled"), EventType.FAILED),
}
_AS_RECEIVED: Final = {
    EventType.SENDING: EventType.RECEIVING,
    EventType.DELIVERED: EventType.RECEIVED,
    EventType.PARTIALLY_DELIVERED: EventType.RECEIVED,
    EventType.FAILED: EventType.RECEIVE_FAILED,
}
_RECEIVED: Final = {
    **{word: _AS_RECEIVED.get(event_type, event_type) for word, event_type in _SENT.items()},
    "received": EventType.RECEIVED,
}
_DIRECTIONS: Final = {
    **{direction.value: direction for direction in Direction},
    "outbound": Direction.SENT,
    "inbound": Direction.RECEIVED,  # Sinch's words: it took Phaxio over
}
_FAILED: Final = {Direction.SENT: EventType.FAILED, Direction.RECEIVED: EventType.RECEIVE_FAILED}
_FAILURES: Final = (EventType.FAILED, EventType.RECEIVE_FAILED, EventType.PARTIALLY_DELIVERED)
_TEN_DIGITS: Final = "+1"  # v1 documents ten-digit numbers, and means North American ones
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode


def compose(report: Report, callback: Callback) -> Parsed:
    """Make an event of what a callback says.

    Raises:
        Unreadable: It names no fax, says a fax is completed and not how, or brings two documents.
    """
    fax, form = report.fax, report.form
    fax_id = read_id(report.pick(*ID_NAMES))
    if not fax_id:
        raise Unreadable("the callback names no fax: no id in any shape")
    direction = _direction(report, callback.route)
    event_name = text_of(form.get("event_type")).lower()
    status = text_of(report.pick("status"))
    word = status.lower()
    document = _document(report.files)
    event_type = _event_type(report, event_name, word, direction, has_document=document is not None)
    phase = event_type.phase
    recipients = _recipients(fax)
    recipient = _number(form.get("recipient_phone_number"))
    completed_at = read_time(report.pick("completed_at"))
    identity = _identity(report, fax_id, direction, event_name, phase, word, completed_at, recipient)
    from_number, to_number = _numbers(report, direction, recipients, recipient)
    event = Event(
        id=digest_id(Provider.PHAXIO, identity),
        provider=Provider.PHAXIO,
        type=event_type,
        phase=phase,
        direction=direction,
        fax_id=fax_id,
        occurred_at=_occurred_at(report, event_type, phase, completed_at),
        received_at=callback.received_at,
        from_number=from_number,
        to_number=to_number,
        pages=read_count(report.pick("num_pages", "pages")),
        status=status or None,
        failure=_failure(report, recipients) if event_type in _FAILURES else None,
        job_id=read_job_id(callback.query.get("job_id")),
        is_test=_is_test(report),
        media=None if document else _named_media(report),
        partial=direction is Direction.RECEIVED and word == "partialsuccess",
        fields=report.as_fields(),
    )
    return Parsed(event=event, document=document)


def _direction(report: Report, route: str) -> Direction:
    for said in (report.form.get("direction"), report.fax.get("direction")):
        if direction := _DIRECTIONS.get(text_of(said).lower()):
            return direction
    return ROUTES.get(route, Direction.SENT)


def _is_test(report: Report) -> bool:
    said = read_flag(report.form.get("is_test"))
    return bool(read_flag(report.fax.get("is_test")) if said is None else said)


def _event_type(report: Report, event_name: str, status: str, direction: Direction, *, has_document: bool) -> EventType:
    """Decide what happened. A known status decides; inflight events are named.

    | event_type | status | type |
    |---|---|---|
    | transmitting_page, retry_scheduled | any | named |
    | absent or fax_completed | known | the status's, unfinished ones too |
    | fax_completed | unknown | the outcome, if something else tells it; else failed |
    | fax_completed | absent | the outcome, if something else tells it; else unreadable |
    | absent | absent | the outcome, if something else tells it |
    | absent | unknown | fax.unknown |
    | any other | any | fax.unknown |
    """
    if event_name not in ("", _COMPLETED):
        return _NAMED.get(event_name, EventType.UNKNOWN)
    if known := (_SENT if direction is Direction.SENT else _RECEIVED).get(status):
        return known
    if event_name or not status:
        if outcome := _outcome(report, direction, has_document=has_document):
            return outcome
        if event_name and not status:
            raise Unreadable("the fax is said to be completed, but neither status nor success says how")
    return _FAILED[direction] if event_name else EventType.UNKNOWN


def _outcome(report: Report, direction: Direction, *, has_document: bool) -> EventType | None:
    """Tell how a fax ended where its status does not: by `success`, by errors, by the document that came; else None."""
    success = read_flag(report.form.get("success"))
    if success is None:
        statuses = {text_of(each.get("status")).lower() for each in _recipients(report.fax)}
        if report.pick("error_type", "error_id") is not None:
            success = False
        elif statuses == {"success"} or (direction is Direction.RECEIVED and (has_document or _named_media(report))):
            success = True
    if success is None:
        return None
    return (_SENT if direction is Direction.SENT else _RECEIVED)["success" if success else "failure"]


def _identity(
    report: Report,
    fax_id: str,
    direction: Direction,
    event_name: str,
    phase: Phase,
    status: str,
    completed_at: datetime | None,
    recipient: str | None,
) -> list[str]:
    """Return what makes this event itself, the same in every shape and repetition.

    Never the bytes of the callback, `job_id`, or the scheme that verified it.
    """
    form = report.form
    if event_name == _PAGE:
        return [fax_id, _PAGE, recipient or "", text_of(form.get("page")), _redials(report, recipient)]
    if event_name == _RETRY:
        return [fax_id, _RETRY, recipient or "", text_of(form.get("retry_count"))]
    if event_name == _COMPLETED or (not event_name and phase is Phase.POSTFLIGHT):
        # As seconds: v1 has integers where v2.1 has milliseconds.
        seconds = str(int(completed_at.timestamp())) if completed_at else text_of(report.pick("completed_at"))
        return [fax_id, direction, _COMPLETED, status, seconds]
    if not event_name:
        return [fax_id, direction, status]
    parts = [fax_id, event_name]
    for name, value in sorted(form.items(), key=lambda item: item[0]):
        parts += (name, value.strip() if isinstance(value, str) else _encode_sorted(value).decode())
    return parts


def _redials(report: Report, recipient: str | None) -> str:
    """Return how often the recipient was called again, which tells a redial's page 1 from the first call's."""
    recipients = _recipients(report.fax)
    for item in recipients:
        if recipient is None or _recipient_number(item) == recipient:
            return text_of(item.get("retry_count"))
    return ""


def _recipients(fax: dict[str, Any]) -> list[dict[str, Any]]:
    recipients = fax.get("recipients")
    return [item for item in recipients if isinstance(item, dict)] if isinstance(recipients, list) else []


def _number(value: Any) -> str | None:
    return e164(value, ten_digits=_TEN_DIGITS)


def _recipient_number(recipient: dict[str, Any]) -> str | None:
    return _number(first_of(recipient, ("phone_number", "number")))  # v2 and v1


def _numbers(
    report: Report, direction: Direction, recipients: list[dict[str, Any]], recipient: str | None
) -> tuple[str | None, str | None]:
    """Return the calling and the called number.

    A sent fax has a `caller_id` and recipients. The called number is the recipient that the event is about, or the only
    one; of several no one is taken, and all are in the event's fields.
    """
    from_number = _number(report.pick("from_number", "from"))
    to_number = _number(report.pick("to_number", "to"))
    if direction is Direction.RECEIVED:
        return from_number, to_number
    if from_number is None:
        shown = _number(report.pick("caller_id"))
        from_number = shown if shown and shown.startswith("+") else None
    if recipient is None and len(recipients) == 1:
        recipient = _recipient_number(recipients[0])
    return from_number, recipient or to_number


def _occurred_at(report: Report, event_type: EventType, phase: Phase, completed_at: datetime | None) -> datetime | None:
    """Return when it happened: completed faxes and queued ones say so, events on the way do not."""
    if phase is Phase.POSTFLIGHT:
        return completed_at
    if event_type is EventType.QUEUED:
        return read_time(report.pick("created_at", "requested_at"))
    return None


def _failure(report: Report, recipients: list[dict[str, Any]]) -> Failure | None:
    """Return why, in the fax's own words; else in those of most of its recipients; else in the v1 `message` alone."""
    said = _error(report.fax)
    if not any(said):
        errors = Counter(error for item in recipients if any(error := _error(item)))
        said = errors.most_common(1)[0][0] if errors else said
    error_type, error_id, message = said
    message = message or text_of(report.form.get("message")) or None
    status = text_of(report.pick("status"))
    if not (error_type or error_id or message):
        # A status that is not a failure's is all that is said.
        return Failure(type=status) if status and _SENT.get(status.lower()) not in _FAILURES else None
    return Failure(type=error_type, code=error_id, message=message, permanent=is_permanent(error_type, error_id))


def _error(source: dict[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Return type, id and message of a fax or recipient; `error_code` is v1's name for the message."""
    message = text_of(first_of(source, ("error_message", "error_code")))
    return text_of(source.get("error_type")) or None, text_of(source.get("error_id")) or None, message or None


def _document(files: Sequence[Part]) -> Document | None:
    """Return the fax's document: the part named `file` (v2.1) or `filename` (v1), or the only one.

    An empty part does not count.

    Raises:
        Unreadable: Several qualify, and an event carries one.
    """
    filled = [part for part in files if part.content]
    if len(filled) > 1:
        filled = [part for part in filled if part.name in FILE_NAMES]
        if len(filled) != 1:
            raise Unreadable("several files, and nothing says which is the fax's document")
    if not filled:
        return None
    content = filled[0].content
    return Document(content=content, content_type=document_type(content, filled[0].content_type))


def _named_media(report: Report) -> Media | None:
    return named_media(text_of(report.pick("file_url", "media_url", "pdf_url")))
