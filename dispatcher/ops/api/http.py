"""What every request to the HTTP API goes through: authentication, reading of query and body, errors as problems."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from dispatcher.ops.api.bad_fields import wrong_field
from dispatcher.ops.api.idempotency import MOST_ID_CHARACTERS
from dispatcher.ops.api.problems import CRASHED, Problem, log_crash, problem_of

PREFIX: Final = "/v1/"
READ_METHODS: Final = frozenset({"GET", "HEAD"})
WHO: Final = web.RequestKey("who", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Query = TypeVar("Query", bound=msgspec.Struct)


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
            problem = problem_of(error, request)
            if problem.code == CRASHED:
                log_crash("api.crashed", request, error)
            return problem.response()

    return middleware


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
