"""`/v1/alerts`: what the operator was told, over HTTP."""

from collections.abc import Sequence

from aiohttp import web

from dispatcher.ops.alerts.reader import AlertPage, AlertQuery, AlertReader
from dispatcher.ops.api.http import answered, read_query
from dispatcher.ops.api.operation import Operation


class AlertApi:
    """The handlers."""

    def __init__(self, reader: AlertReader) -> None:
        self._reader = reader

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        summary = "What is wrong or was, what to do, and who was told, the latest first"
        return (Operation("GET", "/v1/alerts", self.list, summary, query=AlertQuery, answer=AlertPage),)

    async def list(self, request: web.Request) -> web.Response:
        """Answer a page of alerts."""
        return answered(200, await self._reader.page(read_query(request, AlertQuery)))
