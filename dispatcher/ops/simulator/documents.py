"""The document of sample callbacks: a small PDF that any reader opens."""

from typing import Final

_PAGE: Final = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
_FIRST_PAGE_NUMBER: Final = 6  # after catalog, page tree, the unused third object, contents and font


def sample_pdf(text: str, pages: int = 1) -> bytes:
    """Return a PDF of *pages* equal A4 pages with one line of *text*; characters outside ASCII become question marks.

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
