"""What a dialplan's report means: by the words that Asterisk's res_fax sets, and without guessing."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from shared.callback import Callback
from shared.domain import Direction, Event, EventType, Failure, Provider
from shared.errors import Unreadable
from shared.providers.common import digest_id, e164, read_count, read_id, read_job_id, text_of
from shared.providers.numbers import numbered

# Asterisk itself only ever sets SUCCESS and FAILED. RECEIVED is Faxbot's word, FAILURE that of Asterisk's own manual,
# "FAILED: error: …", quotes included, what FreePBX's dialplan sets. They are read by how they begin, after the
# variable's own name if that was sent along.
_PREFIX: Final = r"(?:(?:RES_)?FAX[ _]?(?:STATUS|RESULT)?|STATUS|RESULT)?[\s:=\"'_*-]*"
_GOOD: Final = re.compile(rf"{_PREFIX}(?:SUCC|RECEIVED|OK(?:AY)?\b|COMPLETE)")
_BAD: Final = re.compile(
    rf"$|{_PREFIX}(?:FAIL|ERR\b|ERROR|UNSUCC|UNDELIV|INCOMPLETE|NOT?\b|NO_|NOANSWER|ABORT|CANCEL|BUSY|REJECT|REFUSE"
    r"|DECLINE|DENIED|INVALID|LOST|DROPPED|TIMED?[ -]?OUT|CONGESTION|UNAVAILABLE|CHANUNAVAIL)"
)
_QUOTES: Final = (
    " \t\r\n\"'`\\()[]<>\u00a0\u00ab\u00bb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a"
    "\u200b\u200e\u200f\ufeff"
)
"""Beside ASCII's: those of other scripts, and what is invisible."""


class _Outcome(msgspec.Struct, frozen=True):
    """What became of the fax.

    Attributes:
        type: The event's.
        is_partial: It failed after some of its pages had arrived.
        has_document: There should be a TIFF: of the whole fax, or of those pages.
        reason: Ours, where Asterisk itself sees no failure and gives none.
    """

    type: EventType
    is_partial: bool = False
    has_document: bool = False
    reason: str | None = None


_RECEIVED: Final = _Outcome(EventType.RECEIVED, has_document=True)
_PARTLY_RECEIVED: Final = _Outcome(EventType.RECEIVE_FAILED, is_partial=True, has_document=True)
_FAILED: Final = _Outcome(EventType.RECEIVE_FAILED)
_NO_PAGES: Final = _Outcome(EventType.RECEIVE_FAILED, reason="no pages were received")


def compose(report: Mapping[str, Any], path: str, callback: Callback, sent: dict[str, Any]) -> tuple[Event, bool]:
    """Make an event of a report; say whether there should be a TIFF at its *path* (empty: it names none).

    Raises:
        Unreadable: It cannot be told which fax this was, or what became of it.
    """
    outcome = _outcome(report, path)
    to_number = e164(numbered(report.get("to_number")))
    unique_id = _unique_id(report)
    if not unique_id and not path:
        raise Unreadable("there is neither uniqueid nor tiff_path: it cannot be told which fax this was")
    # Two servers may make the same uniqueid, hence the called number. The field's name is a part of its own, so that no
    # uniqueid can be taken for a path.
    same_fax = ("uniqueid", unique_id) if unique_id else ("tiff_path", path)
    event = Event(
        id=digest_id(Provider.ASTERISK, (*same_fax, to_number or "", outcome.type)),
        provider=Provider.ASTERISK,
        type=outcome.type,
        phase=outcome.type.phase,
        direction=Direction.RECEIVED,
        fax_id=unique_id or digest_id(Provider.ASTERISK, ("tiff_path", path, to_number or "")).partition(":")[2],
        occurred_at=None,  # not reported; the number in uniqueid is when the call began
        received_at=callback.received_at,
        from_number=e164(numbered(report.get("from_number"))),
        to_number=to_number,
        pages=_pages(report),
        status=text_of(report.get("faxstatus")) or None,
        failure=_failure(report, outcome.reason) if outcome.type is EventType.RECEIVE_FAILED else None,
        job_id=read_job_id(callback.query.get("job_id")),
        partial=outcome.is_partial,
        fields=sent,
    )
    return event, outcome.has_document


def _unique_id(report: Mapping[str, Any]) -> str:
    value = report.get("uniqueid")
    if isinstance(value, float):
        # 1603261234.90, written without quotes, would be the fax of 1603261234.9.
        raise Unreadable("uniqueid is a number; its last digits may be lost, so it must be a text")
    return read_id(value)


def _failure(report: Mapping[str, Any], reason: str | None) -> Failure | None:
    if reason:
        return Failure(message=reason)
    # Asterisk does not clear FAXERROR on success: it explains a failure, and never decides that there was one.
    code = _first_text(report, ("faxerror", "fax_error"))
    message = _first_text(report, ("faxstatusstring", "fax_status_string", "faxstatusstr")) or code
    if message is None and ":" in (status := text_of(report.get("faxstatus")).strip(_QUOTES)):
        message = status.partition(":")[2].strip() or None
    return Failure(code=code, message=message) if message else None


def _first_text(report: Mapping[str, Any], names: Iterable[str]) -> str | None:
    return next((text for name in names if (text := text_of(report.get(name)))), None)


def _outcome(report: Mapping[str, Any], path: str) -> _Outcome:
    """Decide by faxstatus and the number of pages."""
    pages = _pages(report)
    if "faxstatus" not in report:
        # A report written by hand, of a file that is there. If ReceiveFAX never finished, a dialplan sends an empty
        # status instead.
        if path:
            return _RECEIVED
        raise Unreadable("there is neither faxstatus nor tiff_path: it cannot be told what became of the fax")
    status = report["faxstatus"]
    word = status.strip(_QUOTES).upper() if isinstance(status, str) else "?"
    if _GOOD.match(word):
        return _NO_PAGES if pages == 0 else _RECEIVED
    if _BAD.match(word):
        return _PARTLY_RECEIVED if pages else _FAILED
    raise Unreadable("faxstatus says neither success nor failure")


def _pages(report: Mapping[str, Any]) -> int | None:
    value = report.get("faxpages")
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    pages = None if isinstance(value, bool | float) else read_count(value)
    if pages is None:
        raise Unreadable("faxpages is not a number of pages")
    return pages
