"""Errors as answers: what an exception becomes over HTTP (RFC 9457), in the API and in the console alike."""

import re
from collections.abc import Mapping
from typing import Final

import asyncpg
import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from dispatcher.ledger.pool import LEDGER_UNAVAILABLE
from shared.amqp.errors import ConnectionLost
from shared.errors import FaxhookError
from shared.log import get_logger

CRASHED: Final = "crashed"
_WORD: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


class WrongField(msgspec.Struct, frozen=True, kw_only=True):
    """A field that is wrong, and why: the rest of a sentence that begins with its name."""

    field: str
    detail: str


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is not a success, as RFC 9457 has it.

    Attributes:
        title: `code` with spaces.
        code: Stable; for programs.
        detail: A sentence for people.
        field: The field or parameter that is wrong, where it is one; the first, where there are several.
        errors: Every field that is wrong, where there may be several.
    """

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    field: str | UnsetType = UNSET
    errors: tuple[WrongField, ...] | UnsetType = UNSET


class Problem(Exception):
    """An answer that is not a success.

    *field* names the field or parameter that is wrong, where it is one; *wrong* all of them, each with the reason.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
        wrong: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.headers = dict(headers or {})
        self.errors = tuple(WrongField(field=name, detail=why) for name, why in (wrong or {}).items())

    def response(self) -> web.Response:
        """Return the answer; a 401 asks for a bearer token."""
        body = ProblemBody(
            title=self.code.replace("_", " "),
            status=self.status,
            code=self.code,
            detail=self.detail,
            field=UNSET if self.field is None else self.field,
            errors=self.errors or UNSET,
        )
        asks_for_token = self.status == web.HTTPUnauthorized.status_code
        return web.Response(
            status=self.status,
            body=msgspec.json.encode(body),
            content_type="application/problem+json",
            headers={**self.headers, "WWW-Authenticate": "Bearer"} if asks_for_token else self.headers,
        )


def problem_of(error: Exception, request: web.Request) -> Problem:
    """Return the answer to *request* that *error* becomes; an error that no client is to see becomes `CRASHED`."""
    match error:
        case Problem():
            return error
        case web.HTTPException(reason=reason):
            kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
            detail = f"{reason}: {request.method} {request.path[:200]}"
            return Problem(error.status, _code_of(type(error).__name__), detail, headers=kept)
        case asyncpg.DataError():  # before the ledger's: a value that the driver refuses is one of its errors
            status, code, detail = 422, "bad_value", "a value that the ledger cannot keep, such as a NUL"
        case _ if isinstance(error, LEDGER_UNAVAILABLE):
            status, code, detail = 503, "unavailable", "the ledger does not answer now, try again"
        case ConnectionLost():
            status, code, detail = 503, "unavailable", f"the broker does not answer now, try again: {error}"
        case FaxhookError() if error.status != FaxhookError.status:
            return Problem(error.status, error.code, str(error), error.field, wrong=error.wrong)
        case _:
            status, code, detail = 500, CRASHED, "our own code failed; the log says where"
    return Problem(status, code, detail)


def _code_of(name: str) -> str:
    """Return the code of a class of aiohttp's errors. Not of the status: Python renames their phrases.

    >>> _code_of("HTTPRequestEntityTooLarge"), _code_of("HTTPNotFound")
    ('request_entity_too_large', 'not_found')
    """
    return _WORD.sub("_", name.removeprefix("HTTP")).lower()


def log_crash(event: str, request: web.Request, error: Exception) -> None:
    """Log an unexpected *error* as *event*, with the route and without the path, which may hold a number."""
    resource = request.match_info.route.resource
    route = "none" if resource is None else resource.canonical
    get_logger().error(event, method=request.method, route=route, exc_info=error)
