"""`/v1/documents`: documents of faxes, and raw bodies of callbacks that could not be parsed, over HTTP."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from aiohttp import web

from dispatcher.ops.access.rights import Right
from dispatcher.ops.api.http import WHO, check_right, read_query
from dispatcher.ops.api.operation import Operation
from dispatcher.ops.documents.content import SAFE_HEADERS, TYPES, headers_of, type_of
from dispatcher.ops.documents.service import DocumentService, Look

EventId = Annotated[
    str, msgspec.Meta(min_length=1, max_length=400, description="an event that came with it: the audit names its fax")
]


class DocumentQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which event a document is read."""

    event_id: EventId | None = None


class DocumentApi:
    """The handlers."""

    def __init__(self, documents: DocumentService) -> None:
        self._documents = documents

    def operations(self) -> Sequence[Operation]:
        """Return the operations. The longer path is first: the other one's key would take it in."""
        return (
            Operation(
                "GET",
                "/v1/documents/{key:.+}/thumbnail",
                self.thumbnail,
                "The first page of a document as an image; needs the right documents, and each look is audited",
                parameters={"key": str},
                query=DocumentQuery,
                media_type="image/png",
                problems=(422,),
                right=Right.DOCUMENTS,
            ),
            Operation(
                "GET",
                "/v1/documents/{key:.+}",
                self.read,
                "A document by its `media.key`, or the raw body of a callback that could not be parsed by its "
                "`body.key`; needs the right documents, and each look is audited",
                parameters={"key": str},
                query=DocumentQuery,
                media_type=", ".join(TYPES),
                right=Right.DOCUMENTS,
            ),
        )

    async def read(self, request: web.Request) -> web.Response:
        """Answer a document, to be saved."""
        look = _look(request)
        return answered(look.key, await self._documents.read(look))

    async def thumbnail(self, request: web.Request) -> web.Response:
        """Answer a document's first page."""
        return answered_thumbnail(await self._documents.thumbnail(_look(request)))


def answered(key: str, content: bytes) -> web.Response:
    """Return a document as an answer of which a browser runs nothing."""
    return web.Response(body=content, content_type=type_of(content), headers=headers_of(key, content))


def answered_thumbnail(page: bytes) -> web.Response:
    """Return a thumbnail, which is an image of our own making."""
    return web.Response(body=page, content_type="image/png", headers={**SAFE_HEADERS, "Content-Disposition": "inline"})


def _look(request: web.Request) -> Look:
    check_right(request, Right.DOCUMENTS)
    query = read_query(request, DocumentQuery)
    return Look(request[WHO], request.match_info["key"], query.event_id)
