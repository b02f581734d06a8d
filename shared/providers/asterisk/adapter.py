"""Asterisk: what the operator's own dialplan reports of a received fax.

There is no provider here, so the mistakes to expect are a dialplan's: a variable that was not substituted, a status
that was never set, a path to somewhere else. What cannot be told for certain makes no event; it is kept as unreadable.
The file itself is read by the ingress (`spool`); here its path is looked at as text.
"""

import os.path
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from shared.callback import Callback, Parsed, SpoolFile, Verified
from shared.domain import Direction, Event, EventType, Failure, Provider
from shared.errors import CredentialsInvalid, Unreadable
from shared.providers.bodies import read_body
from shared.providers.common import digest_id, e164, read_count, read_id, read_job_id, text_of
from shared.signatures import same_secret

SECRET_HEADER: Final = "X-Internal-Secret"  # noqa: S105 - a header's name

_NAMES: Final = frozenset({"tiff_path", "to_number", "from_number", "faxstatus", "faxpages", "uniqueid"})

# Asterisk itself only ever sets SUCCESS and FAILED. RECEIVED is Faxbot's word, FAILURE that of Asterisk's own manual.
_GOOD: Final = frozenset({"SUCCESS", "RECEIVED", "OK"})
_BAD: Final = frozenset({"FAILED", "FAILURE", ""})


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


class AsteriskAdapter:
    """The own Asterisk's side of the ingress.

    Args:
        secrets: Of `X-Internal-Secret`; several are all valid (rotation).
        spool_dir: Where its TIFFs lie, as an absolute path; None: paths are kept as text and no file is read.

    Raises:
        ValueError: There is no secret, or the folder's path is not absolute.
    """

    provider: Provider = Provider.ASTERISK
    routes: tuple[str, ...] = ("/_internal/asterisk/inbound",)

    def __init__(self, *, secrets: Sequence[str], spool_dir: Path | None) -> None:
        self._secrets = tuple(filter(None, secrets))
        if not self._secrets:
            raise ValueError("ASTERISK_INBOUND_SECRET is empty: Asterisk needs a secret")
        if spool_dir is not None and not spool_dir.is_absolute():
            raise ValueError("ASTERISK_SPOOL_DIR must be an absolute path")
        self._spool_dir = None if spool_dir is None else _normal(str(spool_dir))

    def verify(self, callback: Callback) -> Verified:
        """Compare the secret.

        Raises:
            CredentialsInvalid: It is missing or wrong.
        """
        if not same_secret(self._secrets, callback.headers.get(SECRET_HEADER)):
            raise CredentialsInvalid(f"{SECRET_HEADER} is missing or wrong")
        return Verified(by="asterisk-secret")

    def parse(self, callback: Callback, verified: Verified) -> Parsed:  # noqa: ARG002 - the body says it all
        """Make an event of a report.

        Raises:
            Unreadable: A variable was not substituted, the path leads out of the spool folder, or it cannot be told
                which fax this was or what became of it.
        """
        sent, _ = read_body(callback.headers.get("Content-Type"), callback.body, once=_NAMES)
        if _is_unsubstituted(sent):
            raise Unreadable("a variable of the dialplan was not substituted: there is a ${ in a field")
        report = _by_name(sent)
        path = _text(report, "tiff_path")
        file = self._spool_file(path) if path else None
        outcome = _outcome(report, path)
        event = _event(report, path, outcome, callback, sent)
        return Parsed(event=event, document=file if outcome.has_document else None)

    def _spool_file(self, path: str) -> SpoolFile | None:
        if self._spool_dir is None:
            return None
        normal = _normal(path)
        # U+FFFD: something stood there that is no text. The file system would take the path for another one.
        if "\ufffd" in path or not normal.startswith(self._spool_dir.rstrip("/") + "/"):
            raise Unreadable("tiff_path does not lie in the spool folder")
        return SpoolFile(path=Path(normal))


def _normal(path: str) -> str:
    """Return *path* without `.`, `..` and doubled slashes, the two leading ones too, which POSIX lets stand."""
    normal = os.path.normpath(path)
    return normal[1:] if normal.startswith("//") else normal


def _is_unsubstituted(value: Any) -> bool:
    """Is there a `${` in any text of *value*, names included?"""
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, dict):
        return any(_is_unsubstituted(name) or _is_unsubstituted(item) for name, item in value.items())
    return isinstance(value, list) and any(map(_is_unsubstituted, value))


def _by_name(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was sent by its names in lower case: variables of a dialplan are written in capitals."""
    report: dict[str, Any] = {}
    for name, value in sent.items():
        known = report.setdefault(name.lower(), value)
        if known != value and name.lower() in _NAMES:
            raise Unreadable(f"{name.lower()} is given twice, with different values")
    return report


def _text(report: Mapping[str, Any], name: str) -> str:
    """Return a trimmed text; empty if it is missing, null or blank. Nothing else is guessed to be one."""
    value = report.get(name)
    if value is not None and not isinstance(value, str):
        raise Unreadable(f"{name} is not a text")
    return value.strip() if value else ""


def _outcome(report: Mapping[str, Any], path: str) -> _Outcome:
    """Decide by the words that Asterisk's res_fax really sets, and guess nothing."""
    pages = _pages(report)
    if "faxstatus" not in report:
        # The report of a file that is there, written by hand. A dialplan in which ReceiveFAX never finished sends an
        # empty status instead.
        if path:
            return _RECEIVED
        raise Unreadable("there is neither faxstatus nor tiff_path: nobody can tell what became of the fax")
    status = report["faxstatus"]
    word = status.strip().upper() if isinstance(status, str) else None
    if word in _GOOD:
        return _NO_PAGES if pages == 0 else _RECEIVED
    if word in _BAD:
        return _PARTLY_RECEIVED if pages else _FAILED
    raise Unreadable("faxstatus is none of the words that Asterisk sets")


def _pages(report: Mapping[str, Any]) -> int | None:
    value = report.get("faxpages")
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    pages = None if isinstance(value, bool | float) else read_count(value)
    if pages is None:
        raise Unreadable("faxpages is not a number of pages")
    return pages


def _event(report: Mapping[str, Any], path: str, outcome: _Outcome, callback: Callback, sent: dict[str, Any]) -> Event:
    to_number = e164(report.get("to_number"))
    unique_id = _unique_id(report)
    if not unique_id and not path:
        raise Unreadable("there is neither uniqueid nor tiff_path: nobody can tell which fax this was")
    # Two servers may make the same uniqueid, hence the called number. The path comes in as the third kind of part, so
    # that no uniqueid can be taken for one.
    same_fax = ("uniqueid", unique_id) if unique_id else ("tiff_path", path)
    return Event(
        id=digest_id(Provider.ASTERISK, (*same_fax, to_number or "", outcome.type)),
        provider=Provider.ASTERISK,
        type=outcome.type,
        phase=outcome.type.phase,
        direction=Direction.RECEIVED,
        fax_id=unique_id or digest_id(Provider.ASTERISK, ("tiff_path", path, to_number or "")).partition(":")[2],
        occurred_at=None,  # not reported; the number in uniqueid is when the call began
        received_at=callback.received_at,
        from_number=e164(report.get("from_number")),
        to_number=to_number,
        pages=_pages(report),
        status=text_of(report.get("faxstatus")) or None,
        failure=_failure(report, outcome.reason) if outcome.type is EventType.RECEIVE_FAILED else None,
        job_id=read_job_id(callback.query.get("job_id")),
        partial=outcome.is_partial,
        fields=sent,
    )


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
    return Failure(code=code, message=message) if message else None


def _first_text(report: Mapping[str, Any], names: Iterable[str]) -> str | None:
    return next((text for name in names if (text := text_of(report.get(name)))), None)
