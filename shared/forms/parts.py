"""A form as it came: its fields and its files, and what bounds them. Pure."""

import base64
import binascii
import re
from typing import Final

import msgspec

from shared.errors import Malformed

# Twice as wide as Faxbot 2026's limits for such forms: a provider's callback has ten fields and one file. A larger
# form is not from a provider, and is refused before it costs more than its reading.
MAX_FIELDS: Final = 200
MAX_FILES: Final = 8
MAX_HEADER_BYTES: Final = 8 * 1024  # of one header line of a part
MAX_HEADERS: Final = 8  # of one part; forms have two or three

_DOCUMENT_MARKS: Final = (b"%PDF-", b"II*\0", b"MM\0*", b"{\\rtf")
_DATA_URL: Final = re.compile(rb"\s*data:[^,]{0,100};base64,", re.IGNORECASE)
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a multipart form.

    Attributes:
        name: Of the form's part, e.g. `file`.
        filename: As sent, unquoted; None without one. Phaxio does not sign it.
        content_type: Lower-case and without parameters; empty if the part has none or something else under that name.
        has_long_filename: It has a `filename*` (RFC 5987), which browsers do not write and some HTTP clients do.
        encoding: Its Content-Transfer-Encoding, lower-case; empty without one. `content` is as it came.
    """

    name: str
    filename: str | None = None
    content_type: str = ""
    content: bytes
    has_long_filename: bool = False
    encoding: str = ""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """A form as it came: wire order, and names that occur twice are there twice."""

    fields: tuple[tuple[str, str], ...]
    files: tuple[Part, ...] = ()


def has_filename(part: Part) -> bool:
    """Return True if the part has a `filename`, even an empty one: Phaxio signs files and fields differently by it."""
    return part.filename is not None


def decoded(part: Part) -> Part:
    """Undo a part's Content-Transfer-Encoding. A document that is not in base64, whatever its head says, stays.

    Raises:
        Malformed: Its base64 cannot be decoded.
    """
    if part.encoding == "base64":
        if part.content.startswith(_DOCUMENT_MARKS):
            return part
        encoded = part.content[found.end() :] if (found := _DATA_URL.match(part.content)) else part.content
        octets = b"".join(encoded.split()).translate(_FROM_URL_SAFE).rstrip(b"=")
        try:
            content = base64.b64decode(octets + b"=" * (-len(octets) % 4), validate=True)
        except ValueError:
            raise Malformed(f"the base64 of the part {part.name[:80]!a} cannot be decoded") from None
    elif part.encoding == "quoted-printable":
        content = binascii.a2b_qp(part.content)
    else:
        return part
    return msgspec.structs.replace(part, content=content, encoding="")
