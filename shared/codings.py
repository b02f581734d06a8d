"""Undoes the codings in which a document comes, within a bound. Pure.

Of documents that come with a callback, and of those that are fetched. What begins as a gzip file does is packed,
whatever its head says: no fax is one.

| coding | |
|---|---|
| empty, `identity`, `aws-chunked` (S3), `chunked`, `binary` and the like | says how it was transferred: not undone |
| `gzip`, `x-gzip`, `deflate` | undone, although it was not asked for; what is not packed at all stays as it is |
| any other | unknown |
"""

import zlib
from typing import Final

MOST_CODINGS: Final = 4
MOST_MEMBERS: Final = 10_000
"""Of a gzip file. Programs that pack in pieces make one for 64 kB or more."""

PIECE_BYTES: Final = 16 * 1024
"""Unpacked at a time: what lies behind a member is copied once for each member."""

_NO_CODINGS: Final = frozenset(
    {"", "identity", "aws-chunked", "chunked", "binary", "7bit", "8bit", "none", "utf-8", "utf8", "iso-8859-1"}
)
_GZIP: Final = frozenset({"gzip", "x-gzip"})
_DEFLATE: Final = frozenset({"deflate", "x-deflate"})
_GZIP_MARK: Final = b"\x1f\x8b"
_DOCUMENT_MARKS: Final = (b"%PDF-", b"II*\0", b"MM\0*", b"{\\rtf")
_ZLIB_OR_GZIP_BITS: Final = zlib.MAX_WBITS | 32
_RAW_BITS: Final = -zlib.MAX_WBITS


class UnknownCoding(ValueError):
    """It is not a coding that we can undo, or the content is not in it."""


def undo_codings(content: bytes, codings: str, most_bytes: int) -> bytes | None:
    """Return *content* without its *codings*, a header's value; None if it would have more than *most_bytes*.

    Raises:
        UnknownCoding: It cannot be undone.

    >>> undo_codings(b"%PDF-", "aws-chunked", 100)
    b'%PDF-'
    """
    names = [name for part in codings.split(",") if (name := part.strip().strip('"').lower()) not in _NO_CODINGS]
    if len(names) > MOST_CODINGS:
        raise UnknownCoding
    for name in reversed(names):  # the last one was applied last
        if content.startswith(_DOCUMENT_MARKS):
            continue  # the head was wrong about it
        if name not in _GZIP | _DEFLATE:
            raise UnknownCoding
        unpacked = _gunzip(content, most_bytes) if content.startswith(_GZIP_MARK) else _inflate(content, most_bytes)
        if unpacked is None:
            return None
        content = unpacked
    return _gunzip(content, most_bytes) if is_packed(content) else content


def is_packed(content: bytes) -> bool:
    """Does *content* begin as a gzip file does?"""
    return content.startswith(_GZIP_MARK)


def _gunzip(content: bytes, most_bytes: int) -> bytes | None:
    """Return the members of a gzip file, joined."""
    packed, at, unpacked = memoryview(content), 0, bytearray()
    for _ in range(MOST_MEMBERS + 1):
        if not content.startswith(_GZIP_MARK, at):  # bytes behind the last member are padding
            return bytes(unpacked)
        unpacker = zlib.decompressobj(_ZLIB_OR_GZIP_BITS)
        while not unpacker.eof:
            piece = packed[at : at + PIECE_BYTES]
            if not piece:
                raise UnknownCoding  # it breaks off
            try:
                unpacked += unpacker.decompress(piece, most_bytes + 1 - len(unpacked))
            except zlib.error:
                raise UnknownCoding from None
            if len(unpacked) > most_bytes:
                return None
            at += len(piece) - len(unpacker.unused_data)
    raise UnknownCoding


def _inflate(content: bytes, most_bytes: int) -> bytes | None:
    """Return what *deflate* packed: in zlib's wrapping, as the standard has it, or raw, as some servers do."""
    if not content:
        return b""
    try:
        return _undo(content, _ZLIB_OR_GZIP_BITS, most_bytes)
    except UnknownCoding:
        return _undo(content, _RAW_BITS, most_bytes)


def _undo(content: bytes, window_bits: int, most_bytes: int) -> bytes | None:
    """Return the unpacked bytes, None if there are more than *most_bytes*."""
    unpacker = zlib.decompressobj(window_bits)
    try:
        unpacked = unpacker.decompress(content, most_bytes + 1)
    except zlib.error:
        raise UnknownCoding from None
    if len(unpacked) > most_bytes:
        return None
    if not unpacker.eof:
        raise UnknownCoding  # it breaks off
    return unpacked
