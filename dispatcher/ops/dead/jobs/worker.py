"""Works a job off, and can be killed at any moment.

| step | killed after it | then |
|---|---|---|
| a delivery's row: `dead` becomes `retrying` (`skipped` `pending`), due now, no lease; its item `moved` | no message yet | the job's next holder publishes; or the sweeper finds it |
| of a removed endpoint's: the successor's row `pending`, the letter's `skipped`; its item `moved`, naming the first | the same | the same |
| its message published, confirmed; its item `done` | a second message | the claim drops it |
| a callback's event published, confirmed | it is published again | its id is known |
| its item `done`, then its message removed from the dead queue | it is there still | the next holder removes it |

A message goes out only after its row moved: one that came before would find the row dead and be dropped. The copies of
deliveries that are not dead any more are removed from `dead.deliveries` in one pass at the end.
"""  # noqa: E501 - a table

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from dispatcher.ledger.pool import Pool
from dispatcher.messages import PersistentPublisher, Publishing, publish_delivery
from dispatcher.ops.dead.errors import TakenByAnother
from dispatcher.ops.dead.jobs import items as job_items
from dispatcher.ops.dead.jobs import store as jobs
from dispatcher.ops.dead.jobs.bodies import Job
from dispatcher.ops.dead.jobs.items import Moved
from dispatcher.ops.dead.jobs.moves import deliveries
from dispatcher.ops.dead.jobs.pace import Pace
from dispatcher.ops.dead.jobs.queue_pass import QueuePass
from dispatcher.ops.dead.letters import KINDS, Kind
from dispatcher.ops.dead.queues.held_queue import Chunks, DeadQueues
from dispatcher.ops.dead.queues.reading import QUEUES
from dispatcher.ops.dead.queues.reprocess import Reprocessor
from shared.broker import FAX_WORK, WORK_KEY
from shared.log import get_logger

BATCH: Final = 10
RENEW_SECONDS: Final = 3.0

Progress = Callable[[Job], Awaitable[None]]


class Worker:
    """Works on jobs as *holder*, *rate* letters a second; goes through queues in *chunks*."""

    def __init__(
        self,
        pool: Pool,
        queues: DeadQueues,
        publisher: Publishing,
        reprocessor: Reprocessor,
        holder: UUID,
        *,
        rate: float,
        chunks: Chunks,
    ) -> None:
        self._pool = pool
        self._queues = queues
        self._publisher = PersistentPublisher(publisher)
        self._reprocessor = reprocessor
        self._holder = holder
        self._pace = Pace(pool, queues, rate)
        self._chunks = chunks
        self._log = get_logger()

    async def work(self, job_id: UUID, progress: Progress | None = None) -> Job:
        """Finish a job that *holder* has claimed.

        Raises:
            JobLost: Another process has it now and goes on with it, or it was stopped.
        """
        renewing = asyncio.create_task(self._renew(job_id))
        working = asyncio.create_task(self._work(job_id, progress))
        try:
            await asyncio.wait({renewing, working}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                renewing.result()
            return await working
        finally:
            for task in (renewing, working):
                task.cancel()
            # Both to their end; the error of the one that is not waited for is known already.
            await asyncio.gather(renewing, working, return_exceptions=True)

    async def _renew(self, job_id: UUID) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            await jobs.renew(self._pool, job_id, self._holder)

    async def _work(self, job_id: UUID, progress: Progress | None) -> Job:
        job = await jobs.get(self._pool, job_id)
        # What an earlier holder moved comes first: its rows are due already.
        await self._publish(job_id, await deliveries.unpublished(self._pool, job_id))
        while await self._move_some(job):
            await self._report(job_id, progress)
        # Deliveries last: by then the copies of all that was moved can be removed.
        for kind in await self._kinds(job):
            while await self._pass(job, kind):
                await self._report(job_id, progress)
        await jobs.finish(self._pool, job_id, self._holder)
        job = await jobs.get(self._pool, job_id)
        self._log.info(
            "job.done",
            replay_job_id=str(job_id),
            what=job.what,
            total=job.total,
            done=job.done,
            failed=job.failed,
            seconds=job.seconds,
        )
        await self._report(job_id, progress)
        return job

    async def _kinds(self, job: Job) -> tuple[Kind, ...]:
        """Return the kinds of letters whose queues a job has to go through."""
        if job.what in {"dead.replay", "dead.discard"}:
            return KINDS
        return ("delivery",) if await deliveries.has_stale_copies(self._pool, job.id) else ()

    async def _report(self, job_id: UUID, progress: Progress | None) -> None:
        if progress is not None:
            await progress(await jobs.get(self._pool, job_id))

    async def _move_some(self, job: Job) -> bool:
        await self._pace.room()
        async with self._pool.acquire() as connection, connection.transaction():
            await jobs.renew(connection, job.id, self._holder)
            settled, moved = await deliveries.move(connection, job.id, job.what, BATCH)
        await self._publish(job.id, moved)
        return settled > 0

    async def _publish(self, job_id: UUID, moved: list[Moved]) -> None:
        if not moved:
            return
        async with asyncio.TaskGroup() as publishing:  # at a high rate the next one does not wait for a confirm
            for each in moved:
                await self._pace.next()
                publishing.create_task(
                    publish_delivery(self._publisher, FAX_WORK, WORK_KEY, each.delivery_id, each.attempt)
                )
        self._pace.sent([each.delivery_id for each in moved])
        await job_items.settle(self._pool, job_id, [(each.letter_id, "done", None) for each in moved])

    async def _pass(self, job: Job, kind: Kind) -> bool:
        """Go once through a queue; return False if nothing is left to do in it.

        Messages that are there again though they were removed are found by counting, and removed once more: their
        items are done, so nothing else happens to them.
        """
        states = await job_items.states_in_queue(self._pool, job.id, kind)
        if not states and not (kind == "delivery" and await job_items.has_deliveries(self._pool, job.id)):
            return False
        passing = QueuePass(self._pool, self._reprocessor, self._pace, self._holder, job, kind, states)
        try:
            async with self._queues.hold(kind) as held:
                await passing.go_through(held, self._chunks)
        except TakenByAnother:
            return True
        await job_items.settle(self._pool, job.id, [(letter_id, "gone", None) for letter_id in passing.unseen()])
        ready = (await self._queues.depth(QUEUES[kind])).messages
        return passing.is_cut or (held.removed > 0 and ready > held.expected)
