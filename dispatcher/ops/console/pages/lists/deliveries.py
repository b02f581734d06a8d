"""All deliveries, or those to one endpoint, the newest first: filtered, a page at a time."""

from collections.abc import Sequence
from typing import Any, Final
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
from dispatcher.policy.endpoint import Endpoint
from shared.domain import EventType

MOST_PER_PAGE: Final = 50
FILTER_FIELDS_OF_ENDPOINT: Final = ("state", "reason", "type", "number", "job_id", "event_id", "since", "until")
FILTER_FIELDS: Final = (*FILTER_FIELDS_OF_ENDPOINT, "endpoint_id")


class DeliveryListPage:
    """The handlers."""

    def __init__(self, sources: Sources, changes: EndpointChanges) -> None:
        self._sources = sources
        self._changes = changes

    async def show(self, visit: Visit) -> web.Response:
        """Show a page of the deliveries to whichever endpoint, or how far the search came."""
        return await self._show(visit, "/deliveries", FILTER_FIELDS, {}, None)

    async def show_of_endpoint(self, visit: Visit) -> web.Response:
        """Show the same of one endpoint."""
        endpoint_id = read_id(visit.request.match_info["id"], "endpoint")
        endpoint = await self._changes.known(self._sources.pool, endpoint_id)
        fixed = {"endpoint_id": endpoint_id}
        return await self._show(
            visit, f"/endpoints/{endpoint_id}/deliveries", FILTER_FIELDS_OF_ENDPOINT, fixed, endpoint
        )

    async def _show(
        self, visit: Visit, page: str, fields: Sequence[str], fixed: dict[str, Any], endpoint: Endpoint | None
    ) -> web.Response:
        chosen = chosen_of(visit.request.query, fields)
        after = {"after": visit.request.query["after"]} if visit.request.query.get("after") else {}
        query = filter_of({**chosen, **after, "limit": MOST_PER_PAGE, **fixed}, DeliveryQuery)
        with refusing_filters():
            found, following = await search(self._sources.faxes.deliveries, query)
        return visit.page(
            "deliveries.html",
            page=page,
            endpoint=endpoint,
            deliveries=found,
            events=await self._sources.faxes.events_of(found),
            chosen=chosen,
            asked={**chosen, **fixed},
            is_first=not after,
            more=None if following is None else urlencode({**chosen, "after": following}),
            states=list(STATES.items()),
            types=list(EventType),
        )
