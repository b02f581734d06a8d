"""What Sinch's words mean: from a report that was read to an event."""

from collections.abc import Mapping
from typing import Any, Final

from shared.callback import Callback
from shared.domain import Direction, Event, EventType, Failure, Media, Provider
from shared.errors import Unreadable
from shared.providers.common import (
    digest_id,
    e164,
    first_of,
    named_media,
    read_count,
    read_id,
    read_job_id,
    read_time,
    text_of,
)
from shared.providers.sinch.errors import is_permanent
from shared.providers.sinch.shapes import COMPLETED, INCOMING, Report

_DIRECTIONS: Final = {"INBOUND": Direction.RECEIVED, "OUTBOUND": Direction.SENT}
_OF_EVENT: Final = {INCOMING: Direction.RECEIVED, COMPLETED: Direction.SENT}

_GOOD: Final = {Direction.SENT: EventType.DELIVERED, Direction.RECEIVED: EventType.RECEIVED}
_BAD: Final = {Direction.SENT: EventType.FAILED, Direction.RECEIVED: EventType.RECEIVE_FAILED}
_STATUSES: Final[dict[str, dict[Direction, EventType]]] = {
    "QUEUED": dict.fromkeys(Direction, EventType.QUEUED),
    "IN_PROGRESS": {Direction.SENT: EventType.SENDING, Direction.RECEIVED: EventType.RECEIVING},
    # Sinch writes COMPLETED and FAILURE; the others are Faxbot's words.
    **dict.fromkeys(("COMPLETED", "SUCCESS", "RECEIVED"), _GOOD),
    **dict.fromkeys(("FAILURE", "FAILED"), _BAD),
}


def compose(report: Report, callback: Callback, *, may_name_media: bool) -> Event:
    """Make an event of what a callback says.

    Args:
        report: As read.
        callback: The callback it came with.
        may_name_media: The URL of a document is believed; it is fetched later.

    Raises:
        Unreadable: It names no fax.
    """
    fax = report.fax
    fax_id = read_id(first_of(fax, ("id", "fax_id")))
    if not fax_id:
        raise Unreadable("the callback names no fax: no id")
    direction = (
        _DIRECTIONS.get(text_of(fax.get("direction")).upper())
        or _OF_EVENT.get(report.event)
        or Direction.RECEIVED  # the route's own name
    )
    name = report.event or (COMPLETED if direction is Direction.SENT else INCOMING)
    event_type = _event_type(report, name, direction)
    pages = read_count(first_of(fax, ("numberOfPages", "num_pages", "pages")))
    return Event(
        # Not eventTime (it may move between repetitions), not the body, not the file.
        id=digest_id(Provider.SINCH, (name, fax_id, report.status)),
        provider=Provider.SINCH,
        type=event_type,
        phase=event_type.phase,
        direction=direction,
        fax_id=fax_id,
        occurred_at=read_time(fax.get("completedTime")) or read_time(report.sent.get("eventTime")),
        received_at=callback.received_at,
        from_number=e164(first_of(fax, ("from", "from_number"))),
        to_number=e164(first_of(fax, ("to", "to_number"))),
        pages=pages,
        status=text_of(fax.get("status")) or None,
        failure=_failure(fax) if event_type in _BAD.values() else None,
        job_id=read_job_id(callback.query.get("job_id")),
        # Of a sent fax it is the URL at which the application keeps it.
        media=_named_media(report) if may_name_media and direction is Direction.RECEIVED else None,
        partial=event_type is EventType.FAILED
        and 0 < (read_count(fax.get("pagesSentSuccessfully")) or 0) < (pages or 0),
        fields=report.sent,
    )


def _event_type(report: Report, name: str, direction: Direction) -> EventType:
    if name not in _OF_EVENT:
        return EventType.UNKNOWN
    status = report.status
    if status in _STATUSES:
        return _STATUSES[status][direction]
    if report.has_error:
        return _BAD[direction]
    # Everything but the id is optional in practice, and both events report finished faxes. An unknown status is
    # different: it may mean anything.
    return EventType.UNKNOWN if status else _GOOD[direction]


def _failure(fax: Mapping[str, Any]) -> Failure | None:
    error_type = text_of(fax.get("errorType")) or None
    code = text_of(fax.get("errorCode"))
    message = text_of(fax.get("errorMessage"))
    if not code.isdigit() and (number := text_of(fax.get("errorId"))):
        code, message = number, message or code  # the older form: the number in errorId, a word in errorCode
    if error_type is None and not code and not message:
        return None
    return Failure(
        type=error_type, code=code or None, message=message or None, permanent=is_permanent(error_type, code)
    )


def _named_media(report: Report) -> Media | None:
    value = first_of(report.fax, ("contentUrl", "file_url", "media_url"))
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return named_media(value)
