"""`/v1/dead-letters`, `/v1/jobs`, and what an endpoint was not owed: replayed, discarded, recovered over HTTP."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from aiohttp import web

from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.http import WHO, answered, read_body, read_query
from dispatcher.ops.api.idempotency import Answer, digest_of, run_once
from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.api.operation import Operation
from dispatcher.ops.api.problems import Problem
from dispatcher.ops.dead.errors import UnknownJob
from dispatcher.ops.dead.jobs.bodies import (
    DiscardRequest,
    Job,
    JobPage,
    JobQuery,
    LettersRequest,
    RecoverRequest,
    ReplayPreview,
    ReplayRequest,
    ResendRequest,
    Selection,
    Skipped,
    What,
)
from dispatcher.ops.dead.letters import DeadFilter, DeadGroups, DeadLetterDetail, DeadPage, DeadQuery
from dispatcher.ops.dead.service import DeadLetterService
from shared.seal import Seal

INLINE_SECONDS: Final = 2.0
"""A job that is done by then is answered 200 with its counts; a longer one 202, to be followed."""


class DeadLetterApi:
    """The handlers."""

    def __init__(self, pool: Pool, dead: DeadLetterService, seal: Seal) -> None:
        self._pool = pool
        self._dead = dead
        self._seal = seal

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        return (
            Operation(
                "GET",
                "/v1/dead-letters",
                self.list,
                "Dead letters, the latest death first",
                query=DeadQuery,
                answer=DeadPage,
                problems=(409,),
            ),
            Operation(
                "GET",
                "/v1/dead-letters/groups",
                self.groups,
                "Dead letters grouped by kind and cause",
                query=DeadFilter,
                answer=DeadGroups,
                problems=(409,),
            ),
            Operation(
                "GET",
                "/v1/dead-letters/{id}",
                self.show,
                "A dead letter, with its attempts or its message",
                parameters={"id": str},
                answer=DeadLetterDetail,
                problems=(404, 409),
            ),
            Operation(
                "POST",
                "/v1/dead-letters/replay",
                self.replay,
                "Replay dead letters, those of a removed endpoint `to` a successor, or with dry_run say what would be; "
                "a long one is a job to follow",
                body=ReplayRequest,
                needs_body=True,
                example={"filter": {"cause": "timeout"}, "dry_run": True},
                answer=(ReplayPreview, Job),
                also={202: Job},
                problems=(404, 409),
            ),
            Operation(
                "POST",
                "/v1/dead-letters/discard",
                self.discard,
                "Discard dead letters for a reason, or with dry_run say what would be",
                body=DiscardRequest,
                needs_body=True,
                example={"filter": {"cause": "unreadable"}, "reason": "a test of the provider"},
                answer=(ReplayPreview, Job),
                also={202: Job},
                problems=(404, 409),
            ),
            Operation(
                "POST",
                "/v1/endpoints/{id}/recover",
                self.recover,
                "Owe an endpoint what it was not owed while it was disabled or did not exist, with `told` also what it "
                "got; with dry_run say how much that is; a long one is a job to follow",
                body=RecoverRequest,
                needs_body=True,
                example={"since": "2026-11-27T08:00:00Z", "dry_run": True},
                answer=(ReplayPreview, Job),
                also={202: Job},
                problems=(404, 409),
            ),
            Operation(
                "POST",
                "/v1/deliveries/resend",
                self.resend,
                "Send again what was delivered or is dead, or with dry_run say what would be; a long one is a job",
                body=ResendRequest,
                needs_body=True,
                example={"filter": {"provider": "phaxio", "fax_id": "1234567"}, "dry_run": True},
                answer=(ReplayPreview, Job),
                also={202: Job},
                problems=(404, 409),
            ),
            Operation(
                "GET", "/v1/jobs", self.jobs, "The latest jobs, the newest first", query=JobQuery, answer=JobPage
            ),
            Operation("GET", "/v1/jobs/{id}", self.job, "A job as it stands", answer=Job, problems=(404,)),
            Operation(
                "POST",
                "/v1/jobs/{id}/stop",
                self.stop,
                "End a job early: what it has not reached stays as it was",
                answer=Job,
                problems=(404, 409),
            ),
        )

    async def list(self, request: web.Request) -> web.Response:
        """Answer a page of dead letters, latest death first."""
        query = read_query(request, DeadQuery)
        return answered(200, await self._dead.page(query.filter, query.after, query.limit))

    async def groups(self, request: web.Request) -> web.Response:
        """Answer the dead letters grouped by kind and cause."""
        return answered(200, await self._dead.groups(read_query(request, DeadFilter)))

    async def show(self, request: web.Request) -> web.Response:
        """Answer one dead letter, with its attempts or its message."""
        return answered(200, await self._dead.show(request.match_info["id"]))

    async def replay(self, request: web.Request) -> web.Response:
        """Replay dead letters; 200 with the counts, or 202 with a job to follow."""
        body = await read_body(request, ReplayRequest)
        return await self._do(request, "dead.replay", body, body.selection, None)

    async def discard(self, request: web.Request) -> web.Response:
        """Discard dead letters for a reason; 200 with the counts, or 202 with a job to follow."""
        body = await read_body(request, DiscardRequest)
        if not body.reason.strip():
            raise Problem(422, "bad_reason", "say why: it stays in the audit", "reason")
        return await self._do(request, "dead.discard", body, body.selection, body.reason)

    async def recover(self, request: web.Request) -> web.Response:
        """Owe an endpoint what was skipped while it was off; 200 with the counts, or 202 with a job to follow."""
        body = await read_body(request, RecoverRequest)
        endpoint_id = read_id(request.match_info["id"], "endpoint")
        skipped = Skipped(endpoint_id=endpoint_id, since=body.since, until=body.until, told=body.told)
        selection = Selection(skipped=skipped, overtaken=body.overtaken)
        return await self._do(request, "endpoint.recover", body, selection, None)

    async def resend(self, request: web.Request) -> web.Response:
        """Send deliveries again; 200 with the counts, or 202 with a job to follow."""
        body = await read_body(request, ResendRequest)
        ids = None if body.ids is None else tuple(sorted(set(body.ids)))
        selection = Selection(ids=ids, deliveries=body.filter, overtaken=body.overtaken)
        return await self._do(request, "delivery.resend", body, selection, None)

    async def jobs(self, request: web.Request) -> web.Response:
        """Answer the latest jobs."""
        query = read_query(request, JobQuery)
        return answered(200, JobPage(items=await self._dead.jobs.latest(query.limit)))

    async def job(self, request: web.Request) -> web.Response:
        """Answer a job as it stands."""
        return answered(200, await self._dead.jobs.get(_job_id(request)))

    async def stop(self, request: web.Request) -> web.Response:
        """End a job early: what it has not reached stays as it was."""
        return answered(200, await self._dead.jobs.stop(_job_id(request), who=request[WHO]))

    async def _do(
        self,
        request: web.Request,
        what: What,
        body: LettersRequest | RecoverRequest | ResendRequest,
        selection: Selection,
        reason: str | None,
    ) -> web.Response:
        if body.dry_run:
            return answered(200, await self._dead.planner.preview(what, selection))
        plan = await self._dead.planner.plan(what, selection)

        async def change(connection: Any) -> Answer:
            job_id = await self._dead.planner.write(connection, plan, who=request[WHO], reason=reason)
            return 202, {"id": str(job_id)}

        unnamed = msgspec.structs.replace(body, command_id=None)
        digest = digest_of("POST", request.path, msgspec.to_builtins(unnamed))
        _, answer = await run_once(self._pool, self._seal, body.command_id, digest, change)
        job_id = UUID(answer["id"])
        await self._dead.jobs.go_on(job_id)
        return _answered_job(await self._dead.jobs.wait(job_id, INLINE_SECONDS))


def _answered_job(job: Job) -> web.Response:
    is_done = job.finished_at is not None
    response = answered(200 if is_done else 202, job)
    if not is_done:
        response.headers["Location"] = f"/v1/jobs/{job.id}"
    return response


def _job_id(request: web.Request) -> UUID:
    return read_id(request.match_info["id"], "job", UnknownJob)
