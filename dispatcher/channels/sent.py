"""What is recorded of a request so that it can be shown as it was sent, byte for byte. Pure.

The request itself is not stored: it is some kilobytes, with a document megabytes. It is rendered again from the event,
the document and the attempt's own row. This adds what cannot be taken from those, because it may be another by then.
"""

import zlib
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from dispatcher.channels.base import Attempt
from dispatcher.formats.base import RENDERING

SIGNATURES: Final = frozenset(
    {"X-Phaxio-Signature", "telnyx-signature-ed25519", "webhook-signature", "X-Sinch-Signature"}
)
"""Headers that a format signs with; their values are shown masked."""

AUTHORIZATION: Final = "Authorization"

CHECKED_BYTES: Final = 64 * 1024
"""So much of the body is in the checksum: that covers all that is rendered; documents have their own digest."""

DocumentSent = Literal["none", "kept", "lost"]
"""`none`: the request carried no document. `kept`: the one that is in the media store. `lost`: one that was fetched and
could not be kept."""


class SentWebhook(msgspec.Struct, frozen=True, array_like=True, tag="webhook"):
    """A webhook.

    Attributes:
        rendering: The version of our code that wrote it, `RENDERING` then.
        format: The endpoint's format at that time.
        size_bytes: Of the body.
        checksum: CRC-32 of the body's first `CHECKED_BYTES`: what is rendered again is shown only if it is the same.
        is_signed: With a token.
        has_login: With user and password of the URL.
        own_headers: Names of the endpoint's own headers at that time, in order.
        trace: Headers that carried the attempt's trace.
    """

    rendering: int
    format: str
    size_bytes: int
    checksum: int
    document: DocumentSent = "none"
    is_signed: bool = False
    has_login: bool = False
    own_headers: tuple[str, ...] = ()
    trace: tuple[tuple[str, str], ...] = ()


class SentMail(msgspec.Struct, frozen=True, array_like=True, tag="mail"):
    """A mail; as `SentWebhook`. `has_attachment` is False where the relay says that it takes no mail of that size."""

    rendering: int
    mail_from: str
    mail_from_name: str
    size_bytes: int
    checksum: int
    document: DocumentSent = "none"
    has_attachment: bool = True


Sent = SentWebhook | SentMail

_encode: Final = msgspec.json.Encoder().encode
_decoder: Final[msgspec.json.Decoder[SentWebhook | SentMail]] = msgspec.json.Decoder(Sent)


def note_webhook(
    attempt: Attempt, headers: Mapping[str, str], body: bytes, trace: Mapping[str, str], own: Mapping[str, str]
) -> str:
    """Return what is recorded of a webhook with *headers*, those of its *trace* and the *own* ones among them."""
    return _encode(
        SentWebhook(
            rendering=RENDERING,
            format=attempt.format,
            size_bytes=len(body),
            checksum=checksum_of(body),
            document=_document_of(attempt),
            is_signed=not SIGNATURES.isdisjoint(headers),
            has_login=AUTHORIZATION in headers and AUTHORIZATION not in own,
            own_headers=tuple(own),
            trace=tuple(trace.items()),
        )
    ).decode()


def note_mail(attempt: Attempt, mail_from: str, mail_from_name: str, message: bytes, *, has_attachment: bool) -> str:
    """Return what is recorded of a mail."""
    return _encode(
        SentMail(
            rendering=RENDERING,
            mail_from=mail_from,
            mail_from_name=mail_from_name,
            size_bytes=len(message),
            checksum=checksum_of(message),
            document=_document_of(attempt),
            has_attachment=has_attachment,
        )
    ).decode()


def read_sent(text: str) -> Sent | None:
    """Return what was recorded; None if a newer version of ours recorded it in a way that this one does not know."""
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError:
        return None


def checksum_of(body: bytes) -> int:
    """Return the checksum of a body."""
    return zlib.crc32(memoryview(body)[:CHECKED_BYTES])


def _document_of(attempt: Attempt) -> DocumentSent:
    if attempt.document is None:
        return "none"
    media = attempt.event.media
    return "kept" if media is not None and media.key is not None else "lost"
