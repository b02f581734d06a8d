"""Documents for people with the right to see them: saved, or their first page as an image."""

from aiohttp import web

from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.errors import PageError
from dispatcher.ops.documents.api import answered, answered_thumbnail
from dispatcher.ops.documents.service import DocumentService, Look


class DocumentPages:
    """The handlers."""

    def __init__(self, documents: DocumentService) -> None:
        self._documents = documents

    async def save(self, visit: Visit) -> web.Response:
        """Answer a document, to be saved."""
        look = _look(visit)
        return answered(look.key, await self._documents.read(look))

    async def thumbnail(self, visit: Visit) -> web.Response:
        """Answer a document's first page."""
        return answered_thumbnail(await self._documents.thumbnail(_look(visit)))


def _look(visit: Visit) -> Look:
    if not visit.session.may_see_contents:
        raise PageError(403, "The right documents is missing", "Your log-in may not see the contents of faxes.")
    event_id = visit.request.query.get("event_id") or None
    return Look(visit.session.who, visit.request.match_info["key"], event_id)
