"""All deliveries of an endpoint, the newest first: filtered, a page at a time."""

from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.pages.filters import chosen_of, filter_of, refusing_filters
from dispatcher.ops.console.pages.lists.search import search
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.endpoints.changes import EndpointChanges
from dispatcher.ops.faxes.lists.queries import DeliveryQuery
from dispatcher.ops.words import STATES
from shared.domain import EventType

MOST_PER_PAGE: Final = 50
FILTER_FIELDS: Final = ("state", "reason", "type", "number", "job_id", "since", "until")


class DeliveryListPage:
    """The handler."""

    def __init__(self, sources: Sources, changes: EndpointChanges) -> None:
        self._sources = sources
        self._changes = changes

    async def show(self, visit: Visit) -> web.Response:
        """Show a page of the endpoint's deliveries, or how far the search came."""
        endpoint_id = read_id(visit.request.match_info["id"], "endpoint")
        endpoint = await self._changes.known(self._sources.pool, endpoint_id)
        chosen = chosen_of(visit.request.query, FILTER_FIELDS)
        after = {"after": visit.request.query["after"]} if visit.request.query.get("after") else {}
        query = filter_of({**chosen, **after, "limit": MOST_PER_PAGE, "endpoint_id": endpoint_id}, DeliveryQuery)
        with refusing_filters():
            found, following = await search(self._sources.faxes.deliveries, query)
        return visit.page(
            "deliveries.html",
            endpoint=endpoint,
            deliveries=found,
            chosen=chosen,
            is_first=not after,
            more=None if following is None else urlencode({**chosen, "after": following}),
            states=list(STATES.items()),
            types=list(EventType),
        )
