"""A verified body as plain names and values: JSON or a form, told apart by its content.

For providers whose signatures cover the raw body, or nothing of it: the Content-Type may be wrong or missing, and it is
too late to refuse. Phaxio, whose signature covers a form's fields, reads its bodies in `phaxio.shapes`.
"""

from collections.abc import Callable, Collection
from typing import Any, Final

from shared.codings import is_packed
from shared.errors import Malformed, Refused, Unreadable
from shared.forms import (
    JSON,
    MULTIPART,
    URLENCODED,
    Form,
    Part,
    decoded,
    has_filename,
    media_type,
    read_form,
    sniff_type,
)
from shared.providers.common import PACKED, clean_text, is_document, read_json_object

_DOCUMENT_TYPES: Final = ("application/pdf", "application/octet-stream", "image/")
"""Content types by which a part without a file name is a file nevertheless."""


def read_body(
    content_type: str | None, body: bytes, *, once: Collection[str], fields: Collection[str] = (), file: str = ""
) -> tuple[dict[str, Any], tuple[Part, ...]]:
    """Return the fields of *body*, every text in them storable, and the file parts of a multipart form.

    What begins like JSON is JSON under any Content-Type; the boundary of a multipart form is taken from its header or,
    where that is not the body's, from its first line; all else is a urlencoded form. Of a multipart form's parts a
    Content-Transfer-Encoding is undone.

    Args:
        content_type: As sent; None if it was not.
        body: As it came.
        once: Names that decide what happened. A form that gives one of them two values is unreadable: there is no right
            choice. The values of other repeated names come as a list.
        fields: Names of parts that are no files, with a file name or without; those of *once* are not, either.
        file: The name under which the provider documents a file: it is one, with a file name or without. Other parts
            are files by a file name, by the content type of a document, or by how they begin.

    Raises:
        Unreadable: It is neither a JSON object nor a form, or says two things at once.
    """

    def is_file(part: Part) -> bool:
        if part.name == file or part.name in once or part.name in fields:
            return part.name == file
        is_named = part.filename is not None or part.has_long_filename
        return is_named or part.content_type.startswith(_DOCUMENT_TYPES) or is_document(part.content)

    sniffed = sniff_type(body)
    if sniffed == JSON:
        return read_json_object(body), ()
    said = content_type if media_type(content_type) == MULTIPART else sniffed
    try:
        form = read_form_as(said, sniffed, body, is_file=is_file, decode=decoded)
    except Refused as error:
        raise Unreadable(str(error)) from error
    return _fields(form, once), form.files


def read_form_as(
    said: str | None,
    sniffed: str,
    body: bytes,
    *,
    is_file: Callable[[Part], bool] = has_filename,
    decode: Callable[[Part], Part] | None = None,
) -> Form:
    """Read a form as its Content-Type *said* or, where that does not fit, as *sniffed* from its first line.

    Raises:
        Malformed, UnsupportedMediaType: Neither reads it.
    """
    if is_packed(body):
        raise Malformed(PACKED)
    if media_type(said) == URLENCODED:
        body = body.strip()  # a line end before or behind it is no part of a name or value
    try:
        return read_form(said, body, is_file=is_file, decode=decode)
    except Malformed:
        if said == sniffed or media_type(sniffed) != MULTIPART:
            raise
    return read_form(sniffed, body, is_file=is_file, decode=decode)


def _fields(form: Form, once: Collection[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for raw_name, raw_value in form.fields:
        name, value = clean_text(raw_name), clean_text(raw_value)
        known = fields.setdefault(name, value)
        if known is value or known == value:
            continue
        if name in once:
            raise Unreadable(f"{name} is given twice, with different values")
        fields[name] = [*known, value] if isinstance(known, list) else [known, value]
    return fields
