"""Phaxio's webhooks, any provider's event in them. Version 2.1: multipart form, HMAC-SHA1 over URL, fields and files.

| ours | theirs (`fax` is a JSON object in one field) |
|---|---|
| direction | `direction`, `fax.direction` |
| type: delivered, received | `success=true`, `fax.status=success` |
| type: partially_delivered | `success=false`, `fax.status=partialsuccess` |
| type: failed, receive_failed | `success=false`, `fax.status=failure` |
| type: page_sent, retry_scheduled | `event_type=transmitting_page`, `retry_scheduled`; `fax.status=inprogress` |
| any ending | `event_type=fax_completed` |
| fax_id | `fax.id`, an integer if it is one (Phaxio's are; other providers' ids stay texts) |
| pages | `fax.num_pages` |
| from_number, to_number | `fax.from_number`, `fax.to_number`; of a sent fax also `fax.recipients[0].phone_number` |
| occurred_at of an ending | `fax.completed_at` |
| failure | `fax.error_type`, `error_id`, `error_message` |
| is_test | `is_test`, `fax.is_test` |
| the document of a received fax | the file part `file` |
| no other inflight type | no word: `skipped: no_equivalent` |

`direction`, `is_test` and `success` go with version 2.1 although it does not document them, because a published
receiver fails without them. A fax that came from Phaxio keeps its own object: recipients, cost, tags, bar codes.
"""

import secrets
from typing import Any, Final

import msgspec

from dispatcher.formats.base import Facts, Webhook
from shared.domain import Direction, Event, EventType, Phase, Provider
from shared.signatures import sign_phaxio

_STATUS: Final = {
    EventType.DELIVERED: "success",
    EventType.RECEIVED: "success",
    EventType.PARTIALLY_DELIVERED: "partialsuccess",
    EventType.FAILED: "failure",
    EventType.RECEIVE_FAILED: "failure",
}
_INFLIGHT_NAMES: Final = {
    EventType.PAGE_SENT: "transmitting_page",
    EventType.RETRY_SCHEDULED: "retry_scheduled",
}
_INFLIGHT_FIELDS: Final = ("page", "recipient_phone_number", "retry_count")

_encode = msgspec.json.Encoder().encode


class PhaxioV21:
    """The format `phaxio-v2.1`."""

    file_part_name: Final = "file"

    def has_word_for(self, event: Event) -> bool:
        """Endings, pages and retries."""
        return event.phase is Phase.POSTFLIGHT or event.type in _INFLIGHT_NAMES

    def wants_document(self, event: Event) -> bool:
        """Received faxes carry their file."""
        return event.direction is Direction.RECEIVED and event.phase is Phase.POSTFLIGHT

    def render(self, event: Event, document: bytes | None, facts: Facts) -> Webhook:
        """Return the form, signed with the first token."""
        fields = self._fields(event)
        files = [] if document is None else [(self.file_part_name, document)]
        headers = {}
        if facts.tokens:
            headers["X-Phaxio-Signature"] = sign_phaxio(facts.tokens[0], facts.url, fields, files)
        boundary = f"faxhook{secrets.token_hex(16)}"
        headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
        filename = f"{event.fax_id}.{_extension(event)}"
        return Webhook(body=_multipart(boundary, fields, files, filename, _content_type(event)), headers=headers)

    def _fields(self, event: Event) -> list[tuple[str, str]]:
        fields = [
            ("fax", _encode(fax_object(event)).decode()),
            ("event_type", _INFLIGHT_NAMES.get(event.type, "fax_completed")),
            ("direction", event.direction.value),
            ("is_test", _flag(event.is_test)),
        ]
        if event.phase is Phase.POSTFLIGHT:
            fields.append(("success", _flag(_STATUS[event.type] == "success")))
        else:
            fields += [(name, str(value)) for name in _INFLIGHT_FIELDS if (value := event.fields.get(name)) is not None]
        return fields


def fax_object(event: Event) -> dict[str, Any]:
    """Return Phaxio's fax object for any provider's event, in the key order of the real service."""
    failure = event.failure
    completed_at = event.occurred_at if event.phase is Phase.POSTFLIGHT else None
    status = _STATUS.get(event.type, "inprogress")
    fax: dict[str, Any] = {
        "id": _id(event.fax_id),
        "direction": event.direction.value,
        "num_pages": event.pages,
        "status": status,
        "is_test": event.is_test,
        "created_at": None,
        "caller_id": None,
        "from_number": event.from_number,
        "completed_at": completed_at,
        "caller_name": None,
        "cost": None,
        "tags": {},
        "recipients": [],
        "to_number": event.to_number,
        "error_id": failure and _id(failure.code),
        "error_type": failure and failure.type,
        "error_message": failure and failure.message,
        "barcodes": [],
    }
    own = event.fields.get("fax") if event.provider is Provider.PHAXIO else None
    if isinstance(own, dict):
        fax |= own
    elif event.direction is Direction.SENT and event.to_number is not None:
        fax["recipients"] = [_recipient(event, status, fax)]
    return fax


def _recipient(event: Event, status: str, fax: dict[str, Any]) -> dict[str, Any]:
    return {
        "phone_number": event.to_number,
        "status": status,
        "retry_count": None,
        "completed_at": fax["completed_at"],
        "bitrate": None,
        "resolution": None,
        "error_type": fax["error_type"],
        "error_id": fax["error_id"],
        "error_message": fax["error_message"],
    }


def _multipart(
    boundary: str, fields: list[tuple[str, str]], files: list[tuple[str, bytes]], filename: str, content_type: str
) -> bytes:
    # By hand: the form is ours down to the last name, and a form library would cost more than everything else here.
    parts: list[bytes] = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    for name, content in files:
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{_quotable(filename)}"\r\n'
            f"Content-Type: {content_type}\r\n\r\n".encode()
        )
        parts += (content, b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts)


def _quotable(filename: str) -> str:
    """Return *filename* without anything that could end its quotes or its line."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in filename)


def _content_type(event: Event) -> str:
    stored = event.media.content_type if event.media else None
    return stored if stored and stored.isascii() and stored.isprintable() else "application/octet-stream"


def _extension(event: Event) -> str:
    return {"application/pdf": "pdf", "image/tiff": "tiff"}.get(_content_type(event), "bin")


def _id(text: str | None) -> int | str | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else text  # noqa: PLR2004


def _flag(value: bool) -> str:
    return "true" if value else "false"
