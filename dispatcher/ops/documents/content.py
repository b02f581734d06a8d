"""What a document is by its first bytes, and the headers that it is served with. Pure."""

import re
from collections.abc import Mapping
from typing import Final

UNKNOWN_TYPE: Final = "application/octet-stream"

_MARKS: Final = (
    (b"%PDF-", "application/pdf", "pdf"),
    (b"II*\0", "image/tiff", "tiff"),
    (b"MM\0*", "image/tiff", "tiff"),
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
    (b"{\\rtf", "application/rtf", "rtf"),
)

TYPES: Final = (*dict.fromkeys(kind for _, kind, _ in _MARKS), UNKNOWN_TYPE)
"""All that a document is ever served as, whatever its provider called it."""

_KEY: Final = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}", re.ASCII)

SAFE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""A document comes from outside: it gets no origin, no script, no frame, no guess at its type, no place in a cache."""


def is_key(text: str) -> bool:
    """Return whether *text* can be the key of a document.

    >>> is_key("ab/" + 64 * "c"), is_key("ab/../" + 61 * "c"), is_key("")
    (True, False, False)
    """
    return _KEY.fullmatch(text) is not None


def type_of(content: bytes) -> str:
    """Return a document's type by its first bytes; HTML, SVG and all else that a browser could run is unknown.

    >>> type_of(b"%PDF-1.4"), type_of(b"<svg onload='alert(1)'/>"), type_of(b"")
    ('application/pdf', 'application/octet-stream', 'application/octet-stream')
    """
    return next((kind for mark, kind, _ in _MARKS if content.startswith(mark)), UNKNOWN_TYPE)


def name_of(key: str, content: bytes) -> str:
    r"""Return the name of the file that a document is saved as.

    >>> name_of("ab/" + 64 * "c", b"II*\0")
    'document-cccccccccccc.tiff'
    """
    ending = next((ending for mark, _, ending in _MARKS if content.startswith(mark)), "bin")
    return f"document-{key.rpartition('/')[2][:12]}.{ending}"


def headers_of(key: str, content: bytes) -> dict[str, str]:
    """Return the headers of a document, which a browser saves and never shows itself."""
    return {**SAFE_HEADERS, "Content-Disposition": f'attachment; filename="{name_of(key, content)}"'}
