"""Phaxio's webhooks, versions 2.1, 2 and 1: a multipart form, signed with HMAC-SHA1 over URL, fields and file.

| ours | phaxio-v2.1 | phaxio-v2 | phaxio-v1 |
|---|---|---|---|
| the fax | `fax`, JSON: see `phaxio_fax` | the same | `fax`, JSON in the older shape |
| any ending | `event_type=fax_completed` | no event type | no event type |
| type: page_sent, retry_scheduled | `event_type=transmitting_page`, `retry_scheduled` | no word | no word |
| other inflight types | no word | no word | no word |
| direction | `direction` | the same | the same |
| is_test | `is_test` | the same | the same |
| type: delivered, received; other endings | `success=true`; `false` | the same | the same |
| failure.message, else its code | in `fax` | `message`, empty without one | the same |
| page, retry: only Phaxio tells them | `page`, `retry_count`, `recipient_phone_number` | no field | no field |
| PhaxCode metadata of a received fax, from Phaxio | `fax.barcodes[].metadata` | `metadata` too | `metadata` |
| the document of a received fax | the file part `file` | `file` | `filename` |
| client_state, partial, media by URL | no field | no field | no field |

`direction`, `is_test` and `success` go with version 2.1 although it does not document them, because a published
receiver fails without them. Of version 2 Phaxio's page and Phaxio's clients tell different shapes; this one is what the
clients read, and what receivers that sign over known names can verify. What has no word is `skipped: no_equivalent`.
An event that came from Phaxio keeps the fields beside `fax` too, where this version may have them.
"""

from abc import ABC, abstractmethod
from typing import Any, Final

import msgspec

from dispatcher.formats.base import Facts, Webhook, boundary_of
from dispatcher.formats.forms import HARMLESS_NAME, document_file, write_form
from dispatcher.formats.phaxio_fax import STATUS, error_of, fax_object, fax_object_v1
from shared.domain import Direction, Event, EventType, Phase, Provider
from shared.providers.common import text_of
from shared.signatures import sign_phaxio

_INFLIGHT_NAMES: Final = {
    EventType.PAGE_SENT: "transmitting_page",
    EventType.RETRY_SCHEDULED: "retry_scheduled",
}
_NOT_COPIED: Final = frozenset({"fax", "file", "filename", "event_type", "direction", "is_test", "success"})
_INFLIGHT_FIELDS: Final = ("page", "recipient_phone_number", "retry_count")

_encode = msgspec.json.Encoder().encode


class _Phaxio(ABC):
    """What the versions have in common."""

    file_part_name = "file"

    def has_word_for(self, event: Event) -> bool:
        """Endings only."""
        return event.phase is Phase.POSTFLIGHT

    def wants_document(self, event: Event) -> bool:
        """Received faxes carry their file."""
        return event.direction is Direction.RECEIVED and event.phase is Phase.POSTFLIGHT

    def render(self, event: Event, document: bytes | None, facts: Facts) -> Webhook:
        """Return the form, signed with the first token."""
        fields = self._fields(event)
        file = None if document is None else document_file(self.file_part_name, event, document)
        content_type, body = write_form(fields, file, boundary_of(facts.delivery_id, facts.attempt))
        headers = {"Content-Type": content_type}
        if facts.tokens and facts.tokens[0]:
            files = [] if file is None else [(file.name, file.content)]
            headers["X-Phaxio-Signature"] = sign_phaxio(facts.tokens[0], facts.url, fields, files)
        return Webhook(body=body, headers=headers)

    @abstractmethod
    def _fields(self, event: Event) -> list[tuple[str, str]]:
        """Return the form but for the file."""


class PhaxioV21(_Phaxio):
    """The format `phaxio-v2.1`."""

    def has_word_for(self, event: Event) -> bool:
        """Endings, pages and retries."""
        return event.phase is Phase.POSTFLIGHT or event.type in _INFLIGHT_NAMES

    def _fields(self, event: Event) -> list[tuple[str, str]]:
        fields = {
            "fax": _encode(fax_object(event)).decode(),
            "event_type": _INFLIGHT_NAMES.get(event.type, "fax_completed"),
            "direction": event.direction.value,
            "is_test": _flag(event.is_test),
        }
        if event.phase is Phase.POSTFLIGHT:
            fields["success"] = _flag(STATUS[event.type] == "success")
        else:
            told = {"recipient_phone_number": event.to_number} | event.fields
            fields |= {name: text for name in _INFLIGHT_FIELDS if (text := _field_text(told.get(name))) is not None}
        return list((fields | _own_fields(event)).items())


class PhaxioV2(_Phaxio):
    """The format `phaxio-v2`."""

    def _fields(self, event: Event) -> list[tuple[str, str]]:
        own = _own_fields(event)
        fields = {
            "fax": self._fax(event),
            "success": _flag(STATUS[event.type] == "success"),
            "is_test": _flag(event.is_test),
            "direction": event.direction.value,
            "message": text_of(error_of(event.failure)["error_message"]),
        }
        if event.direction is Direction.RECEIVED and (metadata := _metadata(event)):
            fields["metadata"] = metadata
        fields |= {name: value for name, value in own.items() if name not in _INFLIGHT_FIELDS}
        return list(fields.items())

    def _fax(self, event: Event) -> str:
        return _encode(fax_object(event)).decode()


class PhaxioV1(PhaxioV2):
    """The format `phaxio-v1`."""

    file_part_name = "filename"

    def _fax(self, event: Event) -> str:
        return _encode(fax_object_v1(event)).decode()


def _own_fields(event: Event) -> dict[str, str]:
    """Return what Phaxio itself sent beside the fax, if it was Phaxio. Names that receivers would nest stay behind."""
    if event.provider is not Provider.PHAXIO:
        return {}
    return {
        name: text
        for name, value in event.fields.items()
        if name not in _NOT_COPIED and HARMLESS_NAME.fullmatch(name) and (text := _field_text(value)) is not None
    }


def _field_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return text_of(value) or None  # numbers and booleans of a JSON body; no objects, and no values of a repeated name


def _metadata(event: Event) -> str | None:
    """Return the metadata of the first bar code that has some: version 2.1 moved it there."""
    fax = event.fields.get("fax") if event.provider is Provider.PHAXIO else None
    barcodes = fax.get("barcodes") if isinstance(fax, dict) else None
    for barcode in barcodes if isinstance(barcodes, list) else ():
        if isinstance(barcode, dict) and isinstance(metadata := barcode.get("metadata"), str) and metadata:
            return metadata
    return None


def _flag(value: bool) -> str:
    return "true" if value else "false"
