"""Events, the newest first: of a fax, a number, a job, owed to one endpoint; a page at a time."""

from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.pages.faxes import fax_path
from dispatcher.ops.console.pages.filters import chosen_of, filter_of, refusing_filters
from dispatcher.ops.console.pages.lists.search import search
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.faxes.explain import notes_on
from dispatcher.ops.faxes.lists.queries import EventQuery
from shared.domain import EventType, Provider

MOST_PER_PAGE: Final = 50
FILTER_FIELDS: Final = ("provider", "type", "endpoint_id", "number", "job_id", "fax_id", "since", "until")


class EventListPage:
    """The handler."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def show(self, visit: Visit) -> web.Response:
        """Show a page of events, or how far the search came."""
        chosen = chosen_of(visit.request.query, FILTER_FIELDS)
        after = {"after": visit.request.query["after"]} if visit.request.query.get("after") else {}
        query = filter_of({**chosen, **after, "limit": MOST_PER_PAGE}, EventQuery)
        with refusing_filters():
            found, following = await search(self._sources.faxes.events, query)
        return visit.page(
            "events.html",
            events=found,
            chosen=chosen,
            endpoint=next(iter((await self._sources.named([query.endpoint_id])).values()), None),
            is_first=not after,
            more=None if following is None else urlencode({**chosen, "after": following}),
            providers=list(Provider),
            types=list(EventType),
            fax_path=fax_path,
            notes_on=notes_on,
        )
