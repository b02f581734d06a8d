"""The jobs that this process works on: begun, waited for, stopped, and taken over from processes that died."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from uuid import UUID

from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.dead.errors import TakenByAnother
from dispatcher.ops.dead.jobs import store as jobs
from dispatcher.ops.dead.jobs.bodies import Job, Selection, What
from dispatcher.ops.dead.jobs.planner import JobPlanner
from dispatcher.ops.dead.jobs.store import JobLost
from dispatcher.ops.dead.jobs.worker import Progress, Worker
from shared.amqp.errors import ConnectionLost
from shared.errors import place_of
from shared.log import get_logger
from shared.runtime.service import end

PICK_UP_SECONDS: Final = 2.0
"""How often a dispatcher looks for jobs whose process died."""


class JobRunner:
    """Runs jobs in the background as *holder*. *on_end* is called after each, however it ended."""

    def __init__(
        self, pool: Pool, planner: JobPlanner, worker: Worker, holder: UUID, on_end: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._planner = planner
        self._worker = worker
        self._holder = holder
        self._on_end = on_end
        self._tasks: dict[UUID, asyncio.Task[Job]] = {}
        self._log = get_logger()

    async def begin(
        self,
        what: What,
        selection: Selection,
        *,
        who: str,
        reason: str | None = None,
        progress: Progress | None = None,
    ) -> Job:
        """Write a job and begin to work on it; *who* is written into the audit: `operator`, `cli`, a console's user.

        Raises:
            BadSelection, UnknownLetter, NothingMatches, TakenByAnother: See `JobPlanner`; nothing is changed.
        """
        plan = await self._planner.plan(what, selection)
        async with self._pool.acquire() as connection, connection.transaction():
            job_id = await self._planner.write(connection, plan, who=who, reason=reason)
        return await self.go_on(job_id, progress)

    async def go_on(self, job_id: UUID, progress: Progress | None = None) -> Job:
        """Work on a job in the background if no other process does; return it as it is now."""
        if job_id not in self._tasks and await jobs.claim(self._pool, self._holder, job_id) is not None:
            self._start(job_id, progress)
        return await self.get(job_id)

    async def get(self, job_id: UUID) -> Job:
        """Return a job; raise `UnknownJob`."""
        return await jobs.get(self._pool, job_id)

    async def latest(self, most: int = 50) -> list[Job]:
        """Return the latest jobs, newest first."""
        return await jobs.latest(self._pool, most)

    async def wait(self, job_id: UUID, most_seconds: float | None) -> Job:
        """Wait until this process does not work on a job any more, at most so long; return it as it is then."""
        if (task := self._tasks.get(job_id)) is not None:
            await asyncio.wait({task}, timeout=most_seconds)
        return await self.get(job_id)

    async def stop(self, job_id: UUID, *, who: str) -> Job:
        """End a job early: the letters that it has not reached stay dead. Raise `UnknownJob`."""
        async with self._pool.acquire() as connection, connection.transaction():
            await jobs.get(connection, job_id)
            if await jobs.stop(connection, job_id):
                await write_audit(connection, who, "job.stopped", job_id)
        return await self.get(job_id)

    async def run(self, ledger_known: Callable[[], Awaitable[None]]) -> None:
        """Once the ledger is known to be there, take over for ever the jobs whose process died."""
        await ledger_known()
        while True:
            try:
                while (abandoned := await jobs.claim(self._pool, self._holder)) is not None:
                    with suppress(Exception):  # is logged, and in the job
                        await self._start(abandoned, None)
            except LEDGER_UNAVAILABLE as error:
                self._log.warning("job.delayed", reason=type(error).__name__)
            await asyncio.sleep(PICK_UP_SECONDS)

    async def close(self) -> None:
        """Leave the jobs to other processes."""
        await end(set(self._tasks.values()))

    def _start(self, job_id: UUID, progress: Progress | None) -> "asyncio.Task[Job]":
        task = asyncio.create_task(self._work(job_id, progress))
        self._tasks[job_id] = task
        task.add_done_callback(lambda done: self._ended(job_id, done))
        return task

    async def _work(self, job_id: UUID, progress: Progress | None) -> Job:
        log = self._log.bind(replay_job_id=str(job_id))
        try:
            return await self._worker.work(job_id, progress)
        except JobLost:
            raise
        except (*LEDGER_UNAVAILABLE, ConnectionLost, TakenByAnother) as error:
            log.warning("job.delayed", reason=type(error).__name__)
            raise
        except Exception as error:
            is_given_up = await jobs.crashed(self._pool, job_id, self._holder, place_of(error))
            log.exception("job.crashed", reason=type(error).__name__, is_given_up=is_given_up)
            raise

    def _ended(self, job_id: UUID, task: "asyncio.Task[Job]") -> None:
        self._tasks.pop(job_id, None)
        self._on_end()
        if not task.cancelled():
            task.exception()  # is logged, and in the job
