"""Pages of endpoints, for API, console and command line: by id, each filter by its index."""

from typing import Any
from uuid import UUID

import msgspec

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ops.api.cursor import read_cursor, write_cursor
from dispatcher.ops.endpoints.bodies import EndpointQuery
from dispatcher.policy.endpoint import Endpoint


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
    after = None if query.after is None else read_cursor(query.after, tuple[UUID])[0]
    found = await store.page(connection, after, query.limit + 1, query.filter, newest_first=newest_first)
    items = found[: query.limit]
    return Page(items, write_cursor([items[-1].id]) if len(found) > query.limit else None)
