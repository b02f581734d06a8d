"""Works a job off, and can be killed at any moment.

| step | killed after it | then |
|---|---|---|
| a delivery's row: `dead` becomes `retrying`, due now, no lease; its item `moved` | nobody knows | the job's next holder publishes; or the sweeper finds it |
| its message published, confirmed; its item `done` | a second message | the claim drops it |
| a callback's event published, confirmed | it is published again | its id is known |
| its item `done`, then its message taken out of the dead queue | it lies there still | the next holder takes it out |

A message goes out only after its row moved: one that came before would find the row dead and be dropped. The copies of
deliveries that are dead no longer are taken out of `dead.deliveries` in one pass at the end.
"""  # noqa: E501 - a table

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.ledger.pool import Pool
from dispatcher.messages import DeliveryMessage, Publishing, publish_until_kept
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.dead import store as deliveries
from dispatcher.ops.dead.errors import TakenByAnother
from dispatcher.ops.dead.jobs import fates
from dispatcher.ops.dead.jobs import items as job_items
from dispatcher.ops.dead.jobs import store as jobs
from dispatcher.ops.dead.jobs.bodies import Job
from dispatcher.ops.dead.jobs.items import Item, Moved
from dispatcher.ops.dead.jobs.pace import Pace
from dispatcher.ops.dead.letters import Kind
from dispatcher.ops.dead.queues.held_queue import ALL_AT_ONCE, DeadQueues, HeldQueue
from dispatcher.ops.dead.queues.index import role_of
from dispatcher.ops.dead.queues.reading import QUEUES, Found, read
from dispatcher.ops.dead.queues.reprocess import NotReprocessed, Reprocessor
from dispatcher.ops.dead.store import DeliveryStatus
from shared.amqp.frames import Message
from shared.broker import FAX_WORK, WORK_KEY
from shared.log import get_logger

BATCH: Final = 10
ROUND_SECONDS: Final = 2.0
"""So long a queue is held at a time: others want to look into it, too."""

RENEW_SECONDS: Final = 3.0
_LOOKED_AT_ONCE: Final = 200

Progress = Callable[[Job], Awaitable[None]]


class Gentle(msgspec.Struct, frozen=True):
    """How a queue is gone through: so many at a time, and a pause. In a dispatcher live traffic shares the loop."""

    chunk: int = ALL_AT_ONCE
    pause_seconds: float = 0.0


class Worker:
    """Works on jobs as *holder*."""

    def __init__(
        self,
        pool: Pool,
        queues: DeadQueues,
        publisher: Publishing,
        mender: Reprocessor,
        holder: UUID,
        *,
        rate: float,
        gentle: Gentle | None = None,
    ) -> None:
        self._pool = pool
        self._queues = queues
        self._publisher = publisher
        self._mender = mender
        self._holder = holder
        self._pace = Pace(pool, queues, rate)
        self._gentle = gentle or Gentle()
        self._log = get_logger()

    async def work(self, job_id: UUID, progress: Progress | None = None) -> Job:
        """Finish a job that *holder* has claimed.

        Raises:
            Lost: It is somebody else's now, who goes on with it, or was stopped.
        """
        keeping = asyncio.create_task(self._keep(job_id))
        working = asyncio.create_task(self._work(job_id, progress))
        try:
            await asyncio.wait({keeping, working}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                keeping.result()
            return await working
        finally:
            for task in (keeping, working):
                task.cancel()
            # Both to their end, and what the one that nobody waited for has to say is known already.
            await asyncio.gather(keeping, working, return_exceptions=True)

    async def _keep(self, job_id: UUID) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            await jobs.renew(self._pool, job_id, self._holder)

    async def _work(self, job_id: UUID, progress: Progress | None) -> Job:
        job = await jobs.get(self._pool, job_id)
        await self._publish(job_id, await job_items.unpublished(self._pool, job_id))
        while await self._some_deliveries(job):
            await self._tell(job_id, progress)
        for kind in ("callback", "event", "delivery"):
            while await self._round(job, kind):
                await self._tell(job_id, progress)
        await jobs.finish(self._pool, job_id, self._holder)
        job = await jobs.get(self._pool, job_id)
        self._log.info(
            "job.done",
            job_id=str(job_id),
            what=job.what,
            total=job.total,
            done=job.done,
            failed=job.failed,
            seconds=job.seconds,
        )
        if progress is not None:
            await progress(job)
        return job

    async def _tell(self, job_id: UUID, progress: Progress | None) -> None:
        if progress is not None:
            await progress(await jobs.get(self._pool, job_id))

    # ---- Deliveries of the ledger ------------------------------------------------------------------------------------

    async def _some_deliveries(self, job: Job) -> bool:
        await self._pace.room()
        async with self._pool.acquire() as connection, connection.transaction():
            await jobs.renew(connection, job.id, self._holder)
            settled, moved = await job_items.move(connection, job.id, job.what, BATCH)
        await self._publish(job.id, moved)
        return settled > 0

    async def _publish(self, job_id: UUID, moved: list[Moved]) -> None:
        if not moved:
            return
        async with asyncio.TaskGroup() as publishing:  # who is in a hurry does not wait for each confirm
            for each in moved:
                await self._pace.next()
                publishing.create_task(self._publish_one(each))
        self._pace.sent([each.delivery_id for each in moved])
        await job_items.settle(self._pool, job_id, [(each.letter_id, "done", None) for each in moved])

    async def _publish_one(self, moved: Moved) -> None:
        body = msgspec.json.encode(DeliveryMessage(moved.delivery_id, moved.attempt))
        await publish_until_kept(self._publisher, FAX_WORK, WORK_KEY, body, {"attempt": moved.attempt})

    # ---- Letters of the queues ---------------------------------------------------------------------------------------

    async def _round(self, job: Job, kind: Kind) -> bool:
        """Go once through a queue, at letters for at most `ROUND_SECONDS`; False if nothing is left to do in it.

        Messages that are there again though they were taken out are found by counting, and taken out once more: their
        items are done, so nothing else happens to them.
        """
        items = {item.letter_id: item for item in await job_items.of_queues(self._pool, job.id) if item.kind == kind}
        takes_copies = kind == "delivery" and (bool(items) or await job_items.has_deliveries(self._pool, job.id))
        if not items and not takes_copies:
            return False
        begun = _Round(job, kind, items, asyncio.get_running_loop().time() + ROUND_SECONDS)
        try:
            async with self._queues.hold(kind) as held:
                await self._go_through(begun, held)
        except TakenByAnother:
            return True
        unseen = [
            (item.letter_id, "gone", None)
            for item in items.values()
            if item.state == "waiting" and item.letter_id not in begun.seen
        ]
        if unseen:
            await job_items.settle(self._pool, job.id, unseen)
        ready = (await self._queues.depth(QUEUES[kind])).messages
        return begun.is_cut or (held.removed > 0 and ready > held.expected)

    async def _go_through(self, begun: "_Round", held: HeldQueue) -> None:
        batch: list[tuple[Message, Found]] = []
        async for message in held.messages(self._gentle.chunk, self._gentle.pause_seconds):
            batch.append((message, read(begun.kind, message)))
            if len(batch) >= _LOOKED_AT_ONCE:
                await self._look_at(begun, held, batch)
                batch = []
        await self._look_at(begun, held, batch)

    async def _look_at(self, begun: "_Round", held: HeldQueue, batch: list[tuple[Message, Found]]) -> None:
        known: dict[UUID, DeliveryStatus] = {}
        if begun.kind == "delivery" and batch:
            ids = [found.copy.delivery_id for _, found in batch if found.copy is not None]
            known = await deliveries.standings(self._pool, ids)
        for message, found in batch:
            standing = None if found.copy is None else known.get(found.copy.delivery_id)
            if await self._is_done_with(begun, message, found, standing):
                await held.remove(message)

    async def _is_done_with(
        self, begun: "_Round", message: Message, found: Found, standing: DeliveryStatus | None
    ) -> bool:
        """Do with a message what the job says; is it to be taken out of its queue?"""
        item = begun.items.get(found.letter.id)
        begun.seen.add(found.letter.id)
        if item is None:
            role = role_of(found.copy, standing, found.letter.attempts) if begun.kind == "delivery" else "letter"
            return role == "stale"
        if found.letter.id in begun.done or item.state == "done":
            return True  # a second copy; or whoever did it did not come to taking it out
        if item.state != "waiting" or found.letter.id in begun.failed:
            return False
        if asyncio.get_running_loop().time() >= begun.ends_at:
            begun.is_cut = True
            return False
        reason = await self._do(begun, message, found, standing)
        if reason is None:
            begun.done.add(found.letter.id)
            return True
        begun.failed.add(found.letter.id)
        await job_items.settle(self._pool, begun.job.id, [(found.letter.id, "failed", reason)])
        return False

    async def _do(self, begun: "_Round", message: Message, found: Found, standing: DeliveryStatus | None) -> str | None:
        """Replay or discard one letter, and write that; return why not, if not."""
        if begun.job.what == "dead.replay":
            await self._pace.next()
            try:
                await self._mender.mend(begun.kind, message.body, found, standing)
            except NotReprocessed as error:
                return str(error)
            await job_items.settle(self._pool, begun.job.id, [(found.letter.id, "done", None)])
            return None
        async with self._pool.acquire() as connection, connection.transaction():
            await jobs.renew(connection, begun.job.id, self._holder)
            if (
                found.copy is not None
                and standing is not None
                and not await connection.fetchval(fates.DISCARD_OWED, found.copy.delivery_id)
            ):
                return "it is being attempted at this moment"
            await write_audit(connection, begun.job.who, "dead.discarded", found.letter.id, _details(begun, found))
            await job_items.settle(connection, begun.job.id, [(found.letter.id, "done", None)])
        return None


class _Round:
    """A pass over one queue."""

    def __init__(self, job: Job, kind: Kind, items: dict[str, Item], ends_at: float) -> None:
        self.job = job
        self.kind = kind
        self.items = items
        self.ends_at = ends_at
        self.seen: set[str] = set()
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.is_cut = False


def _details(begun: _Round, found: Found) -> dict[str, Any]:
    return {
        "job": begun.job.id,
        "reason": begun.job.reason,
        "kind": begun.kind,
        "cause": found.letter.cause,
        "event_id": found.letter.event_id,
        "sha256": found.digest,
    }
