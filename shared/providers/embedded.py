"""Documents within JSON: base64 under the name `file`, or whatever begins as a document does, at any depth.

Messages never carry file contents, so what is found is taken out.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from shared.callback import Document
from shared.errors import Unreadable
from shared.providers.common import document_type, is_document, text_of

TOO_SHORT_FOR_A_FAX: Final = 1024
"""Characters. An undecodable text up to this is a placeholder (`<base64 PDF>`, as documentation prints it) and stays
with the event's fields; a longer one is a damaged document, and quarantine keeps it whole."""

SHORTEST_CHARACTERS: Final = 64
"""Of a document that is found by how it begins alone."""

_MEDIA_TYPES: Final = {
    "DOCX": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "HTML": "text/html",
    "JPG": "image/jpeg",
    "PDF": "application/pdf",
    "PNG": "image/png",
    "TIF": "image/tiff",
    "TXT": "text/plain",
}
_OTHER_TYPE: Final = "application/octet-stream"
_BASE64_MARKS: Final = re.compile(r"\s*[\"']?(?:data:[^,]{0,100};base64,)?(?:JVBERi0|SUkqA|TU0AK)")
"""How a PDF and a TIFF begin in base64."""

_HOLDERS: Final = frozenset({"fax", "file", "files"})
_OCTET_MARKS: Final = ([0x25, 0x50], [0x49, 0x49], [0x4D, 0x4D])
_FROM_URL_SAFE: Final = str.maketrans("-_", "+/")


def take_embedded(
    holder: dict[str, Any] | list[Any], *, has_files: bool, sent_type: str = _OTHER_TYPE
) -> Iterator[Document]:
    """Take every document out of *holder*, at any depth: what begins as one does.

    *has_files*: a `file` in it, in its `fax` or in its `files` is one, however it begins.
    """
    for name, value in _suspects(holder):
        content = _content_of(value, is_file=has_files and name == "file")
        if content is None and isinstance(value, str):
            continue
        said = text_of(holder.get("fileType")).upper() if isinstance(holder, dict) else ""
        kind = _MEDIA_TYPES.get(said, sent_type)
        if content is None:
            inner = has_files and (isinstance(holder, list) or name in _HOLDERS)
            yield from take_embedded(value, has_files=inner, sent_type=kind)
            continue
        if name == "file":
            del holder[name]
        else:
            holder[name] = None
        yield Document(content=content, content_type=document_type(content, kind))


def _suspects(holder: dict[str, Any] | list[Any]) -> list[tuple[Any, Any]]:
    """Return the names, or positions, and values that may be or hold a document: no number and no short text."""
    members: Iterable[tuple[Any, Any]] = holder.items() if isinstance(holder, dict) else enumerate(holder)
    return [
        (name, value)
        for name, value in members
        if (kind := type(value)) is dict
        or kind is list
        or (kind is str and (len(value) >= SHORTEST_CHARACTERS or name == "file"))
    ]


def _content_of(value: Any, *, is_file: bool) -> bytes | None:
    """Return the content of a document; None for what is not a document.

    Raises:
        Unreadable: It is damaged.
    """
    if isinstance(value, str):
        if not is_file and not _BASE64_MARKS.match(value):
            return None
        content = from_base64(value)
        is_cut = is_file and len(value) > TOO_SHORT_FOR_A_FAX
        if content is None and (is_cut or is_document(value[:8].encode("utf-8", "replace"))):
            raise Unreadable("the base64 of the document cannot be decoded")
        return content
    # Node writes a buffer as an object with a list of its octets.
    octets = value.get("data") if isinstance(value, dict) else value
    if isinstance(octets, list) and octets[:2] in _OCTET_MARKS and all(_is_octet(each) for each in octets):
        content = bytes(octets)
        return content if is_document(content) else None
    return None


def _is_octet(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < 256  # noqa: PLR2004 - an octet


def may_embed(body: bytes) -> bool:
    """Return False if no document is embedded in the JSON *body*: a glance at it, for the hot path."""
    return b"JVBERi0" in body or b"SUkqA" in body or b"TU0AK" in body


def from_base64(text: str) -> bytes | None:
    """Decode base64 as it should be; else with line ends, in its URL-safe alphabet, unpadded, or in a data URL."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    text = text.strip().strip("\"'")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    text = "".join(text.split()).translate(_FROM_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None
