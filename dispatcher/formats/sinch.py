"""Sinch's fax webhooks, version 3, as JSON: Basic credentials of the URL, and a signature of the body with a token.

| ours | sinch-v3 |
|---|---|
| direction | `event=FAX_COMPLETED`, `fax.direction=OUTBOUND`; `INCOMING_FAX`, `INBOUND` |
| type: delivered, received | `fax.status=COMPLETED` |
| type: failed, partially_delivered, receive_failed | `fax.status=FAILURE` |
| any inflight type | no word |
| occurred_at | `eventTime`, `fax.completedTime` |
| fax_id | `fax.id` |
| from_number, to_number | `fax.from`, `fax.to` |
| pages | `fax.numberOfPages` |
| failure.type | `fax.errorType`; Phaxio's spelled as Sinch's |
| failure.code, if it is a number | `fax.errorCode` |
| failure.message, else its code | `fax.errorMessage` |
| media, where it is known by URL only | `fax.contentUrl`, of received faxes |
| the document of a received fax | `file`, base64, and `fileType` |
| only Sinch gives them | `price`, `labels`, `pagesSentSuccessfully`, `createTime`, … |
| is_test, client_state, partial | no key |

What is not known is absent. An event that came from Sinch in Sinch's own shape keeps its own fax. Sinch signs nothing:
`X-Sinch-Signature` is Faxbot's way, the hex HMAC-SHA256 of the body, and is made with the first token only.
"""

from typing import Any, Final

import msgspec

from dispatcher.formats.base import Facts, Webhook
from dispatcher.formats.error_types import SINCH_OF_PHAXIO
from shared.domain import Direction, Event, EventType, Failure, Phase, Provider
from shared.signatures import sign_body

_EVENTS: Final = {Direction.SENT: ("FAX_COMPLETED", "OUTBOUND"), Direction.RECEIVED: ("INCOMING_FAX", "INBOUND")}
_GOOD: Final = frozenset({EventType.DELIVERED, EventType.RECEIVED})
_FILE_TYPES: Final = {
    "application/pdf": "PDF",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "DOCX",
    "image/jpeg": "JPG",
    "image/png": "PNG",
    "image/tiff": "TIF",
    "text/html": "HTML",
    "text/plain": "TXT",
}
_DOCUMENT_NAMES: Final = frozenset({"file", "fileType", "files"})
_STATUSES: Final = ("COMPLETED", "FAILURE")  # what is compared with them may be anything

_encode = msgspec.json.Encoder().encode


class SinchV3:
    """The format `sinch-v3`."""

    def has_word_for(self, event: Event) -> bool:
        """Endings only."""
        return event.phase is Phase.POSTFLIGHT

    def wants_document(self, event: Event) -> bool:
        """Received faxes carry their file."""
        return event.direction is Direction.RECEIVED and event.phase is Phase.POSTFLIGHT

    def render(self, event: Event, document: bytes | None, facts: Facts) -> Webhook:
        """Return the JSON, signed with the first token if there is one."""
        message = _own_message(event) or _message(event)
        if document is not None:
            message["file"] = document  # as bytes: they are encoded as base64
            if file_type := _FILE_TYPES.get((event.media and event.media.content_type) or ""):
                message["fileType"] = file_type
        body = _encode(message)
        headers = {"Content-Type": "application/json"}
        if facts.tokens and facts.tokens[0]:
            headers["X-Sinch-Signature"] = sign_body(facts.tokens[0], body)
        return Webhook(body=body, headers=headers)


def _own_message(event: Event) -> dict[str, Any] | None:
    """Return what Sinch sent, but for the document; None if it was not Sinch, or came in Faxbot's flat shape."""
    own = event.fields.get("fax") if event.provider is Provider.SINCH else None
    if not isinstance(own, dict):
        return None
    name, direction = _EVENTS[event.direction]
    fax = {"id": event.fax_id} | own | {"direction": direction}
    # What type and direction were read from may have stood elsewhere, or been no word of Sinch's.
    if fax.get("status") not in _STATUSES:
        fax["status"] = _status(event)
    beside = {name: value for name, value in event.fields.items() if name not in _DOCUMENT_NAMES}
    return beside | {"event": name, "fax": fax}


def _message(event: Event) -> dict[str, Any]:
    message: dict[str, Any] = {"event": _EVENTS[event.direction][0]}
    if event.occurred_at is not None:
        message["eventTime"] = event.occurred_at
    message["fax"] = _fax(event)
    return message


def _fax(event: Event) -> dict[str, Any]:
    media_url = event.media.url if event.media and event.direction is Direction.RECEIVED else None
    fax = {
        "id": event.fax_id,
        "direction": _EVENTS[event.direction][1],
        "from": event.from_number,
        "to": event.to_number,
        "numberOfPages": event.pages,
        "status": _status(event),
        "completedTime": event.occurred_at,
        **_error(event.failure),
        "contentUrl": media_url,
    }
    return {name: value for name, value in fax.items() if value is not None}


def _status(event: Event) -> str:
    return "COMPLETED" if event.type in _GOOD else "FAILURE"


def _error(failure: Failure | None) -> dict[str, int | str | None]:
    if failure is None:
        return {}
    code = failure.code or ""
    is_number = code.isascii() and code.isdigit()
    return {
        "errorType": failure.type and SINCH_OF_PHAXIO.get(failure.type, failure.type),
        "errorCode": int(code) if is_number else None,
        "errorMessage": failure.message or (None if is_number else failure.code),
    }
