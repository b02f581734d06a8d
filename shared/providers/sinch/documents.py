"""The document of a Sinch fax: a file part, or base64 in JSON under either of the names that Sinch's SDKs use."""

import base64
from collections.abc import Iterable, Iterator
from typing import Any, Final

from shared.callback import Document
from shared.errors import Unreadable
from shared.forms import Part
from shared.providers.common import document_type, is_document, read_json, text_of

TOO_SHORT_FOR_A_FAX: Final = 1024
"""Characters. An undecodable text up to this is a placeholder (`<base64 PDF>`, as documentation prints it) and stays
with the event's fields; a longer one is a damaged document, and quarantine keeps it whole."""

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
_FROM_URL_SAFE: Final = str.maketrans("-_", "+/")


def take_document(sent: dict[str, Any], parts: Iterable[Part]) -> Document | None:
    """Return the fax's document, and take its text out of *sent*: messages never carry file contents.

    Raises:
        Unreadable: It is damaged, or there are several different ones; an event carries one.
    """
    found = [document for document in (*_of_parts(parts), *_of_json(sent)) if document.content]
    if any(document.content != found[0].content for document in found[1:]):
        raise Unreadable(f"there are {len(found)} documents, and an event carries one")
    return found[0] if found else None


def _of_parts(parts: Iterable[Part]) -> Iterator[Document]:
    for part in parts:
        content = part.content
        if not is_document(content) and content.isascii() and is_document(text := _decoded(content.decode()) or b""):
            content = text  # base64, as in the JSON bodies
        yield Document(content=content, content_type=document_type(content, part.content_type))


def _of_json(sent: dict[str, Any]) -> Iterator[Document]:
    yield from _of_object(sent)
    items = sent.get("files")
    if isinstance(items, str) and items.lstrip().startswith("["):
        items = read_json(items)  # in a form, objects come as texts
    if isinstance(items, list):
        sent["files"] = rest = [dict(item) if isinstance(item, dict) else item for item in items]
        for item in rest:
            if isinstance(item, dict):
                yield from _of_object(item)


def _of_object(holder: dict[str, Any]) -> Iterator[Document]:
    text = holder.get("file")
    if not isinstance(text, str):
        return
    content = _decoded(text)
    if content is not None:
        del holder["file"]
        sent_type = _MEDIA_TYPES.get(text_of(holder.get("fileType")).upper(), _OTHER_TYPE)
        yield Document(content=content, content_type=document_type(content, sent_type))
    elif len(text) > TOO_SHORT_FOR_A_FAX or is_document(text[:8].encode("utf-8", "replace")):
        raise Unreadable("the base64 of the document cannot be decoded")


def _decoded(text: str) -> bytes | None:
    """Decode base64 as it should be; else with line ends, in its URL-safe alphabet, unpadded, or in a data URL."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    if text.startswith("data:"):
        text = text.partition(",")[2]
    text = "".join(text.split()).translate(_FROM_URL_SAFE).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None
