"""`/v1/audit`: who did what, over HTTP."""

from collections.abc import Sequence

from aiohttp import web

from dispatcher.ops.api.http import answered, read_query
from dispatcher.ops.api.operation import Operation
from dispatcher.ops.audit.entries import AuditPage, AuditQuery, AuditReader


class AuditApi:
    """The handlers."""

    def __init__(self, reader: AuditReader) -> None:
        self._reader = reader

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        summary = "Changes, looks at contents, log-ins and refused log-ins, the latest first"
        return (Operation("GET", "/v1/audit", self.list, summary, query=AuditQuery, answer=AuditPage),)

    async def list(self, request: web.Request) -> web.Response:
        """Answer a page of the audit."""
        return answered(200, await self._reader.page(read_query(request, AuditQuery)))
