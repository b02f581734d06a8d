"""What every request to the HTTP API goes through: authentication, reading of query and body, errors as problems."""

import re
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from dispatcher.ops.access.authenticator import Authenticator, Refused
from dispatcher.ops.access.rights import Identity, Right
from dispatcher.ops.api.audit import ORIGIN
from dispatcher.ops.api.bad_fields import wrong_field
from dispatcher.ops.api.idempotency import MOST_ID_CHARACTERS
from dispatcher.ops.api.operation import Handler
from dispatcher.ops.api.problems import CRASHED, Problem, log_crash, problem_of

PREFIX: Final = "/v1/"
MOST_FORWARDED_CHARACTERS: Final = 100
READ_METHODS: Final = frozenset({"GET", "HEAD"})
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
KEY_PATTERN: Final = r"^[\t -~]*[!-~][\t -~]*$"
"""ASCII: what a header may hold elsewhere, each client and proxy writes in its own way."""

WHO: Final = web.RequestKey("who", str)
"""Whose token a request bears, as the audit names them: `operator`, `reader`, `billing (token)`."""

IDENTITY: Final = web.RequestKey("identity", Identity)
"""The same, with their rights."""

NEEDED: Final = "a bearer token is needed: OPS_TOKEN, a named token or, to read, OPS_READ_TOKEN"

Body = TypeVar("Body", bound=msgspec.Struct)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body without fields."""


def answered(status: int, body: Any) -> web.Response:
    """Return *body* as JSON."""
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


def guard(authenticator: Authenticator) -> Any:
    """Return the middleware that requires a bearer token on all paths under `/v1/`, and answers errors as problems."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        ORIGIN.set(origin_of(request))
        if not request.path.startswith(PREFIX):
            return await handler(request)
        try:
            request[IDENTITY] = identity = await _authenticate(request, authenticator)
            request[WHO] = identity.who
            return await handler(request)
        except Exception as error:  # noqa: BLE001 - the outermost edge: every error becomes a problem
            problem = problem_of(error, request)
            if problem.code == CRASHED:
                log_crash("api.crashed", request, error)
            return problem.response()

    return middleware


async def _authenticate(request: web.Request, authenticator: Authenticator) -> Identity:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    given = text.strip() if scheme.lower() == "bearer" else ""
    if not authenticator.is_on:
        raise Problem(401, "unauthorized", "the API is off: OPS_TOKEN is not set")
    if not given:
        raise Problem(401, "unauthorized", NEEDED)
    identity = await authenticator.identify(given)
    if isinstance(identity, Refused):
        authenticator.refusals.note("api.refused", identity.who, identity.reason)
        raise Problem(401, "unauthorized", f"{identity.reason}; {NEEDED}")
    if request.method not in READ_METHODS and Right.OPERATE not in identity.rights:
        raise Problem(403, "read_only", "this token may only read")
    return identity


def check_right(request: web.Request, right: Right) -> None:
    """Refuse a request whose token lacks *right*.

    Raises:
        Problem: The right is missing.
    """
    if right not in request[IDENTITY].rights:
        raise Problem(403, "right_missing", f"this token lacks the right `{right}`")


def read_query(request: web.Request, kind: type[Body]) -> Body:
    """Return the query's parameters as a struct of *kind*.

    Raises:
        Problem: Names the parameter that is unknown, given twice, or wrong.
    """
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name in given:
            raise Problem(422, "bad_query", "was given twice", name)
        given[name] = value
    query = _convert(given, kind, "bad_query", strict=False)
    for name, value in given.items():
        if value.lower() == "null" and getattr(query, name) is None:  # as it reads texts, msgspec takes it for null
            raise Problem(422, "bad_query", "is not null: leave it out", name)
    return query


async def read_body(request: web.Request, kind: type[Body]) -> Body:
    """Return the request's JSON object as a struct of *kind*; an absent body is an empty object.

    A `command_id` may come as the header `Idempotency-Key`.

    Raises:
        Problem: It is not a JSON object, or a field is unknown or wrong.
    """
    body = await read_object(request)
    if "command_id" in kind.__struct_fields__ and (command_id := take_command_id(request, body)) is not None:
        body["command_id"] = command_id
    return convert_body(body, kind)


def convert_body(body: dict[str, Any], kind: type[Body]) -> Body:
    """Return *body* as a struct of *kind*.

    Raises:
        Problem: A field is unknown or wrong.
    """
    return _convert(body, kind, "bad_body", strict=True)


def _convert(given: dict[str, Any], kind: type[Body], code: str, *, strict: bool) -> Body:
    try:
        return msgspec.convert(given, kind, strict=strict)
    except msgspec.ValidationError as error:
        field, reason = wrong_field(error, kind)
        raise Problem(422, code, f"{field}: {reason}" if field else reason, field) from None


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the request's JSON object; an absent body is an empty object.

    Raises:
        Problem: It is not a JSON object.
    """
    raw = await request.read()
    if not raw:
        return {}
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problem(400, "malformed", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Problem(400, "malformed", "the body must be a JSON object")
    return body


def take_command_id(request: web.Request, body: dict[str, Any]) -> str | None:
    """Remove the `command_id` from *body* and return it, or that of the query or the header, or None.

    Raises:
        Problem: It is not a text of 1 to `MOST_ID_CHARACTERS` characters (in the header: ASCII), or there are two that
            differ.
    """
    keys = request.headers.getall(IDEMPOTENCY_KEY, [])
    if not all(re.match(KEY_PATTERN, key) for key in keys):
        raise Problem(422, "bad_command_id", f"{IDEMPOTENCY_KEY} must be of ASCII characters", "command_id")
    given = [body.pop("command_id", None), request.query.get("command_id"), *keys]
    command_ids = [each for each in given if each is not None]
    if not command_ids:
        return None
    command_id = command_ids[0]
    if any(each != command_id for each in command_ids):
        raise Problem(422, "bad_command_id", f"differs from {IDEMPOTENCY_KEY}: give one of them", "command_id")
    if not isinstance(command_id, str) or not 0 < len(command_id) <= MOST_ID_CHARACTERS or "\0" in command_id:
        raise Problem(422, "bad_command_id", f"must be a text of at most {MOST_ID_CHARACTERS} characters", "command_id")
    return command_id


def origin_of(request: web.Request) -> str:
    """Return the address that *request* came from, and the one that a proxy says it came for."""
    forwarded = request.headers.get("X-Forwarded-For", "")[:MOST_FORWARDED_CHARACTERS]
    said = "".join(each for each in forwarded if each.isprintable())
    return f"{request.remote} for {said}" if said else str(request.remote)
