"""Endpoints as a list: the general ones and the latest of the others; or what was searched, a page at a time."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from dispatcher.ledger.endpoints import EndpointFilter
from dispatcher.ops.api.bad_fields import BadFilter
from dispatcher.ops.api.cursor import MOST_PER_PAGE
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.pages.filters import chosen_of, filter_of
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.endpoints.bodies import EndpointQuery
from dispatcher.ops.endpoints.model import shown
from dispatcher.ops.endpoints.reading.pages import Page, read_page
from dispatcher.policy.endpoint import Endpoint
from shared.ids import parse_uuid

MOST_SHOWN: Final = 50
"""Of numbers, of single faxes, on a page of what was searched. There may be 100,000."""

FILTER_FIELDS: Final = ("q", "scope", "enabled")
SCOPES: Final = (("global", "general"), ("number", "of a number"), ("fax", "of a single fax"))
STATES: Final = (("true", "enabled"), ("false", "disabled"))

GENERAL: Final = (
    ("sent", "Sent faxes", "How each sent fax ends, whichever provider sends it."),
    ("received", "Received faxes", "Each received fax whose number has no endpoint of its own."),
    ("any", "Sent and received faxes", "Both directions at one endpoint."),
)


class EndpointListPage:
    """The handler."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def show(self, visit: Visit) -> web.Response:
        """Show what was searched, the newest first; without a filter the general ones and the newest of the others."""
        chosen = chosen_of(visit.request.query, FILTER_FIELDS)
        context = await (self._searched(visit, chosen) if chosen else self._overview())
        listed: list[Endpoint] = context.pop("listed")
        return visit.page(
            "endpoints.html",
            chosen=chosen,
            scopes=SCOPES,
            states=STATES,
            healths=await self._sources.health.of(list({endpoint.id for endpoint in listed})),
            shown=shown,
            **context,
        )

    async def _overview(self) -> dict[str, Any]:
        general = await self._sources.store.page(
            self._sources.pool, None, MOST_PER_PAGE, EndpointFilter(scope="global")
        )
        of_numbers = await self._page(EndpointQuery(scope="number", limit=MOST_SHOWN))
        of_faxes = await self._page(EndpointQuery(scope="fax", limit=MOST_SHOWN))
        return {
            "found": None,
            "sections": [(*section, [each for each in general if each.direction == section[0]]) for section in GENERAL],
            "of_numbers": of_numbers,
            "of_faxes": of_faxes,
            "listed": [*general, *of_numbers.items, *of_faxes.items],
        }

    async def _searched(self, visit: Visit, chosen: Mapping[str, str]) -> dict[str, Any]:
        given = {name: value for name, value in chosen.items() if name != "q"}
        after = {"after": visit.request.query["after"]} if visit.request.query.get("after") else {}
        query = filter_of({**given, **after, "limit": MOST_SHOWN}, EndpointQuery)
        page = await (self._meant(chosen["q"], query) if "q" in chosen else self._page(query))
        more = None if page.next is None else urlencode({**chosen, "after": page.next})
        return {"found": page.items, "more": more, "listed": page.items}

    async def _meant(self, text: str, query: EndpointQuery) -> Page:
        """Return the endpoints that *text* may mean, an id, or a number, fax_id or job_id that they match."""
        if query.scope == "global":
            raise BadFilter("q", "a general endpoint matches every fax: search for its id alone, or choose a scope")
        if "\0" in text:
            return Page([], None)
        endpoint_id = parse_uuid(text)
        known = [] if endpoint_id is None else await self._sources.store.of_ids(self._sources.pool, [endpoint_id])
        found = [each for each in known if query.scope in {None, each.scope} and query.enabled in {None, each.enabled}]
        for name, scope in (("number", "number"), ("fax_id", "fax"), ("job_id", "fax")):
            if query.scope in {None, scope}:
                page = await self._page(msgspec.structs.replace(query, **{name: text}))
                if page.items:  # a text is as good as always one of the three; pages do not mix them
                    return Page([*found, *page.items], page.next)
        return Page(found, None)

    async def _page(self, query: EndpointQuery) -> Page:
        return await read_page(self._sources.pool, self._sources.store, query, newest_first=True)
