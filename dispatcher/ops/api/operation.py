"""One operation of the HTTP API as data: registered as a route, described in OpenAPI, both from the same line."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path.

    Attributes:
        path: As aiohttp has it; `{name}` or `{name:pattern}`.
        summary: A line for people.
        parameters: The kinds of what stands in the path, by name.
        query: A struct whose fields are the query's parameters, all optional.
        body: The struct of the request's body.
        required: Fields of the body that must be given though the struct has them optional.
        answer: What the body of a success holds: a struct, a tuple of several that it may be, or None for text.
        status: Of a success.
        also: Other successes by status, e.g. 202 with a job to follow.
        problems: Statuses of refusals beside 401, 403, 422, 500 and 503, which every operation under `/v1/` may give.
        is_command: Takes a `command_id`: in the body, or in the query where it has none.
        media_type: Of the success's body.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    parameters: dict[str, Any] = {}
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    required: tuple[str, ...] = ()
    answer: Any = None
    status: int = 200
    also: dict[int, Any] = {}
    problems: tuple[int, ...] = ()
    is_command: bool = False
    media_type: str = "application/json"


@runtime_checkable
class Described(Protocol):
    """A part of the API that says what it offers."""

    def operations(self) -> Sequence[Operation]:
        """Return its operations, handlers included."""


def add_operations(app: web.Application, operations: Sequence[Operation]) -> None:
    """Register a route for each operation; what may be got may be asked for its head."""
    for operation in operations:
        if operation.method == "GET":
            app.router.add_get(operation.path, operation.handler)
        else:
            app.router.add_route(operation.method, operation.path, operation.handler)
