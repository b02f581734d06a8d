"""A program: reads a document from stdin, writes its first page as a PNG to stdout; exit 1 if it has none.

A program of its own, because a document from outside meets parsers written in C here: it gets no settings, and little
memory and time. It imports nothing of ours, so that it starts quickly.
"""

import io
import os
import resource
import sys
from typing import Any, Final

MEMORY_BYTES: Final = 1024 * 1024 * 1024
"""Of address space; the interpreter and the libraries take a third of it."""

CPU_SECONDS: Final = 8
WIDTH_PIXELS, HEIGHT_PIXELS = 620, 877
"""A4 at 75 dots per inch."""

MOST_PIXELS: Final = 50_000_000
"""Of a scanned page: a fax in the finest resolution has a tenth of it."""

IMAGES: Final = ("TIFF", "PNG", "JPEG")


def limit_self() -> None:
    """Bound this process: memory, time, no files, low priority."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(10)


def page_of_pdf(content: bytes) -> Any:
    """Return the first page of a PDF as an image."""
    import pypdfium2  # noqa: PLC0415 - after the limits, and only for a PDF

    with pypdfium2.PdfDocument(content) as document:
        page = document[0]
        scale = min(WIDTH_PIXELS / page.get_width(), HEIGHT_PIXELS / page.get_height())
        return page.render(scale=scale, grayscale=True, may_draw_forms=False).to_pil().copy()


def page_of_image(content: bytes) -> Any:
    """Return the first page of a TIFF, or a PNG or JPEG, as an image with square dots."""
    from PIL import Image  # noqa: PLC0415 - after the limits, and only for an image

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # twice as many raise
    with Image.open(io.BytesIO(content), formats=IMAGES) as image:
        across, down = image.info.get("dpi", (1, 1))
        # A fax in standard resolution has half as many lines as dots in a line.
        stretch = float(across) / float(down) if across and down else 1.0
        page = image.convert("L")
    scale = min(WIDTH_PIXELS / page.width, HEIGHT_PIXELS / (page.height * stretch))
    return page.resize((max(1, round(page.width * scale)), max(1, round(page.height * stretch * scale))))


def main() -> int:
    """Run the program."""
    limit_self()
    content = sys.stdin.buffer.read()
    try:
        page = page_of_pdf(content) if content.startswith(b"%PDF-") else page_of_image(content)
        written = io.BytesIO()
        page.save(written, "PNG")
    except Exception:  # noqa: BLE001 - whatever a parser says of a document from outside: there is no page
        return 1
    sys.stdout.buffer.write(written.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(main())
