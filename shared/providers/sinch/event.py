"""What Sinch's words mean: from a report that was read to an event."""

from typing import Final

from shared.callback import Callback
from shared.domain import Direction, Event, EventType, Failure, Media, Provider
from shared.errors import Unreadable
from shared.providers.common import (
    digest_id,
    e164,
    first_of,
    named_media,
    only,
    read_count,
    read_id,
    read_job_id,
    read_time,
    text_of,
)
from shared.providers.numbers import numbered
from shared.providers.sinch.errors import is_permanent
from shared.providers.sinch.shapes import COMPLETED, INCOMING, Report

_DIRECTIONS: Final = {"INBOUND": Direction.RECEIVED, "OUTBOUND": Direction.SENT}
_OF_EVENT: Final = {INCOMING: Direction.RECEIVED, COMPLETED: Direction.SENT}

_FROM: Final = ("from", "from_number", "from[]", "from[0]")
_TO: Final = ("to", "to_number", "to[]", "to[0]")
"""The last two are how a form without an object writes a list of one."""

_GOOD: Final = {Direction.SENT: EventType.DELIVERED, Direction.RECEIVED: EventType.RECEIVED}
_BAD: Final = {Direction.SENT: EventType.FAILED, Direction.RECEIVED: EventType.RECEIVE_FAILED}
_UNDER_WAY: Final[dict[str, dict[Direction, EventType]]] = {
    "QUEUED": dict.fromkeys(Direction, EventType.QUEUED),
    "IN_PROGRESS": {Direction.SENT: EventType.SENDING, Direction.RECEIVED: EventType.RECEIVING},
}
_STATUSES: Final[dict[str, dict[Direction, EventType]]] = {
    **_UNDER_WAY,
    # Sinch writes COMPLETED and FAILURE; SUCCESS, RECEIVED and FAILED are Faxbot's words, the others plain ones.
    **dict.fromkeys(("COMPLETED", "SUCCESS", "RECEIVED", "COMPLETE", "DELIVERED", "SENT", "SUCCESSFUL", "OK"), _GOOD),
    **dict.fromkeys(("FAILURE", "FAILED"), _BAD),
}


def compose(report: Report, callback: Callback, *, may_name_media: bool, has_document: bool) -> Event:
    """Make an event of what a callback says.

    Args:
        report: As read.
        callback: The callback it came with.
        may_name_media: The URL of a document is believed; it is fetched later.
        has_document: A document came with it.

    Raises:
        Unreadable: It names no fax.
    """
    fax = report.fax
    fax_id = read_id(first_of(fax, ("id", "fax_id", "faxId")))
    if not fax_id:
        raise Unreadable("the callback names no fax: no id")
    direction = (
        _DIRECTIONS.get(text_of(fax.get("direction")).upper())
        or _OF_EVENT.get(report.event)
        or Direction.RECEIVED  # the route's own name
    )
    name = report.event or (COMPLETED if direction is Direction.SENT else INCOMING)
    pages = read_count(first_of(fax, ("numberOfPages", "num_pages", "pages")))
    sent_pages = read_count(fax.get("pagesSentSuccessfully")) or 0
    arrived = sent_pages >= (pages or 1) if direction is Direction.SENT else has_document or bool(pages)
    event_type = _event_type(report, name, direction, arrived=arrived)
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
        from_number=e164(numbered(first_of(fax, _FROM))),
        to_number=e164(numbered(first_of(fax, _TO))),
        pages=pages,
        status=text_of(fax.get("status")) or None,
        failure=_failure(report) if event_type in _BAD.values() else None,
        job_id=read_job_id(callback.query.get("job_id")),
        # Of a sent fax it is the URL at which the application keeps it.
        media=_named_media(report) if may_name_media and direction is Direction.RECEIVED else None,
        partial=event_type is EventType.FAILED and 0 < sent_pages < (pages or 0),
        fields=report.sent,
    )


def _event_type(report: Report, name: str, direction: Direction, *, arrived: bool) -> EventType:
    """Decide what happened. *arrived*: all pages of a sent fax, or something of a received one.

    Both events that Sinch names report an ending, whatever the status says: unknown, or one of a fax under way. Without
    an event's name the status says it all, and an unknown one may mean anything, unless it was completed at a time.
    """
    if name not in _OF_EVENT:
        return EventType.UNKNOWN
    status = report.status
    if status in _STATUSES and not (report.is_named and status in _UNDER_WAY):
        return _STATUSES[status][direction]
    if report.has_error:
        return _BAD[direction]
    if not status:  # everything but the id is optional in practice
        return _GOOD[direction]
    if not report.is_named and read_time(report.fax.get("completedTime")) is None:
        return EventType.UNKNOWN
    return (_GOOD if arrived else _BAD)[direction]


def _failure(report: Report) -> Failure | None:
    fax = report.fax
    error_type = text_of(fax.get("errorType")) or None
    code = text_of(fax.get("errorCode"))
    message = text_of(fax.get("errorMessage"))
    if not code.isdigit() and (number := text_of(fax.get("errorId"))):
        code, message = number, message or code  # the older form: the number in errorId, a word in errorCode
    if error_type is None and not code and not message:
        # A status that is not a failure's is all that is said.
        return None if _STATUSES.get(report.status) is _BAD or not report.status else Failure(type=report.status)
    return Failure(
        type=error_type, code=code or None, message=message or None, permanent=is_permanent(error_type, code)
    )


def _named_media(report: Report) -> Media | None:
    return named_media(only(first_of(report.fax, ("contentUrl", "file_url", "media_url"))))
