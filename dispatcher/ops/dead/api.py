"""`/v1/dead-letters` and `/v1/jobs`: dead letters over HTTP."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from aiohttp import web

from dispatcher.ops.api import WHO, Problem, answered
from dispatcher.ops.commands import Answer, digest_of, run_once
from dispatcher.ops.cursor import MOST_PER_PAGE
from dispatcher.ops.dead.letters import (
    BadSelection,
    DeadFilter,
    DiscardRequest,
    Job,
    NothingMatches,
    ReplayRequest,
    Selection,
    TakenByAnother,
    UnknownJob,
    UnknownLetter,
    What,
    status_of,
)
from dispatcher.ops.dead.service import DeadLetterService
from dispatcher.pool import Pool
from shared.amqp import ConnectionLost
from shared.seal import Seal

INLINE_SECONDS: Final = 2.0
"""A job that is done by then is answered 200 with its counts; a longer one 202, to be followed."""

Body = TypeVar("Body")
_OURS: Final = (UnknownLetter, NothingMatches, UnknownJob, TakenByAnother, BadSelection)
_AGES: Final = frozenset({"older_than_seconds", "younger_than_seconds"})


class DeadLetterApi:
    """The handlers."""

    def __init__(self, pool: Pool, service: DeadLetterService, seal: Seal) -> None:
        self._pool = pool
        self._service = service
        self._seal = seal

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        for method, path, handler in (
            ("GET", "/v1/dead-letters", self.list),
            ("GET", "/v1/dead-letters/groups", self.groups),
            ("GET", "/v1/dead-letters/{id}", self.show),
            ("POST", "/v1/dead-letters/replay", self.replay),
            ("POST", "/v1/dead-letters/discard", self.discard),
            ("GET", "/v1/jobs", self.jobs),
            ("GET", "/v1/jobs/{id}", self.job),
            ("POST", "/v1/jobs/{id}/stop", self.stop),
        ):
            app.router.add_route(method, path, _with_problems(handler))

    async def list(self, request: web.Request) -> web.Response:
        """Answer a page of dead letters, latest death first."""
        query = dict(request.query)
        most = _most(query.pop("limit", str(MOST_PER_PAGE)))
        after = query.pop("after", None)
        return answered(200, await self._service.page(_filter(query), after, most))

    async def groups(self, request: web.Request) -> web.Response:
        """Answer the dead letters grouped by kind and cause."""
        return answered(200, await self._service.groups(_filter(request.query)))

    async def show(self, request: web.Request) -> web.Response:
        """Answer one dead letter, with its attempts or its message."""
        return answered(200, await self._service.show(request.match_info["id"]))

    async def replay(self, request: web.Request) -> web.Response:
        """Replay dead letters; 200 with the counts, or 202 with a job to follow."""
        body = await _read(request, ReplayRequest)
        return await self._do(request, "dead.replay", body, None)

    async def discard(self, request: web.Request) -> web.Response:
        """Discard dead letters for a reason; 200 with the counts, or 202 with a job to follow."""
        body = await _read(request, DiscardRequest)
        if not body.reason.strip():
            raise Problem(422, "bad_reason", "say why: it stays in the audit", "reason")
        return await self._do(request, "dead.discard", body, body.reason)

    async def jobs(self, request: web.Request) -> web.Response:
        """Answer the latest jobs."""
        most = _most(request.query.get("limit", "50"))
        return answered(200, {"items": await self._service.jobs(most), "next": None})

    async def job(self, request: web.Request) -> web.Response:
        """Answer a job as it stands."""
        return answered(200, await self._service.job(_job_id(request)))

    async def stop(self, request: web.Request) -> web.Response:
        """End a job early: what it has not come to stays as it is."""
        return answered(200, await self._service.stop(_job_id(request), who=request[WHO]))

    async def _do(
        self, request: web.Request, what: What, body: ReplayRequest | DiscardRequest, reason: str | None
    ) -> web.Response:
        ids = None if body.ids is None else tuple(sorted(set(body.ids)))
        selection = Selection(ids=ids, filter=body.filter)
        if body.dry_run:
            return answered(200, await self._service.preview(what, selection))
        plan = await self._service.plan(what, selection)

        async def change(connection: Any) -> Answer:
            job_id = await self._service.write(connection, plan, who=request[WHO], reason=reason)
            return 202, {"id": str(job_id)}

        unnamed = msgspec.structs.replace(body, command_id=None)
        digest = digest_of("POST", request.path, msgspec.to_builtins(unnamed))
        _, answer = await run_once(self._pool, self._seal, body.command_id, digest, change)
        job_id = UUID(answer["id"])
        await self._service.go_on(job_id)
        return _answered_job(await self._service.wait(job_id, INLINE_SECONDS))


def _answered_job(job: Job) -> web.Response:
    is_done = job.finished_at is not None
    response = answered(200 if is_done else 202, job)
    if not is_done:
        response.headers["Location"] = f"/v1/jobs/{job.id}"
    return response


def _with_problems(handler: Any) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
            return response
        except _OURS as error:
            raise Problem(status_of(error), error.code, str(error)) from error
        except ConnectionLost as error:
            raise Problem(503, "unavailable", f"the broker does not answer now, try again: {error}") from error

    return handle


async def _read(request: web.Request, kind: type[Body]) -> Body:
    raw = await request.read()
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise Problem(422, "bad_request", *_sentence(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(400, "malformed", "the body is no JSON") from None


def _filter(query: Mapping[str, str]) -> DeadFilter:
    """Return the filter that a query says.

    Raises:
        Problem: A name or a value is none of a filter's.
    """
    try:
        values = {name: float(value) if name in _AGES else value for name, value in query.items()}
    except ValueError:
        raise Problem(422, "bad_filter", "must be a number of seconds", "older_than_seconds") from None
    try:
        return msgspec.convert(values, type=DeadFilter)
    except msgspec.ValidationError as error:
        raise Problem(422, "bad_filter", *_sentence(error)) from None


def _sentence(error: msgspec.ValidationError) -> tuple[str, str | None]:
    """Return what is wrong, and the field where it is."""
    sentence, _, place = str(error).partition(" - at `$")
    field = place.rstrip("`").lstrip(".").partition("[")[0] or None
    if "unknown field" in sentence:
        field = sentence.rpartition("unknown field `")[2].rstrip("`")
    return sentence, field


def _most(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MOST_PER_PAGE):  # noqa: PLR2004
        raise Problem(422, "bad_limit", f"must be 1 to {MOST_PER_PAGE}", "limit")
    return int(text)


def _job_id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise Problem(404, "job_not_found", f"there is no job {request.match_info['id'][:60]}") from None
