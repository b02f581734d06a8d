"""The alerts in the console: what is open, what was, who was told."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from dispatcher.alerts.kinds import KINDS
from dispatcher.ledger.pool import Pool
from dispatcher.ops.alerts.reader import AlertQuery, AlertReader
from dispatcher.ops.alerts.trying import Tried, WaysToOperator
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.pages.filters import chosen_of, filter_of, refusing_filters

MOST_PER_PAGE: Final = 30
FILTER_FIELDS: Final = ("state", "kind", "since", "until")


class AlertPages:
    """The handler."""

    def __init__(self, reader: AlertReader, pool: Pool, ways: WaysToOperator) -> None:
        self._reader = reader
        self._pool = pool
        self._ways = ways

    async def test(self, visit: Visit) -> web.Response:
        """Send a test message by each way to the operator, and show what became of it."""
        tried = await self._ways.try_all(f"{visit.session.who}, on the console")
        details = {each.channel: each.error or "sent" for each in tried}
        await write_audit(self._pool, visit.session.who, "alerts.tested", "", details)
        return await self._page(visit, tried)

    async def show(self, visit: Visit) -> web.Response:
        """Show a page, the latest first."""
        return await self._page(visit)

    async def _page(self, visit: Visit, tried: Sequence[Tried] = ()) -> web.Response:
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
            channels=[channel.shown for channel in self._ways.alerting.channels],
            tried=tried,
            kinds=[(kind, facts.title) for kind, facts in KINDS.items()],
            next=None if page.next is None else urlencode({**chosen, "after": page.next}),
        )
