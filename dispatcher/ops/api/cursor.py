"""Cursors of lists: opaque to whoever follows them, the key of the last item seen to us. Stable under inserts."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeVar

import msgspec

from shared.errors import FaxhookError

MOST_PER_PAGE: Final = 200

Limit = Annotated[int, msgspec.Meta(ge=1, le=MOST_PER_PAGE, description="how many items at most")]
Cursor = Annotated[
    str, msgspec.Meta(max_length=2_000, pattern="^[A-Za-z0-9_-]+$", description="`next` of the page before")
]

Key = TypeVar("Key")


class BadCursor(FaxhookError):
    """An `after` that is none of this list's cursors."""

    code = "bad_cursor"
    status = 422
    field = "after"


def write_cursor(key: Sequence[Any]) -> str:
    """Return the cursor for what comes after *key*."""
    return urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def read_cursor(text: str, kind: type[Key]) -> Key:
    """Return the key that a cursor stands for, checked to be of *kind*.

    Raises:
        BadCursor: It is none, or another list's.

    >>> read_cursor(write_cursor(("a", 1)), tuple[str, int])
    ('a', 1)
    """
    try:
        return msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except ValueError:  # msgspec's errors and those of base64 are kinds of it
        raise BadCursor("`after` must be the `next` of a page of this very list") from None
