"""What every request to the HTTP API goes through: who asks, what may they, and errors as problems (RFC 9457)."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import asyncpg
import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from dispatcher.ledger.pool import LEDGER_UNAVAILABLE
from dispatcher.ops.api.bad_fields import wrong_field
from dispatcher.ops.api.cursor import BadCursor
from dispatcher.ops.api.idempotency import MOST_ID_CHARACTERS, CommandReused
from dispatcher.ops.endpoints.input import BadEndpoint, NoSuchEndpoint
from shared.log import get_logger

PREFIX: Final = "/v1/"
READ_METHODS: Final = frozenset({"GET", "HEAD"})
WHO: Final = web.RequestKey("who", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Query = TypeVar("Query", bound=msgspec.Struct)


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is no success, as RFC 9457 has it.

    Attributes:
        title: What `code` says, with blanks.
        code: Stable; for programs.
        detail: A sentence for people.
        field: Which field or parameter is wrong, where it is one.
    """

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    field: str | UnsetType = UNSET


class Problem(Exception):
    """An answer that is no success. `field` names what is wrong, where it is one field."""

    def __init__(
        self, status: int, code: str, detail: str, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.headers = dict(headers or {})

    def response(self) -> web.Response:
        """Return the problem as RFC 9457 has it; `code` is ours, stable, and says what `title` says."""
        body = ProblemBody(
            title=self.code.replace("_", " "),
            status=self.status,
            code=self.code,
            detail=self.detail,
            field=UNSET if self.field is None else self.field,
        )
        asks_for_token = self.status == web.HTTPUnauthorized.status_code
        return web.Response(
            status=self.status,
            body=msgspec.json.encode(body),
            content_type="application/problem+json",
            headers={**self.headers, "WWW-Authenticate": "Bearer"} if asks_for_token else self.headers,
        )


def answered(status: int, body: Any) -> web.Response:
    """Return *body* as JSON."""
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


def guard(token: str | None, read_token: str | None) -> Any:
    """Return the middleware that asks for a bearer token on everything under `/v1/` and turns errors into problems."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(PREFIX):
            return await handler(request)
        try:
            request[WHO] = _who(request, token, read_token)
            return await handler(request)
        except Exception as error:  # noqa: BLE001 - the outermost edge: every error becomes a problem
            return _problem_of(request, error).response()

    return middleware


def _problem_of(request: web.Request, error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, web.HTTPException):
        kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        code = error.reason.lower().replace(" ", "_")
        return Problem(error.status, code, f"{error.reason}: {request.method} {request.path[:200]}", headers=kept)
    for kinds, problem in _PROBLEMS:
        if isinstance(error, kinds):
            return problem(error)
    get_logger().error("api.crashed", method=request.method, route=_route(request), exc_info=error)
    return Problem(500, "crashed", "our own code failed; the log says where")


_PROBLEMS: Final[tuple[tuple[Any, Callable[[Any], Problem]], ...]] = (
    (BadEndpoint, lambda error: Problem(422, error.code, str(error), error.field)),
    (NoSuchEndpoint, lambda error: Problem(404, error.code, str(error))),
    (BadCursor, lambda error: Problem(422, error.code, str(error), "after")),
    (CommandReused, lambda error: Problem(409, error.code, str(error), "command_id")),
    (asyncpg.DataError, lambda _: Problem(422, "bad_value", "a value that the ledger cannot keep, such as a NUL")),
    (
        LEDGER_UNAVAILABLE,
        lambda _: Problem(503, "unavailable", "the ledger does not answer now, try again"),
    ),
)
"""What errors become, the first that fits; before the ledger's: a driver's refusal of a value is one of its errors."""


def read_query(request: web.Request, kind: type[Query]) -> Query:
    """Return the query's parameters as a struct of *kind*.

    Raises:
        Problem: Names the parameter that is unknown, given twice, or wrong.
    """
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name in given:
            raise Problem(422, "bad_query", "was given twice", name)
        given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        field, reason = wrong_field(error)
        raise Problem(422, "bad_query", f"{field}: {reason}" if field else reason, field) from None


async def read_body(request: web.Request, kind: type[Query]) -> Query:
    """Return the request's JSON object as a struct of *kind*; an absent body is an empty one.

    Raises:
        Problem: It is no JSON object, or a field is unknown or wrong.
    """
    return convert_body(await read_object(request), kind)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body that holds nothing."""


def convert_body(body: dict[str, Any], kind: type[Query]) -> Query:
    """Return *body* as a struct of *kind*.

    Raises:
        Problem: A field is unknown or wrong.
    """
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        field, reason = wrong_field(error)
        raise Problem(422, "bad_body", f"{field}: {reason}" if field else reason, field) from None


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the request's JSON object; an absent body is an empty one.

    Raises:
        Problem: It is no JSON object.
    """
    raw = await request.read()
    if not raw:
        return {}
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problem(400, "malformed", "the body is no JSON") from None
    if not isinstance(body, dict):
        raise Problem(400, "malformed", "the body must be a JSON object")
    return body


def take_command_id(request: web.Request, body: dict[str, Any]) -> str | None:
    """Take the `command_id` out of the body, or the query where there is no body.

    Raises:
        Problem: It is no text of a reasonable length.
    """
    command_id = body.pop("command_id", None)
    if command_id is None:
        command_id = request.query.get("command_id")
    if command_id is None:
        return None
    if not isinstance(command_id, str) or not 0 < len(command_id) <= MOST_ID_CHARACTERS or "\0" in command_id:
        raise Problem(422, "bad_command_id", f"must be a text of at most {MOST_ID_CHARACTERS} characters", "command_id")
    return command_id


def _who(request: web.Request, token: str | None, read_token: str | None) -> str:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    given_bytes = given.strip().encode("utf-8", "surrogateescape") if scheme.lower() == "bearer" else b""
    matches = {
        who: bool(secret) and hmac.compare_digest(given_bytes, (secret or "").encode())
        for who, secret in (("operator", token), ("reader", read_token))
    }
    if matches["operator"]:
        return "operator"
    if matches["reader"]:
        if request.method in READ_METHODS:
            return "reader"
        raise Problem(403, "read_only", "this token may read only")
    if not token:
        raise Problem(401, "unauthorized", "the API is off: OPS_TOKEN is not set")
    raise Problem(401, "unauthorized", "a bearer token is needed: OPS_TOKEN or, to read, OPS_READ_TOKEN")


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"
