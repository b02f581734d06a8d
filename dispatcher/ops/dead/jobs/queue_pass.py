"""One pass over a dead-letter queue for a job: its letters replayed or discarded, stale copies removed."""

import asyncio
from typing import Final
from uuid import UUID

from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.dead import store as ledger
from dispatcher.ops.dead.jobs import items as job_items
from dispatcher.ops.dead.jobs import store as jobs
from dispatcher.ops.dead.jobs.bodies import Job
from dispatcher.ops.dead.jobs.items import ItemState
from dispatcher.ops.dead.jobs.moves import deliveries
from dispatcher.ops.dead.jobs.pace import Pace
from dispatcher.ops.dead.letters import Kind
from dispatcher.ops.dead.queues.held_queue import Chunks, HeldQueue
from dispatcher.ops.dead.queues.index import role_of
from dispatcher.ops.dead.queues.reading import Found, read
from dispatcher.ops.dead.queues.reprocess import NotReprocessed, Reprocessor
from dispatcher.ops.dead.store import DeliveryStatus
from shared.amqp.frames import Message

PASS_SECONDS: Final = 2.0
"""A queue is held so long at a time: other processes want to browse it, too."""

_BATCH: Final = 200


class QueuePass:
    """A pass for *job* over the queue of *kind*; *states* are those of its items there. `is_cut`: time was up."""

    def __init__(
        self,
        pool: Pool,
        reprocessor: Reprocessor,
        pace: Pace,
        holder: UUID,
        job: Job,
        kind: Kind,
        states: dict[str, ItemState],
    ) -> None:
        self._pool = pool
        self._reprocessor = reprocessor
        self._pace = pace
        self._holder = holder
        self._job = job
        self._kind = kind
        self._states = states
        self._seen: set[str] = set()
        self._ends_at = asyncio.get_running_loop().time() + PASS_SECONDS
        self.is_cut = False

    def unseen(self) -> list[str]:
        """Return the letters that were to be replayed or discarded and are not in the queue."""
        return [each for each, state in self._states.items() if state == "waiting" and each not in self._seen]

    async def go_through(self, held: HeldQueue, chunks: Chunks) -> None:
        """Go through the queue once."""
        batch: list[tuple[Message, Found]] = []
        async for message in held.messages(chunks):
            batch.append((message, read(self._kind, message)))
            if len(batch) >= _BATCH:
                await self._look_at(held, batch)
                batch = []
        await self._look_at(held, batch)

    async def _look_at(self, held: HeldQueue, batch: list[tuple[Message, Found]]) -> None:
        ids = [found.copy.delivery_id for _, found in batch if found.copy is not None]
        known = await ledger.statuses(self._pool, ids) if ids else {}
        for message, found in batch:
            status = None if found.copy is None else known.get(found.copy.delivery_id)
            if await self._is_settled(message, found, status):
                await held.remove(message)

    async def _is_settled(self, message: Message, found: Found, status: DeliveryStatus | None) -> bool:
        """Do with a message what the job says; return True if it is to be removed from its queue."""
        letter_id = found.letter.id
        self._seen.add(letter_id)
        state = self._states.get(letter_id)
        if state is None:
            return self._kind == "delivery" and role_of(found.copy, status, found.letter.attempts) == "stale"
        if state != "waiting":
            return state == "done"  # a second copy; or an earlier holder died before it removed it
        if asyncio.get_running_loop().time() >= self._ends_at:
            self.is_cut = True
            return False
        try:
            if self._job.what == "dead.replay":
                await self._replay(message, found, status)
            else:
                await self._discard(found, status)
        except NotReprocessed as error:
            self._states[letter_id] = "failed"
            await job_items.settle(self._pool, self._job.id, [(letter_id, "failed", str(error))])
            return False
        self._states[letter_id] = "done"
        return True

    async def _replay(self, message: Message, found: Found, status: DeliveryStatus | None) -> None:
        await self._pace.next()
        await self._reprocessor.reprocess(self._kind, message.body, found, status)
        await job_items.settle(self._pool, self._job.id, [(found.letter.id, "done", None)])

    async def _discard(self, found: Found, status: DeliveryStatus | None) -> None:
        details = {
            "job": self._job.id,
            "reason": self._job.reason,
            "kind": self._kind,
            "cause": found.letter.cause,
            "event_id": found.letter.event_id,
            "sha256": found.digest,
        }
        async with self._pool.acquire() as connection, connection.transaction():
            await jobs.renew(connection, self._job.id, self._holder)
            delivery_id = None if found.copy is None or status is None else found.copy.delivery_id
            if delivery_id is not None and not await deliveries.discard_owed(connection, self._job.id, delivery_id):
                raise NotReprocessed("it is being attempted at this moment")
            await write_audit(connection, self._job.who, "dead.discarded", found.letter.id, details)
            await job_items.settle(connection, self._job.id, [(found.letter.id, "done", None)])
