"""Cursors of lists: the list's name and the key of a page's last item, opaque to clients. Stable under inserts."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Generic, Literal, Protocol, TypeVar, get_args

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


class CursorOf(Generic[Key]):
    """The cursors of the list *name*, whose keys are tuples of *kind*.

    The name is in the cursor: ids are alike in many lists, and one of another list would begin somewhere. Of a list in
    two orders, each has a name of its own.
    """

    def __init__(self, name: str, kind: type[Key]) -> None:
        self._name = name
        # The tuple's first item is the name: a list of another form is refused before it is read.
        self._kind: Any = tuple[(Literal[name], *get_args(kind))]  # type: ignore[misc,valid-type]  # made here

    def write(self, *key: Any) -> str:
        """Return the cursor for what comes after *key*."""
        return urlsafe_b64encode(msgspec.json.encode((self._name, *key))).decode().rstrip("=")

    def read(self, text: str) -> Key:
        """Return the key in a cursor.

        Raises:
            BadCursor: It is not a cursor, or one of another list.

        >>> CursorOf("events", tuple[str, int]).read(CursorOf("events", tuple[str, int]).write("a", 1))
        ('a', 1)
        """
        try:
            _, *key = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=self._kind)
        except ValueError:  # base64's and msgspec's errors derive from it
            raise BadCursor("`after` must be the `next` of a page of this list, not of another one") from None
        return tuple(key)  # type: ignore[return-value]  # of *kind*: it was decoded so


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
