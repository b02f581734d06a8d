"""A verified body as plain names and values: JSON or a form, told apart by its content.

For providers whose signatures cover the raw body, or nothing of it: the Content-Type may be wrong or missing, and it is
too late to refuse. Phaxio, whose signature covers a form's fields, reads its bodies in `phaxio.shapes`.
"""

from collections.abc import Collection
from typing import Any

from shared.errors import Refused, Unreadable
from shared.forms import JSON, MULTIPART, FilePart, Form, media_type, read_form, sniff_type
from shared.providers.common import clean_text, read_json_object


def read_body(
    content_type: str | None, body: bytes, *, once: Collection[str]
) -> tuple[dict[str, Any], tuple[FilePart, ...]]:
    """Return the fields of *body*, every text in them storable, and the file parts of a multipart form.

    What begins like JSON is JSON under any Content-Type; the boundary of a multipart form is taken from its header or
    its first line; all else is a urlencoded form.

    Args:
        content_type: As sent; None if it was not.
        body: As it came.
        once: Names that decide what happened. A form that gives one of them two values is unreadable: there is no right
            choice. The values of other repeated names come as a list.

    Raises:
        Unreadable: It is neither a JSON object nor a form, or says two things at once.
    """
    sniffed = sniff_type(body)
    if sniffed == JSON:
        return read_json_object(body), ()
    try:
        form = read_form(content_type if media_type(content_type) == MULTIPART else sniffed, body)
    except Refused as error:
        raise Unreadable(str(error)) from error
    return _fields(form, once), form.files


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
