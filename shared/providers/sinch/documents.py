"""The document of a Sinch fax: a file part, or base64 in JSON under either of the names that Sinch's SDKs use."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from shared.callback import Document
from shared.errors import Unreadable
from shared.forms import Part
from shared.providers.common import document_type, is_document, read_json
from shared.providers.embedded import from_base64, take_embedded

_NO_CONTENTS: Final = frozenset({b"", b"null", b"none", b"undefined", b"[]", b"{}", b'""'})
"""What is written into a form's part where JSON would have no file."""

LONGEST_NO_CONTENT: Final = 32
"""Bytes, blanks included."""


def take_document(sent: dict[str, Any], parts: Iterable[Part]) -> Document | None:
    """Return the fax's document, and take its text out of *sent*: messages never carry file contents.

    Raises:
        Unreadable: It is damaged, or there are several different ones; an event carries one.
    """
    files = sent.get("files")
    if isinstance(files, str) and files.lstrip().startswith(("[", "{")):
        sent["files"] = read_json(files)  # in a form, objects come as texts
    found = [document for document in (*_of_parts(parts), *take_embedded(sent, has_files=True)) if document.content]
    if any(document.content != found[0].content for document in found[1:]):
        raise Unreadable(f"there are {len(found)} documents, and an event carries one")
    return found[0] if found else None


def _of_parts(parts: Iterable[Part]) -> Iterator[Document]:
    for part in parts:
        content = part.content
        if len(content) < LONGEST_NO_CONTENT and content.strip().lower() in _NO_CONTENTS:
            continue
        if not is_document(content) and content.isascii() and is_document(text := from_base64(content.decode()) or b""):
            content = text  # base64, as in the JSON bodies
        yield Document(content=content, content_type=document_type(content, part.content_type))
