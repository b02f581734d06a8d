"""Writes multipart forms. By hand: a library takes longer than the rest of rendering. Pure.

Callers give each name once, without brackets; no name, file name or type holds a quote or a line end.
"""

import re
from collections.abc import Iterable

import msgspec

from shared.domain import Event

HARMLESS_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_EXTENSIONS = {"application/pdf": "pdf", "image/tiff": "tiff", "application/rtf": "rtf", "text/rtf": "rtf"}


class FileToSend(msgspec.Struct, frozen=True, kw_only=True):
    """The one file of a form."""

    name: str
    filename: str
    content_type: str
    content: bytes


def document_file(name: str, event: Event, content: bytes) -> FileToSend:
    """Return *event*'s document as the part *name*, called by the fax's id."""
    stored = event.media.content_type if event.media else None
    content_type = stored if stored and stored.isascii() and stored.isprintable() else "application/octet-stream"
    filename = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in event.fax_id)
    extension = _EXTENSIONS.get(content_type, "bin")
    return FileToSend(name=name, filename=f"{filename}.{extension}", content_type=content_type, content=content)


def write_form(fields: Iterable[tuple[str, str]], file: FileToSend | None, unique: str) -> tuple[str, bytes]:
    """Return Content-Type and body; the boundary is made from *unique*.

    It must be a text that no field and no file can hold on purpose, because it was not known when they were written.
    """
    boundary = f"faxhook{unique}"
    head = f"--{boundary}\r\nContent-Disposition: form-data; name="
    parts = [f'{head}"{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields]
    if file is not None:
        named = f'{head}"{file.name}"; filename="{file.filename}"\r\nContent-Type: {file.content_type}\r\n\r\n'
        parts += (named.encode(), file.content, b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(parts)
