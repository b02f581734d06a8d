"""The parts of a multipart form. Pure, and on the hot path."""

import re
from typing import Final

from multipart import (  # type: ignore[import-untyped]  # it has no stubs
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from shared.errors import Malformed
from shared.forms.parts import MAX_FIELDS, MAX_FILES, MAX_HEADER_BYTES, MAX_HEADERS, Part

# RFC 2046: a boundary has 1 to 70 ASCII characters. It may be quoted, and must be where it holds a blank.
_BOUNDARY = re.compile(r';[ \t]*boundary[ \t]*=[ \t]*(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_BOUNDARY_TEXT = re.compile(r"[\x20-\x7e]{0,69}[\x21-\x7e]")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,80}/[a-z0-9!#$&^_.+-]{1,80}")
_LONG_FILENAME = re.compile(r";[ \t]*filename\*(?:0\*?)?[ \t]*=", re.IGNORECASE)

# A part's head as browsers and HTTP libraries write it: nothing escaped, nothing unknown, well within the limits.
_PLAIN_HEAD = re.compile(
    rb'\r\nContent-Disposition: form-data; name="([^"\\%\r\n]{0,200})"(?:; filename="([^"\\%\r\n]{0,200})")?'
    rb"(?:\r\nContent-Type: ([a-zA-Z0-9!#$&^_.+/-]{1,160}))?\r\n\r\n"
)


# A delimiter's line with a bare line feed at its end, and the blank line behind a part's head.
_BARE_END = re.compile(rb"[ \t]*\n")
_BLANK_LINE = re.compile(rb"\n\r?\n")
MOST_HEAD_BYTES: Final = MAX_HEADERS * MAX_HEADER_BYTES


def read_parts(content_type: str, body: bytes) -> list[Part]:
    """Return the parts of *body* in order, as they came.

    Raises:
        Malformed: The framing is broken, or over a limit.
    """
    boundary = _boundary(content_type)
    return _read_plain(boundary, body) or _read_any(boundary, _with_crlf(boundary, body))


def _boundary(content_type: str) -> str:
    found = _BOUNDARY.search(content_type)
    boundary = (found[1] or found[2] or "") if found else ""
    if not _BOUNDARY_TEXT.fullmatch(boundary):
        raise Malformed("the multipart boundary is missing or not of 1 to 70 ASCII characters")
    return boundary


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


def _with_crlf(boundary: str, body: bytes) -> bytes:
    """Return a body whose lines end with bare line feeds as the standard wants them; the contents of parts stay.

    Scripts write such forms. If the first delimiter ends so, the others do. Any other body is returned as it is.

    Raises:
        Malformed: A delimiter or a head is broken, or there are too many parts.
    """
    mark = b"--" + boundary.encode()
    first = body.find(mark, 0, len(mark) + 2)
    line = _BARE_END.match(body, first + len(mark)) if first >= 0 else None
    if line is None or body[:first].strip(b"\r\n"):
        return body
    whole = memoryview(body)
    pieces: list[bytes | memoryview] = []
    for _ in range(MAX_FIELDS + MAX_FILES + 1):  # with one too many, which is refused where parts are counted
        end = body.find(b"\n" + mark, line.end() - 1)
        blank = _BLANK_LINE.search(body, line.end() - 1, max(0, min(end, line.end() + MOST_HEAD_BYTES)))
        if end < 0 or blank is None:
            raise Malformed("the multipart framing cannot be read: a part has no blank line behind its head, or no end")
        head = body[line.end() : blank.start() + 1].replace(b"\r\n", b"\n").rstrip(b"\n").replace(b"\n", b"\r\n")
        pieces += [mark, b"\r\n", head, b"\r\n\r\n" if head else b"\r\n", whole[blank.end() : end], b"\r\n"]
        line = _BARE_END.match(body, end + 1 + len(mark))
        if line is None:
            break
    if line is None and not body.startswith(b"--", end + 1 + len(mark)):
        raise Malformed("the multipart framing cannot be read: a delimiter does not end its line")
    return b"".join([*pieces, mark, b"--\r\n"])


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
