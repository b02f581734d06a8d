"""Sinch Fax v3: `INCOMING_FAX` and `FAX_COMPLETED`, as JSON or as a form, and Faxbot's flat shape of the former.

Sinch signs nothing; what stands in for a signature is configured. Which errors are for good
stands in `sinch_errors`, how a document comes in `sinch_documents`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from shared.callback import Callback, Parsed, Verified
from shared.domain import Direction, Event, EventType, Failure, Media, Provider
from shared.errors import CredentialsInvalid, SignatureInvalid, SignatureMissing, Unreadable
from shared.providers.bodies import read_body
from shared.providers.common import (
    digest_id,
    e164,
    read_count,
    read_id,
    read_job_id,
    read_json,
    read_time,
    text_of,
)
from shared.providers.sinch.documents import take_document
from shared.providers.sinch.errors import is_permanent
from shared.signatures import verify_basic, verify_body

SIGNATURE: Final = "X-Sinch-Signature"
UNVERIFIED: Final = "sinch-unverified"

_INCOMING: Final = "INCOMING_FAX"
_COMPLETED: Final = "FAX_COMPLETED"
_DIRECTIONS: Final = {"INBOUND": Direction.RECEIVED, "OUTBOUND": Direction.SENT}
_OF_EVENT: Final = {_INCOMING: Direction.RECEIVED, _COMPLETED: Direction.SENT}
_DECIDING: Final = frozenset({"event", "fax", "id", "fax_id", "status"})

_GOOD: Final = {Direction.SENT: EventType.DELIVERED, Direction.RECEIVED: EventType.RECEIVED}
_BAD: Final = {Direction.SENT: EventType.FAILED, Direction.RECEIVED: EventType.RECEIVE_FAILED}
_STATUSES: Final[dict[str, dict[Direction, EventType]]] = {
    "QUEUED": dict.fromkeys(Direction, EventType.QUEUED),
    "IN_PROGRESS": {Direction.SENT: EventType.SENDING, Direction.RECEIVED: EventType.RECEIVING},
    # Sinch writes COMPLETED and FAILURE; the others are Faxbot's words.
    **dict.fromkeys(("COMPLETED", "SUCCESS", "RECEIVED"), _GOOD),
    **dict.fromkeys(("FAILURE", "FAILED"), _BAD),
}


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    """A callback in either shape.

    Attributes:
        sent: All names and values of the callback; what becomes the event's `fields`.
        fax: The fax object; in the flat shape the same mapping as `sent`.
        event: Sinch's word, upper case; empty if there is none.
        default_status: What an absent status means.
    """

    sent: dict[str, Any]
    fax: Mapping[str, Any]
    event: str
    default_status: str = ""

    @property
    def status(self) -> str:
        """Upper case, as the tables and the event id want it."""
        return text_of(self.fax.get("status")).upper() or self.default_status

    @property
    def has_error(self) -> bool:
        return any(text_of(self.fax.get(name)) for name in ("errorType", "errorCode", "errorId", "errorMessage"))


class SinchAdapter:
    """Sinch's side of the ingress.

    Args:
        users: Of Basic credentials in the callback URL; each goes with the password at the same position.
        passwords: As many as users.
        hmac_secrets: Of `X-Sinch-Signature`, for those who sign behind a proxy of their own.
        allow_unverified: Take everything, if neither of the above is configured.

    Raises:
        ValueError: Users and passwords do not pair up, or nothing is configured and that is not allowed.
    """

    provider: Provider = Provider.SINCH
    routes: tuple[str, ...] = ("/sinch-inbound",)

    def __init__(
        self,
        *,
        users: Sequence[str],
        passwords: Sequence[str],
        hmac_secrets: Sequence[str],
        allow_unverified: bool,
    ) -> None:
        if len(users) != len(passwords):
            raise ValueError(
                f"SINCH_INBOUND_BASIC_USER has {len(users)} values and SINCH_INBOUND_BASIC_PASS {len(passwords)}: "
                "they are paired by position"
            )
        self._credentials = tuple(zip(users, passwords, strict=True))
        self._secrets = tuple(filter(None, hmac_secrets))
        schemes = [name for name, used in (("basic", self._credentials), ("hmac", self._secrets)) if used]
        if not schemes and not allow_unverified:
            raise ValueError("Sinch needs SINCH_INBOUND_BASIC_USER and _PASS, or SINCH_INBOUND_HMAC_SECRET")
        self._by = "sinch-" + "+".join(schemes) if schemes else UNVERIFIED

    def verify(self, callback: Callback) -> Verified:
        """Let pass what satisfies everything that is configured.

        Raises:
            CredentialsInvalid: Basic credentials are configured, and missing or wrong here.
            SignatureMissing: A secret is configured, and there is no signature.
            SignatureInvalid: There is a wrong one.
        """
        # Both are always computed: which of them was wrong is told by the code, and by nothing before it.
        known = not self._credentials or verify_basic(self._credentials, callback.headers.get("Authorization"))
        given = (callback.headers.get(SIGNATURE) or "").strip()
        signed = not self._secrets or verify_body(self._secrets, given, callback.body)
        if not known:
            raise CredentialsInvalid("the Basic credentials are missing or wrong")
        if not signed and not given:
            raise SignatureMissing(f"no {SIGNATURE}")
        if not signed:
            raise SignatureInvalid(f"{SIGNATURE} does not match")
        return Verified(by=self._by)

    def parse(self, callback: Callback, verified: Verified) -> Parsed:
        """Make an event of a callback in Sinch's own shape or in Faxbot's flat one.

        Raises:
            Unreadable: It is in neither shape, names no fax, or its document is damaged.
        """
        sent, parts = read_body(callback.headers.get("Content-Type"), callback.body, once=_DECIDING)
        document = take_document(sent, parts)
        report = _report(sent)
        # The dispatcher fetches what `media` names; whoever may post here unproven must not choose what that is.
        media = _named_media(report) if document is None and verified.by != UNVERIFIED else None
        return Parsed(event=_event(report, callback, media), document=document)


def _report(sent: dict[str, Any]) -> _Report:
    fax = sent.get("fax")
    if "event" in sent or isinstance(fax, dict | str):
        event, fax = _unquoted(sent.get("event")), _fax(fax)
        words = {name: _unquoted(sent[name]) for name in ("event", "eventTime") if isinstance(sent.get(name), str)}
        return _Report(sent=sent | words | {"fax": fax}, fax=fax, event=event.upper())
    return _Report(sent=sent, fax=sent, event=_INCOMING, default_status="RECEIVED")


def _fax(value: Any) -> dict[str, Any]:
    for _ in range(2):  # a JSON text, or one that was quoted once more like the texts beside it
        if isinstance(value, str):
            value = read_json(value)
    if not isinstance(value, dict):
        raise Unreadable("fax is not a JSON object")
    return value


def _unquoted(value: Any) -> str:
    """Return a text without the quotes that make JSON of it: parts of a form come with and without."""
    text = text_of(value)
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def _event(report: _Report, callback: Callback, media: Media | None) -> Event:
    fax = report.fax
    fax_id = read_id(_first(fax, ("id", "fax_id")))
    if not fax_id:
        raise Unreadable("the callback names no fax: no id")
    direction = (
        _DIRECTIONS.get(text_of(fax.get("direction")).upper())
        or _OF_EVENT.get(report.event)
        or Direction.RECEIVED  # the route's own name
    )
    name = report.event or (_COMPLETED if direction is Direction.SENT else _INCOMING)
    event_type = _event_type(report, name, direction)
    pages = read_count(_first(fax, ("numberOfPages", "num_pages", "pages")))
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
        from_number=e164(_first(fax, ("from", "from_number"))),
        to_number=e164(_first(fax, ("to", "to_number"))),
        pages=pages,
        status=text_of(fax.get("status")) or None,
        failure=_failure(fax) if event_type in _BAD.values() else None,
        job_id=read_job_id(callback.query.get("job_id")),
        media=media if direction is Direction.RECEIVED else None,  # a sent fax's URL is where the application keeps it
        partial=event_type is EventType.FAILED
        and 0 < (read_count(fax.get("pagesSentSuccessfully")) or 0) < (pages or 0),
        fields=report.sent,
    )


def _event_type(report: _Report, name: str, direction: Direction) -> EventType:
    if name not in _OF_EVENT:
        return EventType.UNKNOWN
    status = report.status
    if status in _STATUSES:
        return _STATUSES[status][direction]
    if report.has_error:
        return _BAD[direction]
    # Everything but the id is optional in practice, and both events are sent of finished faxes. A word that nobody
    # knows is something else: it may say anything.
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


def _named_media(report: _Report) -> Media | None:
    value = _first(report.fax, ("contentUrl", "file_url", "media_url"))
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return Media(url=value) if isinstance(value, str) and value.startswith(("https://", "http://")) else None


def _first(source: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((source[name] for name in names if source.get(name) not in (None, "")), None)
