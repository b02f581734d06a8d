"""`/v1/attempts`, and `/v1/deliveries/{id}/attempts/{n}` with the request as it was sent, over HTTP."""

from collections.abc import Sequence

from aiohttp import web

from dispatcher.ops.access.rights import Right
from dispatcher.ops.api.http import IDENTITY, WHO, answered, read_query
from dispatcher.ops.api.lookups import NoSuch, read_id
from dispatcher.ops.api.operation import Operation
from dispatcher.ops.deliveries.attempts import AttemptReader
from dispatcher.ops.deliveries.bodies import AttemptPage, AttemptWithRequest
from dispatcher.ops.deliveries.requests import RequestReader
from dispatcher.ops.faxes.lists.queries import AttemptQuery


class DeliveryApi:
    """The handlers."""

    def __init__(self, attempts: AttemptReader, requests: RequestReader) -> None:
        self._attempts = attempts
        self._requests = requests

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        return (
            Operation(
                "GET",
                "/v1/attempts",
                self.attempts,
                "Attempts, the newest first",
                query=AttemptQuery,
                answer=AttemptPage,
            ),
            Operation(
                "GET",
                "/v1/deliveries/{id}/attempts/{number}",
                self.attempt,
                "An attempt, and the request as it was sent; its body is left out where it carries a document that the "
                "token may not read",
                parameters={"number": int},
                answer=AttemptWithRequest,
            ),
        )

    async def attempts(self, request: web.Request) -> web.Response:
        """Answer a page of attempts."""
        return answered(200, await self._attempts.page(read_query(request, AttemptQuery)))

    async def attempt(self, request: web.Request) -> web.Response:
        """Answer one attempt with its request."""
        delivery_id = read_id(request.match_info["id"], "delivery")
        number = read_number(request.match_info["number"])
        with_document = Right.DOCUMENTS in request[IDENTITY].rights
        return answered(
            200, await self._requests.of(delivery_id, number, who=request[WHO], with_document=with_document)
        )


def read_number(text: str) -> int:
    """Return an attempt's number, from 1; raise `NoSuch` if *text* is not one."""
    if not (text.isascii() and text.isdigit() and len(text) <= len("2147483647")):
        raise NoSuch("attempt", text)
    return int(text)
