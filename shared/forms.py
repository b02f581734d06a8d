"""HTML forms as providers post them: an already read body in, ordered fields and files out. Pure.

What the values mean, and who may send them, is not decided here. Values are decoded as UTF-8 with `surrogateescape`, so
that signatures are made over exactly the bytes that came; `shared.providers.common.clean` makes storable text of them
afterwards.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from multipart import (  # type: ignore[import-untyped]  # it has no stubs
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from shared.errors import Malformed, UnsupportedMediaType

MULTIPART: Final = "multipart/form-data"
URLENCODED: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

# Twice as wide as Faxbot 2026's limits for such forms: a provider's callback has ten fields and one file. A larger
# form is not from a provider, and is refused before it costs more than its reading.
MAX_FIELDS: Final = 200
MAX_FILES: Final = 8
MAX_HEADER_BYTES: Final = 8 * 1024  # of one header line of a part
MAX_STRAY_PERCENTS: Final = 1_000  # of one urlencoded name or value; more of them are not an accident
MAX_HEADERS: Final = 8  # of one part; forms have two or three

# RFC 2046: a boundary has 1 to 70 ASCII characters. It may be quoted, and must be where it holds a blank.
_BOUNDARY = re.compile(r';[ \t]*boundary[ \t]*=[ \t]*(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_BOUNDARY_TEXT = re.compile(r"[\x20-\x7e]{0,69}[\x21-\x7e]")
_STRAY_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,80}/[a-z0-9!#$&^_.+-]{1,80}")

_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_UTF_16_BRACES: Final = frozenset(mark + brace for mark, brace in ((b"\xff\xfe", b"{\0"), (b"\xfe\xff", b"\0{")))

_LONG_FILENAME = re.compile(r";[ \t]*filename\*(?:0\*?)?[ \t]*=", re.IGNORECASE)

# A part's head as browsers and HTTP libraries write it: nothing escaped, nothing unknown, well within the limits.
_PLAIN_HEAD = re.compile(
    rb'\r\nContent-Disposition: form-data; name="([^"\\%\r\n]{0,200})"(?:; filename="([^"\\%\r\n]{0,200})")?'
    rb"(?:\r\nContent-Type: ([a-zA-Z0-9!#$&^_.+/-]{1,160}))?\r\n\r\n"
)


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
        if part.content.startswith((b"%PDF-", b"II*\0", b"MM\0*")):
            return part
        octets = b"".join(part.content.split()).translate(_FROM_URL_SAFE).rstrip(b"=")
        try:
            content = base64.b64decode(octets + b"=" * (-len(octets) % 4), validate=True)
        except ValueError:
            raise Malformed(f"the base64 of the part {part.name[:80]!a} cannot be decoded") from None
    elif part.encoding == "quoted-printable":
        content = binascii.a2b_qp(part.content)
    else:
        return part
    return msgspec.structs.replace(part, content=content, encoding="")


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
        line = start[2:].partition(b"\r\n")[0]
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
        boundary = _boundary(content_type or "")
        parts = _read_plain(boundary, body) or _read_any(boundary, body)
        return _sorted(parts if decode is None else map(decode, parts), is_file)
    if kind == URLENCODED:
        return Form(fields=_read_urlencoded(body))
    raise UnsupportedMediaType(f"expected a form (multipart or urlencoded), not {kind[:80]!a}")


def _boundary(content_type: str) -> str:
    found = _BOUNDARY.search(content_type)
    boundary = (found[1] or found[2] or "") if found else ""
    if not _BOUNDARY_TEXT.fullmatch(boundary):
        raise Malformed("the multipart boundary is missing or not of 1 to 70 ASCII characters")
    return boundary


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


def _read_plain(boundary: str, body: bytes) -> list[Part] | None:
    """Read multipart as nearly every sender writes it; None for any other, which the library then reads or refuses.

    On a callback's ten fields the library spends 28 us, half of the ingress's work for a callback; this takes 6. It
    accepts less than the library and reads the same (a property test compares them).
    """
    delimiter = b"\r\n--" + boundary.encode()
    if not body.startswith(delimiter[2:]):
        return None
    parts: list[Part] = []
    size = len(delimiter)
    # Each part: its head, then everything up to the next delimiter.
    at = size - 2
    while head := _PLAIN_HEAD.match(body, at):
        start = head.end()
        end = body.find(delimiter, start)
        if end < 0:
            return None
        name, filename, kind = head.groups()
        if filename is None and kind is None and len(parts) < MAX_FIELDS:  # as nearly all are
            parts.append(Part(name=str(name, "utf-8", "surrogateescape"), content=body[start:end]))
        else:
            _add(
                parts,
                name.decode("utf-8", "surrogateescape"),
                None if filename is None else filename.decode("utf-8", "surrogateescape"),
                kind.decode().lower() if kind else "",
                body[start:end],
            )
        at = end + size
    return parts if body.startswith(b"--", at) else None


def _read_any(boundary: str, body: bytes) -> list[Part]:
    # Latin-1 keeps every byte of a part's header; `_from_header` then decodes it like a field's value. With UTF-8 the
    # parser would refuse a signed callback for a file name in an old encoding.
    parser = PushMultipartParser(
        boundary, max_header_size=MAX_HEADER_BYTES, max_header_count=MAX_HEADERS, header_charset="latin-1"
    )
    parts: list[Part] = []
    segment: MultipartSegment | None = None
    content = b""
    try:
        for piece in parser.parse(body):
            if piece is None:
                assert segment is not None
                filename = None if segment.filename is None else _from_header(segment.filename)
                _add(
                    *(parts, _from_header(segment.name), filename, segment.content_type or "", content),
                    has_long_filename=bool(_LONG_FILENAME.search(segment.header("Content-Disposition", ""))),
                    encoding=segment.header("Content-Transfer-Encoding", "").strip().lower(),
                )
            elif isinstance(piece, MultipartSegment):
                segment, content = piece, b""
            else:
                content += piece  # one piece in all, as the body is fed whole: nothing is copied twice
        parser.close()
    except ParserLimitReached as error:
        raise Malformed(f"the form is over a limit ({MAX_HEADER_BYTES} bytes a header): {error}") from error
    except MultipartError as error:
        raise Malformed(f"the multipart framing cannot be read: {error}") from error
    return parts


def _add(
    parts: list[Part],
    name: str,
    filename: str | None,
    content_type: str,
    content: bytes,
    *,
    has_long_filename: bool = False,
    encoding: str = "",
) -> None:
    if len(parts) == MAX_FIELDS + MAX_FILES:
        raise Malformed(f"the form has more than {MAX_FIELDS} fields and {MAX_FILES} files")
    # It may be written into a header (of a mail, a download), and the parser lets a bare line feed pass.
    kind = content_type if not content_type or _MEDIA_TYPE.fullmatch(content_type) else ""
    parts.append(
        Part(
            name=name,
            filename=filename,
            content_type=kind,
            content=content,
            has_long_filename=has_long_filename,
            encoding=encoding,
        )
    )


def _from_header(text: str) -> str:
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


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
