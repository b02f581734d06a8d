"""The same files for the console: its lists link to them."""

from aiohttp import web

from dispatcher.ops.api.http import read_query
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.errors import no_such_page
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.export.api import send_export
from dispatcher.ops.export.lists import exported_lists


class ExportPages:
    """The handler."""

    def __init__(self, sources: Sources) -> None:
        self._pool = sources.pool
        self._lists = exported_lists(sources.pool, sources.store, sources.faxes, sources.dead)

    async def send(self, visit: Visit) -> web.StreamResponse:
        """Send every row of a list that the query matches."""
        exported = self._lists.get(visit.request.match_info["name"])
        if exported is None:
            raise no_such_page()
        asked = read_query(visit.request, exported.asked)
        return await send_export(self._pool, exported, asked, visit.request, visit.session.who)
