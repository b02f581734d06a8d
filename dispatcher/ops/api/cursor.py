"""Cursors of lists: the key of a page's last item, opaque to the client. Stable under inserts."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Protocol, TypeVar

import msgspec

from shared.errors import FaxhookError

MOST_PER_PAGE: Final = 200

AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time in a key: what a client made up without a time zone is refused."""

Limit = Annotated[int, msgspec.Meta(ge=1, le=MOST_PER_PAGE, description="how many items at most")]
Cursor = Annotated[
    str,
    msgspec.Meta(
        max_length=2_000,
        pattern="^[A-Za-z0-9_-]+$",
        description="`next` of the page before",
        extra={"wrong": "must be the `next` of a page of this list"},
    ),
]

Key = TypeVar("Key")
Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)
Query = TypeVar("Query", bound=msgspec.Struct)


class PageOf(Protocol[Item_co]):
    """A page of a list: its items, and the cursor of what follows; None at the end."""

    @property
    def items(self) -> Sequence[Item_co]: ...  # noqa: D102 - said above

    @property
    def next(self) -> str | None: ...  # noqa: D102 - said above


class BadCursor(FaxhookError):
    """An `after` that is not a cursor of this list."""

    code = "bad_cursor"
    status = 422
    field = "after"


def write_cursor(key: Sequence[Any]) -> str:
    """Return the cursor for what comes after *key*."""
    return urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def read_cursor(text: str, kind: type[Key]) -> Key:
    """Return the key in a cursor, checked to be of *kind*.

    Raises:
        BadCursor: It is not a cursor, or one of another list.

    >>> read_cursor(write_cursor(("a", 1)), tuple[str, int])
    ('a', 1)
    """
    try:
        return msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except ValueError:  # base64's and msgspec's errors derive from it
        raise BadCursor("`after` must be the `next` of a page of this list") from None


async def read_pages(
    read_page: Callable[[Query], Awaitable[PageOf[Item]]], query: Query, most: int | None = None
) -> tuple[list[Item], str | None]:
    """Return up to *most* items (None: all), page after page from *query* on, and the cursor of what follows."""
    found: list[Item] = []
    cursor: str | None = None
    while True:
        limit = MOST_PER_PAGE if most is None else min(MOST_PER_PAGE, most - len(found))
        given = {"limit": limit} if cursor is None else {"limit": limit, "after": cursor}
        page = await read_page(msgspec.structs.replace(query, **given))
        found += page.items
        cursor = page.next
        if cursor is None or len(found) == most:
            return found, cursor
