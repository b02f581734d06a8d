"""Attempts, the newest first: at one endpoint, of a fax, of a number, those that failed; a page at a time."""

from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.pages.faxes import fax_path
from dispatcher.ops.console.pages.filters import chosen_of, filter_of, refusing_filters
from dispatcher.ops.console.pages.lists.search import search
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.faxes.lists.queries import AttemptQuery
from shared.domain import EventType

MOST_PER_PAGE: Final = 50
FILTER_FIELDS: Final = (
    "outcome", "error", "endpoint_id", "type", "number", "job_id", "provider", "fax_id", "event_id", "delivery_id",
    "since", "until",
)  # fmt: skip
OUTCOMES: Final = (("not_told", "failed"), ("told", "delivered"))


class AttemptListPage:
    """The handler."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def show(self, visit: Visit) -> web.Response:
        """Show a page of attempts, or how far the search came."""
        chosen = chosen_of(visit.request.query, FILTER_FIELDS)
        after = {"after": visit.request.query["after"]} if visit.request.query.get("after") else {}
        query = filter_of({**chosen, **after, "limit": MOST_PER_PAGE}, AttemptQuery)
        with refusing_filters():
            found, following = await search(self._sources.attempts.page, query)
        return visit.page(
            "attempts.html",
            attempts=found,
            chosen=chosen,
            endpoint=next(iter((await self._sources.named([query.endpoint_id])).values()), None),
            is_first=not after,
            more=None if following is None else urlencode({**chosen, "after": following}),
            outcomes=OUTCOMES,
            types=list(EventType),
            fax_path=fax_path,
        )
