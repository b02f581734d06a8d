"""A page of a list whose filter no index serves: pages of the ledger are searched until it is full, or time is up."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

SEARCHED_SECONDS: Final = 0.2
"""There is no index of deliveries by endpoint: a page of the ledger may hold none of it, and the next is asked for."""

SEARCHED_SECONDS_FOR_ONE: Final = 2.0
"""While nothing is found: a click more for each page without a row takes a person longer. Each query stays short."""


async def search(read: Callable[[Any], Awaitable[Any]], query: Any) -> tuple[list[Any], str | None]:
    """Return at most `query.limit` items of the list that *read* reads, and the cursor behind what was searched."""
    began_at = time.monotonic()
    page = await read(query)
    found = list(page.items)
    while page.next is not None and len(found) < query.limit:
        if time.monotonic() - began_at >= (SEARCHED_SECONDS if found else SEARCHED_SECONDS_FOR_ONE):
            break
        rest = msgspec.structs.replace(query, after=page.next, limit=query.limit - len(found))
        page = await read(rest)
        found += page.items
    return found, page.next
