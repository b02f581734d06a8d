"""One operation of the HTTP API as data: the same line makes its route and its description in OpenAPI."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec
from aiohttp import web

from dispatcher.ops.access.rights import Right

_PARAMETER: Final = re.compile(r"\{(\w+)")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Operation(msgspec.Struct, frozen=True):
    """One method on one path.

    Attributes:
        path: As aiohttp writes it: `{name}` or `{name:pattern}`.
        summary: A line for people.
        parameters: The types of those parameters of the path that are not UUIDs, by name.
        query: A struct whose fields are the query's parameters, all optional.
        body: The struct of the request's body.
        required: Fields of the body that must be given though the struct has them optional.
        needs_body: A request without a body is refused, though no field is required.
        example: A body, for the description.
        answer: The body of a success: a struct, a tuple of several structs of which it is one, or None for text.
        status: Of a success.
        also: Other successes by status, e.g. 202 with a job to follow.
        problems: Statuses of refusals beside those that follow from the rest: 404 of a path with parameters, 409 of a
            command, and 401, 403, 422, 500 and 503 of every operation under `/v1/`.
        is_command: Takes a `command_id`: in the body, or in the query where it has no body.
        media_type: Of the success's body; of several one, with a comma and a space between them.
        right: That it needs; None: `read` for what only reads, `operate` for the rest.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    parameters: dict[str, Any] = {}
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    required: tuple[str, ...] = ()
    needs_body: bool = False
    example: dict[str, Any] | None = None
    answer: Any = None
    status: int = 200
    also: dict[int, Any] = {}
    problems: tuple[int, ...] = ()
    is_command: bool = False
    media_type: str = "application/json"
    right: Right | None = None

    def path_parameters(self) -> dict[str, Any]:
        """Return the types of the path's parameters, by name.

        >>> Operation("GET", "/{provider}/{id:.+}", lambda _: None, "", parameters={"provider": str}).path_parameters()
        {'provider': <class 'str'>, 'id': <class 'uuid.UUID'>}
        """
        return {name: self.parameters.get(name, UUID) for name in _PARAMETER.findall(self.path)}


class ApiPart(Protocol):
    """A part of the API: a resource and what can be done with it."""

    def operations(self) -> Sequence[Operation]:
        """Return its operations, handlers included."""


def add_operations(app: web.Application, operations: Sequence[Operation]) -> None:
    """Register a route for each operation, and one for HEAD beside each GET."""
    for operation in operations:
        if operation.method == "GET":
            app.router.add_get(operation.path, operation.handler)
        else:
            app.router.add_route(operation.method, operation.path, operation.handler)
