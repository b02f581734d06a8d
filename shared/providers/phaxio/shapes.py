"""The shapes in which Phaxio's callbacks come, read into one. What the words in them mean is not decided here.

Three shapes of a form, as Phaxio's pages and clients have them: a JSON object in `fax` (v1, v2.1), bracketed names
(`fax[id]`), the fax's fields at top level (v2.0 as its page has it); and JSON bodies of the first and the last
(Faxbot's documentation).
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from shared.errors import Refused, Unreadable
from shared.forms import JSON, MULTIPART, URLENCODED, Form, Part, decoded, media_type, sniff_type
from shared.providers.bodies import read_form_as
from shared.providers.common import (
    clean_text,
    first_of,
    is_document,
    read_id,
    read_inner,
    read_json,
    read_json_object,
    text_of,
)
from shared.providers.embedded import from_base64, may_embed, take_embedded

ID_NAMES: Final = ("id", "fax_id", "faxId")

FILE_NAMES: Final = ("file", "filename")
"""Of the part that is the fax's document: in v2.1 and in v1."""

CALLBACK_NAMES: Final = frozenset(
    {"success", "is_test", "direction", "message", "metadata", "event_type", "page", "recipient_phone_number"}
    | {"retry_count"}
)
"""Fields of the callback itself; in the flat shape everything else is the fax's."""

# Fields that decide what happened. One of them with two values is unreadable: there is no right choice.
_DECIDING: Final = CALLBACK_NAMES | {*ID_NAMES, "status", "completed_at"}
_UNDECODABLE: Final = re.compile("[\udc80-\udcff]")
_FAX_MARKS: Final = frozenset({*ID_NAMES, "status"})


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a callback says, whatever its shape; every text in it is storable.

    Attributes:
        fax: The fax object with the keys that were sent. In the flat shape the same mapping as `form`.
        form: Every field beside it; the values of a repeated name as a list.
        flat: The fax's fields are at top level.
    """

    fax: dict[str, Any]
    form: dict[str, Any]
    files: tuple[Part, ...] = ()
    flat: bool = False

    def pick(self, *names: str) -> Any:
        """Return the first of the named values that is there and not empty, the fax's before the form's; or None."""
        for name in names:
            value = self.fax.get(name)
            if value is not None and value != "":
                return value
        return None if self.flat else first_of(self.form, names)

    def as_fields(self) -> dict[str, Any]:
        """Return what was sent in one form: the fax under `fax`, the callback's own fields beside it."""
        if not self.flat:
            return {**self.form, "fax": self.fax}
        fields = {name: value for name, value in self.form.items() if name in CALLBACK_NAMES}
        fields["fax"] = {name: value for name, value in self.form.items() if name not in CALLBACK_NAMES}
        return fields


def read_form_report(form: Form) -> Report:
    """Read a form that was verified as such.

    Raises:
        Unreadable: The fax is not a JSON object, or the shapes or repeated names contradict each other.
    """
    fields: list[tuple[str, Any]] = []
    try:
        files = [decoded(part) for part in form.files]
    except Refused as error:  # too late to refuse: it is verified
        raise Unreadable(str(error)) from error
    # Phaxio signs a part without a file name as a field. It may be the document nevertheless, and messages never carry
    # file contents.
    for name, value in form.fields:
        content = _file_content(value) if name in FILE_NAMES else None
        if content is not None:
            files.append(Part(name=name, filename=None, content_type="", content=content))
        else:
            fields.append((clean_text(name), value))
    return _assemble(fields, tuple(files))


def _file_content(value: str) -> bytes | None:
    """Return the content of a part of a file's name; None if it is a text, such as a file's name."""
    content = value.encode("utf-8", "surrogateescape")
    if is_document(content):
        return content
    decoded = from_base64(value) if value.isascii() else None
    if decoded is not None and is_document(decoded):
        return decoded
    return content if "\0" in value or _UNDECODABLE.search(value) else None


def read_body_report(content_type: str | None, body: bytes) -> Report:
    """Read a body that was verified raw: by content, then by type (a JSON body under a form's type has been seen).

    Raises:
        Unreadable: Neither JSON nor a form, or as for `read_form_report`.
    """
    sniffed = sniff_type(body)
    if sniffed == JSON or (sniffed == URLENCODED and b"=" not in body and media_type(content_type) == JSON):
        content = read_json_object(body)
        if not may_embed(body):
            return _assemble(content.items(), ())
        found = take_embedded(content, has_files=False)
        files = [
            Part(name="file", filename=None, content_type=each.content_type, content=each.content) for each in found
        ]
        return _assemble(content.items(), tuple(files))
    said = content_type if media_type(content_type) in (MULTIPART, URLENCODED) else sniffed
    if media_type(sniffed) == MULTIPART and media_type(said) != MULTIPART:
        said = sniffed
    try:
        form = read_form_as(said, sniffed, body)
    except Refused as error:  # too late to refuse: it is verified
        raise Unreadable(str(error)) from error
    return read_form_report(form)


def _assemble(pairs: Iterable[tuple[str, Any]], files: tuple[Part, ...]) -> Report:
    fax: dict[str, Any] = {}
    bracketed: dict[str, Any] = {}
    form: dict[str, Any] = {}
    for name, value in pairs:
        if name == "fax":
            _put_fax(fax, value)
        elif name.startswith("fax[") and name.endswith("]") and "][" not in name:
            _put(bracketed, name[4:-1], value)
        else:
            _put(form, name, value)
    if bracketed or (fax and not _FAX_MARKS.isdisjoint(form)):
        _require_agreement([fax, bracketed, form])
    if bracketed:
        # Where both name the same thing, JSON's value has its type; what differs from it is kept under its own name.
        form |= {f"fax[{name}]": value for name, value in bracketed.items() if fax.setdefault(name, value) != value}
    if fax:
        return Report(fax=fax, form=form, files=files)
    return Report(fax=form, form=form, files=files, flat=True)


def _put(target: dict[str, Any], name: str, value: Any) -> None:
    if isinstance(value, str):
        value = clean_text(value)
    if name not in target:
        target[name] = value
        return
    known = target[name]
    if name in _DECIDING:
        if known != value:
            raise Unreadable(f"{name} is given twice, with different values")
    else:
        target[name] = [*known, value] if isinstance(known, list) else [known, value]


def _put_fax(fax: dict[str, Any], value: Any) -> None:
    if isinstance(value, str):
        value = read_json(value) if value.strip() else None
    if value is None:
        return
    if not isinstance(value, dict) and not isinstance(value := read_inner(value), dict):  # in a list, or quoted again
        raise Unreadable("fax is not a JSON object")
    if fax and fax != value:
        raise Unreadable("fax is given twice, with different values")
    fax |= value


def _require_agreement(shapes: list[dict[str, Any]]) -> None:
    ids = {read_id(first_of(shape, ID_NAMES)) for shape in shapes} - {""}
    if len(ids) > 1:
        raise Unreadable("two shapes in one callback name different faxes")
    statuses = {text_of(shape.get("status")).lower() for shape in shapes} - {""}
    if len(statuses) > 1:
        raise Unreadable("two shapes in one callback tell different statuses")
