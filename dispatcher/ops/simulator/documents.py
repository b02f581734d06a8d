"""Small real documents for sample callbacks: a PDF and a TIFF that any reader opens."""

import struct
from typing import Final

_PAGE: Final = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
_FIRST_PAGE_NUMBER: Final = 6  # after catalog, page tree, the unused third object, contents and font


def sample_pdf(text: str, pages: int = 1) -> bytes:
    """Return a PDF of *pages* equal A4 pages with one line of *text*; what is not ASCII in it becomes a question mark.

    About 700 bytes for one page.
    """
    line = text.encode("ascii", "replace").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
    contents = b"BT /F 18 Tf 72 770 Td (%b) Tj ET" % line
    kids = b" ".join(b"%d 0 R" % (_FIRST_PAGE_NUMBER + number) for number in range(pages))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, pages),
        b"<</Producer(faxhook simulate)>>",
        b"<</Length %d>>\nstream\n%b\nendstream" % (len(contents), contents),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        *[_PAGE] * pages,
    ]
    body = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    trailer = b"trailer\n<</Size %d/Root 1 0 R/Info 3 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, len(body))
    return body + b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, table) + trailer


def sample_tiff() -> bytes:
    """Return a TIFF of one page of 16 x 16 black and white pixels, uncompressed: what a spool folder may hold."""
    width = height = 16
    pixels = b"\xaa\xaa\x55\x55" * (height // 2)  # a chequered pattern, two bytes a line
    short, long = 3, 4
    head_bytes = 8
    tags = [
        (256, short, width),
        (257, short, height),
        (258, short, 1),  # bits per sample
        (259, short, 1),  # not compressed
        (262, short, 0),  # zero is white
        (273, long, head_bytes),  # where the pixels begin
        (277, short, 1),  # samples per pixel
        (278, short, height),  # rows per strip
        (279, long, len(pixels)),
    ]
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags) + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", head_bytes + len(pixels)) + pixels + directory
