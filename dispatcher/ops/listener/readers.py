"""Reads and verifies webhooks as an application does: one function for each family of formats. Pure.

Written from the providers' documentation, not from `dispatcher.formats`: what `faxhook listen` calls verified, a
receiver written for that provider verifies too. To add a format: a function that summarizes a webhook and sets
`refused` unless it is signed; and a line in `READERS`.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from dispatcher.channels.phrases import in_short
from shared.domain import EventType
from shared.errors import CredentialsInvalid, Refused, SignatureInvalid, SignatureMissing
from shared.forms import Form, read_form
from shared.signatures import (
    phaxio_signed_bytes,
    telnyx_public_key,
    verify_basic,
    verify_body,
    verify_phaxio,
    verify_standard,
    verify_telnyx,
)


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook as received.

    Attributes:
        url: It was posted to this one, without user and password.
        user_info: `user:password` of the endpoint's URL, percent-encoded as there; empty if it has none.
        headers: Case-insensitive.
        now: Unix seconds.
    """

    url: str
    user_info: str = ""
    headers: Mapping[str, str]
    body: bytes
    now: float


class WebhookSummary(msgspec.Struct, kw_only=True):
    """What a webhook says; None where it says nothing.

    Attributes:
        what: What happened to the fax, in plain words.
        file_bytes: Size of the document in it.
        refused: Why it is not verified; None if it is.
    """

    what: str
    fax_id: str | None = None
    pages: int | None = None
    from_number: str | None = None
    to_number: str | None = None
    file_bytes: int | None = None
    refused: str | None = None


Reader = Callable[[Posted, Sequence[str]], WebhookSummary]

_SENT: Final = "sent"


def read_phaxio(posted: Posted, tokens: Sequence[str]) -> WebhookSummary:
    """Phaxio's form, any version: HMAC-SHA1 over the URL, the sorted fields, the sorted files."""
    form = read_form(posted.headers.get("Content-Type"), posted.body)
    summary = _phaxio_summary(form)
    files = [(part.name, part.content) for part in form.files]
    signed = phaxio_signed_bytes(posted.url, form.fields, files)
    return _verified(summary, lambda: _phaxio_verify(posted, tokens, signed))


def _phaxio_verify(posted: Posted, tokens: Sequence[str], signed: bytes) -> None:
    given = posted.headers.get("X-Phaxio-Signature")
    if not given:
        raise SignatureMissing("no X-Phaxio-Signature")
    if not verify_phaxio(tokens, given, signed):
        raise SignatureInvalid(f"the signature does not match the token, the URL {posted.url} and the form")


def _phaxio_summary(form: Form) -> WebhookSummary:
    fields = dict(form.fields)
    fax = _object(_json(fields.get("fax", "")))
    recipient = _first(fax.get("recipients"))
    direction = str(fax.get("direction") or fields.get("direction") or _SENT)
    event_type = fields.get("event_type", "fax_completed")
    word = str(fax.get("status") or {"true": "success", "false": "failure"}.get(fields.get("success", ""), ""))
    if event_type == "transmitting_page":
        what = f"page {fields.get('page', '?')} is being sent"
    elif event_type == "retry_scheduled":
        what = in_short(EventType.RETRY_SCHEDULED)
    elif event_type == "fax_completed":
        why = _text(fax.get("error_message")) or _text(fax.get("error_code"))
        what = _ending(direction, _PHAXIO_ENDINGS.get(word, word), why)
    else:
        what = event_type
    return WebhookSummary(
        what=what,
        fax_id=_text(fax.get("id")),
        pages=_count(fax.get("num_pages")),
        from_number=_text(fax.get("from_number")) or _text(fax.get("caller_id")),
        to_number=_text(fax.get("to_number")) or _text(recipient.get("phone_number")) or _text(recipient.get("number")),
        file_bytes=sum(len(part.content) for part in form.files) if form.files else None,
    )


def read_telnyx(posted: Posted, tokens: Sequence[str]) -> WebhookSummary:
    """Telnyx v2: Ed25519 over timestamp and body. The tokens are seeds, as at the endpoint."""
    data = _object(_object(_json(posted.body)).get("data"))
    payload = _object(data.get("payload"))
    kind = str(data.get("event_type") or "")
    direction = "received" if payload.get("direction") == "inbound" else _SENT
    ending = {"fax.delivered": "success", "fax.received": "success", "fax.failed": "failure"}.get(kind)
    summary = WebhookSummary(
        what=_ending(direction, ending, _text(payload.get("failure_reason"))) if ending else _what(kind),
        fax_id=_text(payload.get("fax_id")),
        pages=_count(payload.get("page_count")),
        from_number=_text(payload.get("from")),
        to_number=_text(payload.get("to")),
    )
    signature, timestamp = (posted.headers.get(f"telnyx-{name}") for name in ("signature-ed25519", "timestamp"))
    return _verified(
        summary, lambda: verify_telnyx(_public_keys(tokens), signature, timestamp, posted.body, posted.now)
    )


def read_standard(posted: Posted, tokens: Sequence[str]) -> WebhookSummary:
    """Standard Webhooks v1: HMAC-SHA256 over id, timestamp and body; the data is our event."""
    message = _object(_json(posted.body))
    data = _object(message.get("data"))
    why = _text(_object(data.get("failure")).get("message"))
    summary = WebhookSummary(
        what=_what(str(message.get("type") or "")) + (f" ({why})" if why else ""),
        fax_id=_text(data.get("fax_id")),
        pages=_count(data.get("pages")),
        from_number=_text(data.get("from_number")),
        to_number=_text(data.get("to_number")),
    )
    identity, timestamp, signature = (
        posted.headers.get(f"webhook-{name}") for name in ("id", "timestamp", "signature")
    )
    return _verified(summary, lambda: verify_standard(tokens, identity, timestamp, signature, posted.body, posted.now))


def read_sinch(posted: Posted, tokens: Sequence[str]) -> WebhookSummary:
    """Sinch v3: Basic credentials of the URL, and `X-Sinch-Signature` where there is a token."""
    message = _object(_json(posted.body))
    fax = _object(message.get("fax"))
    direction = "received" if message.get("event") == "INCOMING_FAX" or fax.get("direction") == "INBOUND" else _SENT
    ending = {"COMPLETED": "success", "FAILURE": "failure"}.get(str(fax.get("status")))
    file = message.get("file")
    summary = WebhookSummary(
        what=_ending(direction, ending or _text(fax.get("status")), _text(fax.get("errorMessage"))),
        fax_id=_text(fax.get("id")),
        pages=_count(fax.get("numberOfPages")),
        from_number=_text(fax.get("from")),
        to_number=_text(fax.get("to")),
        file_bytes=len(file) * 3 // 4 if isinstance(file, str) else None,
    )
    return _verified(summary, lambda: _sinch_verify(posted, tokens))


def _sinch_verify(posted: Posted, tokens: Sequence[str]) -> None:
    user, _, password = posted.user_info.partition(":")
    pair = (unquote(user), unquote(password))
    if posted.user_info and not verify_basic([pair], posted.headers.get("Authorization")):
        raise CredentialsInvalid("user and password are not those of the URL")
    if tokens and not verify_body(tokens, posted.headers.get("X-Sinch-Signature"), posted.body):
        raise SignatureInvalid("X-Sinch-Signature does not match the token and the body")
    if not tokens and not posted.user_info:
        raise SignatureMissing("neither a token nor a user in the URL to verify by")


READERS: Final[dict[str, Reader]] = {
    "phaxio-v2.1": read_phaxio,
    "phaxio-v2": read_phaxio,
    "phaxio-v1": read_phaxio,
    "telnyx-v2": read_telnyx,
    "standard-v1": read_standard,
    "sinch-v3": read_sinch,
}


def user_info_of(url: str) -> str:
    """Return `user:password` of *url* as it stands there; empty if it has none."""
    return urlsplit(url).netloc.rpartition("@")[0]


# ---- Words, and values of any type ----------------------------------------------------------------------------------

_PHAXIO_ENDINGS: Final = {"partialsuccess": "partial"}
_ENDINGS: Final = {
    (_SENT, "success"): EventType.DELIVERED,
    (_SENT, "partial"): EventType.PARTIALLY_DELIVERED,
    (_SENT, "failure"): EventType.FAILED,
    ("received", "success"): EventType.RECEIVED,
    ("received", "failure"): EventType.RECEIVE_FAILED,
}
_TELNYX_TYPES: Final = {
    "fax.media.processed": EventType.MEDIA_PROCESSED,
    "fax.media.processing.started": "document being prepared",
    "fax.sending.started": EventType.SENDING,
    "fax.receiving.started": EventType.RECEIVING,
}


def _ending(direction: str, ending: str | None, why: str | None) -> str:
    what = _what(_ENDINGS.get((direction, ending or ""), ending or ""))
    return f"{what} ({why})" if why and ending != "success" else what


def _what(event_type: str) -> str:
    return in_short(_TELNYX_TYPES.get(event_type, event_type)) or "an event without a type"


def _verified(summary: WebhookSummary, verify: Callable[[], None]) -> WebhookSummary:
    try:
        verify()
    except Refused as refusal:
        summary.refused = str(refusal)
    except ValueError as error:  # a token that the format cannot use
        summary.refused = f"the token is no good: {error}"
    return summary


def _public_keys(seeds: Sequence[str]) -> list[str]:
    try:
        return [telnyx_public_key(base64.b64decode(seed, validate=True)) for seed in seeds]
    except binascii.Error:
        raise ValueError("telnyx-v2 wants the base64 of a 32-byte seed") from None


def _json(source: str | bytes) -> Any:
    try:
        return msgspec.json.decode(source)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first(value: Any) -> dict[str, Any]:
    return _object(value[0]) if isinstance(value, list) and value else {}


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str | int) and value != "" else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
