"""A document's content encoding is undone within its bound; what says how it was transferred is no encoding."""

import gzip
import time
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.codings import UnknownCoding, undo_codings

PDF = b"%PDF-1.4\n" + bytes(range(256)) * 20
MOST = 100_000


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(
    "codings",
    [
        "",
        " ",
        ",",
        "identity",
        "IDENTITY",
        "aws-chunked",
        "aws-chunked,",
        "binary",
        "8bit",
        "none",
        '""',
        "utf-8",
        "chunked",
    ],
)
def test_what_only_says_how_it_was_transferred_is_no_encoding(codings: str) -> None:
    assert undo_codings(PDF, codings, MOST) == PDF
    assert undo_codings(b"no mark", codings, MOST) == b"no mark"


@pytest.mark.parametrize(
    ("content", "codings"),
    [
        (packed(PDF), "gzip"),
        (packed(PDF), "X-GZip"),
        (packed(PDF), "aws-chunked, gzip"),
        (packed(PDF), "gzip, identity"),
        (packed(PDF), "deflate"),
        (zlib.compress(PDF), "deflate"),
        (zlib.compress(PDF), "gzip"),
        (raw_deflate(PDF), "deflate"),
        (packed(packed(PDF)), "gzip, gzip"),
        (packed(PDF[:99]) + packed(PDF[99:]), "gzip"),
        (packed(PDF) + bytes(512), "gzip"),
        (PDF, "gzip"),
        (PDF, "br"),
        (b"II*\0 a TIFF", "deflate"),
    ],
)
def test_what_came_packed_unasked_is_unpacked_and_a_document_that_is_not_packed_stays(
    content: bytes, codings: str
) -> None:
    wanted = content if content.startswith((b"%PDF-", b"II*")) else PDF
    assert undo_codings(content, codings, MOST) == wanted


@pytest.mark.parametrize(
    ("content", "codings"),
    [
        (b"x", "br"),
        (b"x", "zstd"),
        (b"x", "gzip, br"),
        (b"text", "gzip"),
        (packed(PDF)[:-9], "gzip"),
        (packed(PDF)[:40], "gzip"),
        (zlib.compress(PDF)[:-5], "deflate"),
        (packed(PDF), "gzip, gzip, gzip, gzip, gzip"),
    ],
)
def test_what_cannot_be_undone_is_said(content: bytes, codings: str) -> None:
    with pytest.raises(UnknownCoding):
        undo_codings(content, codings, MOST)


@pytest.mark.parametrize("pack", [packed, zlib.compress, raw_deflate])
def test_what_would_unpack_to_more_than_the_bound_is_not_unpacked(pack: object) -> None:
    assert undo_codings(pack(bytes(MOST)), "deflate", MOST) == bytes(MOST)  # type: ignore[operator]
    assert undo_codings(pack(bytes(MOST + 1)), "deflate", MOST) is None  # type: ignore[operator]
    assert undo_codings(packed(bytes(MOST)) * 3, "gzip", MOST) is None
    assert undo_codings(packed(packed(bytes(50_000_000))), "gzip, gzip", MOST) is None


def test_a_file_of_very_many_members_costs_no_more_than_its_reading() -> None:
    small = packed(b"")
    assert undo_codings(small * 9_999 + packed(PDF), "gzip", MOST) == PDF
    started = time.process_time()
    with pytest.raises(UnknownCoding):
        undo_codings(small * 500_000, "gzip", MOST)
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize("step", [1, 7, 16 * 1024 - 1, 16 * 1024])
def test_members_of_any_size_are_joined(step: int) -> None:
    noise = b"".join(zlib.crc32(bytes([each % 256, each // 256])).to_bytes(4, "big") for each in range(20_000))
    content = noise[:300] if step < 10 else noise
    whole = b"".join(packed(content[at : at + step]) for at in range(0, len(content), step))
    assert undo_codings(whole + bytes(9), "gzip", MOST) == content


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "gzip, deflate", "x-gzip,aws-chunked"]))
def test_any_bytes_are_unpacked_or_refused(content: bytes, codings: str) -> None:
    with suppress(UnknownCoding):
        undo_codings(content, codings, 1_000)
