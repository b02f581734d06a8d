"""`/v1/deliveries/{id}/attempts/{n}`: the request as it was sent, over HTTP."""

from collections.abc import Sequence

from aiohttp import web

from dispatcher.ops.access.rights import Right
from dispatcher.ops.api.http import IDENTITY, WHO, answered
from dispatcher.ops.api.lookups import NoSuch, read_id
from dispatcher.ops.api.operation import Operation
from dispatcher.ops.deliveries.bodies import AttemptWithRequest
from dispatcher.ops.deliveries.requests import RequestReader


class DeliveryApi:
    """The handlers."""

    def __init__(self, requests: RequestReader) -> None:
        self._requests = requests

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        return (
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

    async def attempt(self, request: web.Request) -> web.Response:
        """Answer one attempt with its request."""
        delivery_id = read_id(request.match_info["id"], "delivery")
        number = read_number(request.match_info["number"])
        with_document = Right.DOCUMENTS in request[IDENTITY].rights
        return answered(
            200, await self._requests.of(delivery_id, number, who=request[WHO], with_document=with_document)
        )


def read_number(text: str) -> int:
    """Return an attempt's number, from 1; raise `NoSuch` if *text* is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= len("2147483647")):
        raise NoSuch("attempt", text)
    return int(text)
