"""Requests as text for people. Pure."""

from collections.abc import Iterator

from dispatcher.ops.deliveries.bodies import FormField, SentRequest
from dispatcher.ops.words import printable


def hex_lines(content: bytes, most_bytes: int) -> str:
    r"""Return the beginning of *content* in hex, 16 bytes a line, with what is printable beside it.

    >>> print(hex_lines(b"PDF\x00", 16))
    00000000  50 44 46 00                                      PDF.
    """
    lines = []
    for start in range(0, min(len(content), most_bytes), 16):
        row = content[start : start + 16]
        shown = "".join(chr(each) if 0x20 <= each < 0x7F else "." for each in row)  # noqa: PLR2004 - ASCII
        lines.append(f"{start:08x}  {row.hex(' '):<47}  {shown}")
    rest = len(content) - most_bytes
    return "\n".join([*lines, *([f"… {rest} bytes more"] if rest > 0 else [])])


def request_lines(request: SentRequest) -> Iterator[str]:
    """Yield a request line by line, control characters escaped."""
    yield f"{request.method} {printable(request.url)}"
    for name, value in request.headers:
        yield f"{name}: {printable(value)}"
    yield ""
    if request.form is not None:
        yield from (f"{printable(field.name)} = {_value(field)}" for field in request.form)
    elif request.body is not None:
        yield from map(printable, request.body.splitlines())
    else:
        yield f"a body of {request.size_bytes} bytes that is no text; --json has it"
    if request.document is not None:
        yield ""
        yield f"it carried the document {request.document.key}: `faxhook document {request.document.key}` saves it"


def _value(field: FormField) -> str:
    if field.value is not None:
        return printable(field.value)
    return f"{printable(field.filename or '')} ({field.content_type}, {field.size_bytes} bytes)"
