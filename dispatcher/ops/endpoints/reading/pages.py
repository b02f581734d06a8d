"""Pages of endpoints, for API, console and command line: by id, each filter by its index."""

from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ops.api.cursor import CursorOf
from dispatcher.ops.endpoints.bodies import EndpointQuery
from dispatcher.policy.endpoint import Endpoint

OLDEST_FIRST: Final = CursorOf("endpoints", tuple[UUID])
NEWEST_FIRST: Final = CursorOf("endpoints newest first", tuple[UUID])


class Page(msgspec.Struct, frozen=True):
    """Endpoints in the order of their ids; `next`: the cursor behind them, None if there are no more."""

    items: list[Endpoint]
    next: str | None


async def read_page(connection: Any, store: EndpointStore, query: EndpointQuery, *, newest_first: bool = False) -> Page:
    """Return the page that *query* asks for.

    Raises:
        BadCursor: Its `after` is not a cursor of this list.
        BadFilter: No endpoint could match.
    """
    cursor = NEWEST_FIRST if newest_first else OLDEST_FIRST
    after = None if query.after is None else cursor.read(query.after)[0]
    found = await store.page(connection, after, query.limit + 1, query.filter, newest_first=newest_first)
    items = found[: query.limit]
    return Page(items, cursor.write(items[-1].id) if len(found) > query.limit else None)
