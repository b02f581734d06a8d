"""The alerts in the console: what is open, what was, who was told."""

from typing import Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from dispatcher.alerts.kinds import KINDS
from dispatcher.ops.alerts.reader import AlertQuery, AlertReader
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.pages.filters import chosen_of, filter_of, refusing_filters

MOST_PER_PAGE: Final = 30
FILTER_FIELDS: Final = ("state", "kind", "since", "until")


class AlertPages:
    """The handler."""

    def __init__(self, reader: AlertReader) -> None:
        self._reader = reader

    async def show(self, visit: Visit) -> web.Response:
        """Show a page, the latest first."""
        given = visit.request.query
        fields = {name: value.strip() for name, value in given.items() if value.strip()}
        query = msgspec.structs.replace(filter_of(fields, AlertQuery), limit=MOST_PER_PAGE)
        chosen = chosen_of(given, FILTER_FIELDS)
        with refusing_filters():
            page = await self._reader.page(query)
        return visit.page(
            "alerts.html",
            alerts=page.items,
            chosen=chosen,
            kinds=[(kind, facts.title) for kind, facts in KINDS.items()],
            next=None if page.next is None else urlencode({**chosen, "after": page.next}),
        )
