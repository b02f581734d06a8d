"""Every error becomes one answer: the status, code and field that its class names, or a crash that tells nothing."""

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from dispatcher.ledger.pool import LedgerAway
from dispatcher.ops.api.cursor import BadCursor
from dispatcher.ops.api.idempotency import CommandReused
from dispatcher.ops.api.lookups import NoSuch
from dispatcher.ops.api.problems import CRASHED, Problem, problem_of
from dispatcher.ops.dead.errors import BadSelection, NothingMatches, TakenByAnother, UnknownJob, UnknownLetter
from dispatcher.ops.endpoints.urls import BadEndpoint
from shared.amqp.errors import ConnectionLost
from shared.errors import FaxhookError
from shared.media import MediaUnavailable

REQUEST = make_mocked_request("GET", "/v1/endpoints")

ANSWERS: list[tuple[Exception, int, str, str | None]] = [
    (BadEndpoint("url", "names no host"), 422, "bad_endpoint", "url"),
    (NoSuch("fax", "phaxio:1"), 404, "not_found", None),
    (BadCursor("x"), 422, "bad_cursor", "after"),
    (CommandReused("x"), 409, "command_id_reused", "command_id"),
    (UnknownLetter("x"), 404, "dead_letter_not_found", None),
    (NothingMatches("x"), 404, "nothing_matches", None),
    (UnknownJob("job", "7"), 404, "job_not_found", None),
    (TakenByAnother("x"), 409, "taken_by_another", None),
    (BadSelection("x"), 422, "bad_selection", None),
    (asyncpg.DataError("x"), 422, "bad_value", None),
    (LedgerAway("x"), 503, "unavailable", None),
    (asyncpg.ConnectionDoesNotExistError("x"), 503, "unavailable", None),
    (asyncpg.TooManyConnectionsError("x"), 503, "unavailable", None),
    (ConnectionResetError("x"), 503, "unavailable", None),
    (TimeoutError("x"), 503, "unavailable", None),
    (ConnectionLost("x"), 503, "unavailable", None),
    (web.HTTPRequestEntityTooLarge(max_size=1, actual_size=2), 413, "request_entity_too_large", None),
    (Problem(403, "read_only", "x"), 403, "read_only", None),
]


@pytest.mark.parametrize(("error", "status", "code", "field"), ANSWERS, ids=lambda value: type(value).__name__)
def test_an_error_becomes_the_answer_that_its_class_names(
    error: Exception, status: int, code: str, field: str | None
) -> None:
    problem = problem_of(error, REQUEST)
    assert (problem.status, problem.code, problem.field) == (status, code, field)
    assert problem.detail


@pytest.mark.parametrize("error", [ValueError("secret"), FaxhookError("secret"), MediaUnavailable("secret")])
def test_an_error_that_no_client_is_to_see_becomes_a_crash_that_does_not_quote_it(error: Exception) -> None:
    problem = problem_of(error, REQUEST)
    assert (problem.status, problem.code) == (500, CRASHED)
    assert "secret" not in problem.detail


def test_a_method_that_a_path_does_not_have_is_answered_with_those_that_it_has() -> None:
    problem = problem_of(web.HTTPMethodNotAllowed("PUT", ["GET", "POST"]), REQUEST)
    assert (problem.status, problem.code, problem.headers) == (405, "method_not_allowed", {"Allow": "GET,POST"})
