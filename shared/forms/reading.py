"""HTML forms as providers post them: an already read body in, ordered fields and files out. Pure.

What the values mean, and who may send them, is not decided here. Values are decoded as UTF-8 with `surrogateescape`, so
that signatures are made over exactly the bytes that came; `shared.providers.common.clean` makes storable text of them
afterwards.
"""

import binascii
import re
from collections.abc import Callable, Iterable
from typing import Final

from shared.errors import Malformed, UnsupportedMediaType
from shared.forms.multipart import read_parts
from shared.forms.parts import MAX_FIELDS, MAX_FILES, Form, Part, has_filename

MULTIPART: Final = "multipart/form-data"
URLENCODED: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

MAX_STRAY_PERCENTS: Final = 1_000  # of one urlencoded name or value; more of them are not an accident
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")

_UTF_16_BRACES: Final = frozenset(mark + brace for mark, brace in ((b"\xff\xfe", b"{\0"), (b"\xfe\xff", b"\0{")))


def media_type(content_type: str | None) -> str:
    """Return the media type of a Content-Type header: lower-case, without parameters; empty without one.

    >>> media_type('Multipart/Form-Data; boundary="x"')
    'multipart/form-data'
    """
    return content_type.partition(";")[0].strip().lower() if content_type else ""


def sniff_type(body: bytes) -> str:
    r"""Guess the Content-Type of a body that came without one: JSON, multipart by its first line, else urlencoded.

    >>> sniff_type(b'--x-1\r\nContent-Disposition: form-data; name="id"\r\n...')
    'multipart/form-data; boundary="x-1"'
    """
    start = body[:100].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"{", b"[")) or start[:4] in _UTF_16_BRACES:
        return JSON
    if start.startswith(b"--"):
        line = start[2:].partition(b"\n")[0].rstrip()
        return f'{MULTIPART}; boundary="{line.decode("latin-1")}"'
    return URLENCODED


def read_form(
    content_type: str | None,
    body: bytes,
    *,
    is_file: Callable[[Part], bool] = has_filename,
    decode: Callable[[Part], Part] | None = None,
) -> Form:
    """Read a form in one pass.

    Args:
        content_type: As sent.
        body: As it came.
        is_file: Tells files from fields.
        decode: What to do with each part first; None: contents stay as they came, which is what Phaxio signs.

    Raises:
        Malformed: The framing is broken, or the form is over one of the limits above; the sentence says which.
        UnsupportedMediaType: It is not a form.
    """
    kind = media_type(content_type)
    if kind == MULTIPART:
        parts = read_parts(content_type or "", body)
        return _sorted(parts if decode is None else map(decode, parts), is_file)
    if kind == URLENCODED:
        return Form(fields=_read_urlencoded(body))
    raise UnsupportedMediaType(f"expected a form (multipart or urlencoded), not {kind[:80]!a}")


def _sorted(parts: Iterable[Part], is_file: Callable[[Part], bool]) -> Form:
    fields: list[tuple[str, str]] = []
    files: list[Part] = []
    for part in parts:
        if is_file(part):
            files.append(part)
        else:
            fields.append((part.name, str(part.content, "utf-8", "surrogateescape")))
    if len(fields) > MAX_FIELDS:
        raise Malformed(f"the form has more than {MAX_FIELDS} fields")
    if len(files) > MAX_FILES:
        raise Malformed(f"the form has more than {MAX_FILES} files")
    return Form(fields=tuple(fields), files=tuple(files))


def _read_urlencoded(body: bytes) -> tuple[tuple[str, str], ...]:
    """Read `a=1&b=2`. Blank values and repeated names stay; an empty piece between two `&` is ignored."""
    text = body.decode("utf-8", "surrogateescape")
    if text.count("&") >= MAX_FIELDS:
        raise Malformed(f"the form has more than {MAX_FIELDS} fields")
    pairs = (piece.partition("=") for piece in text.split("&") if piece)
    return tuple((_unquote(name), _unquote(value)) for name, _, value in pairs)


def _unquote(text: str) -> str:
    """Undo percent-encoding; a percent sign that begins no escape stays.

    The standard library takes 0.4 s for a megabyte of percent signs, and any client may send one: signatures over the
    fields are checked after this. Quoted-printable is the same encoding with another sign, and is decoded in C.
    """
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    octets = text.encode("utf-8", "surrogateescape")
    octets, strays = _STRAY_PERCENT.subn(b"%25", octets, count=MAX_STRAY_PERCENTS + 1)
    if strays > MAX_STRAY_PERCENTS:
        raise Malformed(f"a value has more than {MAX_STRAY_PERCENTS} percent signs that begin no escape")
    octets = binascii.a2b_qp(octets.replace(b"=", b"%3D").replace(b"%", b"="))
    return octets.decode("utf-8", "surrogateescape")
