"""Bodies of sample callbacks: what each provider writes about a fax, in its own words and shapes.

Modelled on the providers' documentation: Phaxio's v2.1 form, Telnyx's envelope, Sinch's form, the form of our own
dialplan.
"""

import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlencode

import msgspec

from dispatcher.formats.forms import FileToSend, write_form
from dispatcher.ops.simulator.documents import sample_pdf

SECOND_RECIPIENT: Final = "+15550100199"
"""The recipient that the partial samples do not reach. 555-01xx is reserved for fiction."""

_URLENCODED: Final = "application/x-www-form-urlencoded"
_BUSY: Final = {"error_type": "lineError", "error_id": 17, "error_message": "Busy"}
_NO_ERROR: Final = dict.fromkeys(_BUSY)

_encode = msgspec.json.Encoder().encode

MEDIA_URL: Final = "https://www.example.com/received.pdf"
"""There is no document there: an event goes out with this URL alone."""


class SampleFax(msgspec.Struct, frozen=True, kw_only=True):
    """The fax that a sample callback is about.

    Attributes:
        from_number, to_number: E.164; ours is the recipient of a received fax, and the sender of a sent one.
        pages: From 1; the partial samples need 2.
        occurred_at: Aware UTC. Phaxio's events are told apart by it.
        client_state: Telnyx returns it.
        tiff_path: What Asterisk names; empty: no file.
        media_url: Where Telnyx says that the document of a received fax is.
    """

    fax_id: str
    from_number: str
    to_number: str
    pages: int
    occurred_at: datetime
    client_state: str | None = None
    tiff_path: str = ""
    media_url: str = MEDIA_URL

    @property
    def pdf(self) -> bytes:
        """The document of a received fax."""
        return sample_pdf(f"Sample fax {self.fax_id}", self.pages)


class SampleDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider would write, before it becomes bytes.

    Attributes:
        fields: Of `json` the object; of the forms the fields by name: text, or what is written there as JSON.
        document: Of a `form`: the content of its file `fax.pdf`.
    """

    shape: Literal["json", "form", "urlencoded"]
    fields: dict[str, Any]
    document: bytes | None = None


class SampleBody(msgspec.Struct, frozen=True, kw_only=True):
    """A body, and the fields and files (name and content) that a signature over a form needs."""

    content_type: str
    body: bytes
    fields: Sequence[tuple[str, str]] = ()
    files: Sequence[tuple[str, bytes]] = ()


def encode_draft(draft: SampleDraft) -> SampleBody:
    """Return *draft* as bytes."""
    if draft.shape == "json":
        return SampleBody(content_type="application/json", body=_encode(draft.fields))
    pairs = [
        (name, value if isinstance(value, str) else _encode(value).decode()) for name, value in draft.fields.items()
    ]
    if draft.shape == "urlencoded":
        return SampleBody(content_type=_URLENCODED, body=urlencode(pairs).encode(), fields=pairs)
    file = None
    if draft.document is not None:
        file = FileToSend(name="file", filename="fax.pdf", content_type="application/pdf", content=draft.document)
    content_type, body = write_form(pairs, file, secrets.token_hex(16))
    files = [(file.name, file.content)] if file else []
    return SampleBody(content_type=content_type, body=body, fields=pairs, files=files)


# ---- Phaxio ----------------------------------------------------------------------------------------------------------


def phaxio(fax: SampleFax, *, direction: str, status: str, event_type: str = "", **extra: str) -> SampleDraft:
    """Return a v2.1 form; *extra* are its fields beside `fax` and `event_type`."""
    fields: dict[str, Any] = {"fax": _phaxio_fax(fax, direction, status)}
    fields |= {"event_type": event_type} if event_type else {}
    fields |= extra
    if event_type in ("transmitting_page", "retry_scheduled"):
        fields["recipient_phone_number"] = fax.to_number
    document = fax.pdf if (direction, status) == ("received", "success") else None
    return SampleDraft(shape="form", fields=fields, document=document)


def _phaxio_fax(fax: SampleFax, direction: str, status: str) -> dict[str, Any]:
    is_sent = direction == "sent"
    ended = status in ("success", "failure", "partialsuccess")
    completed_at = _text(fax.occurred_at) if ended else None
    error = _BUSY if status in ("failure", "partialsuccess") else _NO_ERROR
    recipients = []
    if is_sent:
        first = "success" if status == "partialsuccess" else status
        recipients.append(_phaxio_recipient(fax.to_number, first, completed_at))
    if is_sent and status == "partialsuccess":
        recipients.append(_phaxio_recipient(SECOND_RECIPIENT, "failure", completed_at))
    return {
        "id": int(fax.fax_id) if fax.fax_id.isdecimal() else fax.fax_id,
        "direction": direction,
        "num_pages": fax.pages,
        "status": status,
        "is_test": True,
        "created_at": _text(fax.occurred_at - timedelta(minutes=1)),
        "caller_id": fax.from_number if is_sent else None,
        "from_number": None if is_sent else fax.from_number,
        "completed_at": completed_at,
        "caller_name": None if is_sent else "Zoë Søn",
        "cost": 7 * fax.pages if ended else 0,
        "tags": {"made_by": "faxhook simulate"},
        "recipients": recipients,
        "to_number": None if is_sent else fax.to_number,
        **error,
        "barcodes": [],
    }


def _phaxio_recipient(number: str, status: str, completed_at: str | None) -> dict[str, Any]:
    return {
        "phone_number": number,
        "status": status,
        "retry_count": 0,
        "completed_at": completed_at,
        "bitrate": 14400 if status == "success" else None,
        "resolution": 8040 if status == "success" else None,
        **(_BUSY if status == "failure" else _NO_ERROR),
    }


# ---- Telnyx ----------------------------------------------------------------------------------------------------------


def telnyx(
    fax: SampleFax, *, event_type: str, direction: str, status: str, has_media: bool = False, **extra: Any
) -> SampleDraft:
    """Return an event in its envelope; *extra* is added to its payload."""
    payload: dict[str, Any] = {
        "connection_id": "1232154810234000001",
        "direction": direction,
        "fax_id": fax.fax_id,
        "from": fax.from_number,
        "to": fax.to_number,
        "user_id": "19a75cea-02c6-4b9a-84fa-c9bc8341feb8",
        "status": status,
    }
    if direction == "outbound":
        payload["original_media_url"] = "https://www.example.com/fax.pdf"
        payload |= {} if fax.client_state is None else {"client_state": fax.client_state}
    else:
        payload["caller_id"] = fax.from_number
    if status in ("delivered", "received", "media.processing"):
        payload["page_count"] = fax.pages
    payload |= {"media_url": fax.media_url} if has_media else {}
    payload |= extra
    data = {
        "record_type": "event",
        "event_type": event_type,
        # The same sample again must be a repetition of the same event: its id is derived from its content.
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"faxhook:{fax.fax_id}:{event_type}:{direction}:{extra}")),
        "occurred_at": fax.occurred_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "payload": payload,
    }
    meta = {"attempt": 1, "delivered_to": "https://www.example.com/telnyx-webhook"}
    return SampleDraft(shape="json", fields={"data": data, "meta": meta})


# ---- Sinch -----------------------------------------------------------------------------------------------------------


def sinch(fax: SampleFax, *, event: str, direction: str, status: str, pages_sent: int | None = None) -> SampleDraft:
    """Return the form that Sinch sends by default."""
    content: dict[str, Any] = {
        "id": fax.fax_id,
        "direction": direction,
        "from": fax.from_number,
        "to": fax.to_number,
        "numberOfPages": fax.pages,
        "status": status,
        "createTime": _text(fax.occurred_at - timedelta(minutes=1)),
        "completedTime": _text(fax.occurred_at),
        "imageConversionMethod": "HALFTONE",
        "projectId": "sample-project",
        "serviceId": "sample-service",
        "labels": {"made_by": "faxhook simulate"},
    }
    if pages_sent is not None:
        content["pagesSentSuccessfully"] = pages_sent
    if status == "FAILURE":
        content |= {"errorType": "CALL_ERROR", "errorCode": 17, "errorMessage": "Busy"}
    fields = {"event": event, "eventTime": _text(fax.occurred_at), "fax": content}
    document = fax.pdf if (direction, status) == ("INBOUND", "COMPLETED") else None
    return SampleDraft(shape="form", fields=fields, document=document)


# ---- Asterisk --------------------------------------------------------------------------------------------------------


def asterisk(fax: SampleFax, *, faxstatus: str, faxpages: int | None = None, **extra: str) -> SampleDraft:
    """Return the form that the hang-up handler of our dialplan posts, and *extra* variables."""
    fields = {
        "tiff_path": fax.tiff_path,
        "to_number": fax.to_number,
        "from_number": fax.from_number,
        "faxstatus": faxstatus,
        "faxpages": str(fax.pages if faxpages is None else faxpages),
        "uniqueid": fax.fax_id,
        **extra,
    }
    return SampleDraft(shape="urlencoded", fields=fields)


# ---- Small parts -----------------------------------------------------------------------------------------------------


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
