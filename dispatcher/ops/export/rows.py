"""Rows of a list as lines of CSV or NDJSON. Pure.

The last line says that the file is whole, and how many rows it has: `{"object":"end","rows":2}`, or `#end,2`. A file
without it was cut off.
"""

import csv
import io
import re
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

Format = Literal["csv", "ndjson"]
CONTENT_TYPES: Final[dict[Format, str]] = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
END: Final = "#end"

_NUMBER: Final = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?", re.ASCII)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def head(file_format: Format, item: type[msgspec.Struct]) -> bytes:
    """Return what comes before the rows: of CSV the names of the columns."""
    return _csv([[field.encode_name for field in msgspec.structs.fields(item)]]) if file_format == "csv" else b""


def rows(file_format: Format, items: Sequence[msgspec.Struct]) -> bytes:
    r"""Return *items* as lines.

    >>> class Fax(msgspec.Struct):
    ...     fax_id: str
    ...     to_number: str | None
    ...     webhooks: dict[str, int]
    >>> rows("csv", [Fax("a,b", "+15550100", {"told": 1}), Fax("=1+1", None, {})])
    b'"a,b",+15550100,"{""told"":1}"\r\n\'=1+1,,{}\r\n'
    """
    if file_format == "ndjson":
        return b"".join(msgspec.json.encode(item) + b"\n" for item in items)
    return _csv([_cells(msgspec.to_builtins(item), item.__struct_fields__) for item in items])


def end(file_format: Format, count: int) -> bytes:
    """Return the line that says that all *count* rows are there."""
    if file_format == "csv":
        return _csv([[END, str(count)]])
    return msgspec.json.encode({"object": "end", "rows": count}) + b"\n"


def _cells(values: dict[str, Any], columns: Sequence[str]) -> list[str]:
    """Return a cell for each column: a field that is left out where it says nothing has an empty one."""
    return [_cell(values.get(column)) for column in columns]


def _cell(value: Any) -> str:
    r"""Return a value as a cell.

    A spreadsheet would run a text that begins like a formula, and callers choose such texts: it gets an apostrophe.
    """
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def _csv(lines: Sequence[Sequence[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(lines)
    return written.getvalue().encode()
