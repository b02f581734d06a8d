"""A page of a list whose filter no index serves: pages of the ledger are searched until it is full, or time is up."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

SEARCHED_SECONDS: Final = 0.2
"""There is no index of deliveries by endpoint: a page of the ledger may hold none of it, and the next is asked for."""


async def search(read: Callable[[Any], Awaitable[Any]], query: Any) -> tuple[list[Any], str | None]:
    """Return at most `query.limit` items of the list that *read* reads, and the cursor behind what was searched."""
    ends_at = time.monotonic() + SEARCHED_SECONDS
    page = await read(query)
    found = list(page.items)
    while page.next is not None and len(found) < query.limit and time.monotonic() < ends_at:
        rest = msgspec.structs.replace(query, after=page.next, limit=query.limit - len(found))
        page = await read(rest)
        found += page.items
    return found, page.next
