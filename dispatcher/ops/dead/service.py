"""Dead letters as one thing: what may be asked of them (`letters.DeadLetters`), over ledger and queues."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final
from uuid import UUID, uuid4

from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.api.cursor import AwareTime, BadCursor, read_cursor, write_cursor
from dispatcher.ops.dead import store as deliveries
from dispatcher.ops.dead.causes import group_of
from dispatcher.ops.dead.errors import BadSelection, TakenByAnother, UnknownLetter
from dispatcher.ops.dead.groups import Gathered
from dispatcher.ops.dead.jobs import store as jobs
from dispatcher.ops.dead.jobs.bodies import Job, ReplayPreview, Selection, What
from dispatcher.ops.dead.jobs.planner import Chooser, Plan, uuid_of
from dispatcher.ops.dead.jobs.store import Lost
from dispatcher.ops.dead.jobs.worker import Progress, Worker
from dispatcher.ops.dead.letters import (
    DeadFilter,
    DeadGroups,
    DeadLetter,
    DeadLetterDetail,
    DeadPage,
    Kind,
    Place,
    Text,
)
from dispatcher.ops.dead.queues.held_queue import DeadQueues
from dispatcher.ops.dead.queues.index import DeadQueueIndex
from dispatcher.ops.dead.queues.reading import read, shown_message
from shared.amqp.connection import ConnectionLost
from shared.errors import place_of
from shared.log import get_logger
from shared.runtime.service import end

PICK_UP_SECONDS: Final = 2.0
"""How often a dispatcher looks for jobs that somebody left."""


class DeadLetterService:
    """The dead letters of one ledger and broker, and the jobs that this process is at."""

    def __init__(self, pool: Pool, queues: DeadQueues, worker: Worker, holder: UUID) -> None:
        self._pool = pool
        self._queues = queues
        self._shelf = DeadQueueIndex(pool, queues)
        self._chooser = Chooser(pool, self._shelf, holder)
        self._worker = worker
        self._holder = holder
        self._working: dict[UUID, asyncio.Task[Job]] = {}
        self._log = get_logger()

    # ---- Looking -----------------------------------------------------------------------------------------------------

    async def page(self, wanted: DeadFilter, after: str | None, most: int) -> DeadPage:
        """Return at most *most* letters, latest death first, after the cursor."""
        cursor = None if after is None else read_place(after)
        queued, of_ledger = await asyncio.gather(
            self._shelf.matching(wanted), deliveries.page(self._pool, wanted, cursor, most + 1)
        )
        found = sorted((*of_ledger, *queued), key=lambda letter: letter.place, reverse=True)
        if cursor is not None:
            found = [letter for letter in found if letter.place < cursor]
        items = found[:most]
        return DeadPage(items=items, next=write_cursor(items[-1].place) if len(found) > most else None)

    async def groups(self, wanted: DeadFilter) -> DeadGroups:
        """Return the letters grouped by kind and cause, largest group first."""
        queued, counted = await asyncio.gather(self._shelf.matching(wanted), deliveries.counts(self._pool, wanted))
        gathered: dict[tuple[Kind, str], Gathered] = {}
        for each in counted:
            key = group_of("delivery", each.code).key
            gathered.setdefault(("delivery", key), Gathered()).add_count(each)
        for letter in queued:
            gathered.setdefault((letter.kind, letter.group), Gathered()).add_letter(letter)
        examples = await deliveries.letters(
            self._pool, [each.latest_id for each in gathered.values() if each.latest_id is not None]
        )
        groups = [each.group(kind, key, examples) for (kind, key), each in gathered.items()]
        return DeadGroups(
            items=sorted(
                (group for group in groups if group is not None), key=lambda group: (-group.count, group.cause)
            )
        )

    async def show(self, letter_id: str) -> DeadLetterDetail:
        """Return one letter with all that helps to decide on it."""
        if "\0" in letter_id:
            raise UnknownLetter("there is no dead letter with a zero in its id")
        delivery_id = uuid_of(letter_id)
        if delivery_id is not None:
            letter = (await deliveries.letters(self._pool, [delivery_id])).get(delivery_id)
            if letter is not None:
                return await self._detail(letter, attempts_of=delivery_id)
        letter = (await self._shelf.letters()).get(letter_id)
        if letter is None:
            raise UnknownLetter(await self._chooser.why_unknown([letter_id]))
        return await self._detail(letter, message=await self._message(letter))

    async def _detail(
        self, letter: DeadLetter, *, attempts_of: UUID | None = None, message: Any = None
    ) -> DeadLetterDetail:
        group = group_of(letter.kind, letter.cause)
        endpoint = None
        if letter.endpoint_id is not None:
            endpoint = (await deliveries.endpoints(self._pool, [letter.endpoint_id])).get(letter.endpoint_id)
        return DeadLetterDetail(
            letter=letter,
            title=group.title,
            hint=group.hint,
            endpoint_url=None if endpoint is None else endpoint[0],
            is_endpoint_ready=None if endpoint is None else endpoint[1],
            attempts=[] if attempts_of is None else await deliveries.attempts(self._pool, attempts_of),
            message=message,
        )

    async def _message(self, letter: DeadLetter) -> Any:
        async with self._queues.hold(letter.kind) as held:
            bodies = [m.body async for m in held.messages() if read(letter.kind, m).letter.id == letter.id]
        return shown_message(letter.kind, bodies[0]) if bodies else None

    # ---- Deciding ----------------------------------------------------------------------------------------------------

    async def preview(self, what: What, selection: Selection) -> ReplayPreview:
        """Return what it would do now, changing nothing."""
        return await self._chooser.preview(what, selection)

    async def begin(
        self,
        what: What,
        selection: Selection,
        *,
        who: str,
        reason: str | None = None,
        progress: Progress | None = None,
    ) -> Job:
        """Write down which letters it is about, and begin to work them off in the background."""
        plan = await self.plan(what, selection)
        async with self._pool.acquire() as connection, connection.transaction():
            job_id = await self.write(connection, plan, who=who, reason=reason)
        return await self.go_on(job_id, progress)

    async def plan(self, what: What, selection: Selection) -> Plan:
        """Look up what `write` needs to know: nothing slow is left for its transaction."""
        return await self._chooser.plan(what, selection)

    async def write(self, connection: Any, plan: Plan, *, who: str, reason: str | None) -> UUID:
        """Write the job of a plan in the caller's transaction; return its id."""
        return await self._chooser.write(connection, plan, who=who, reason=reason)

    # ---- Doing -------------------------------------------------------------------------------------------------------

    async def go_on(self, job_id: UUID, progress: Progress | None = None) -> Job:
        """Work on a job in the background if it is ours; return it as it stands."""
        if job_id not in self._working and await jobs.claim(self._pool, self._holder, job_id) is not None:
            self._start(job_id, progress)
        return await jobs.get(self._pool, job_id)

    async def job(self, job_id: UUID) -> Job:
        """Return a job."""
        return await jobs.get(self._pool, job_id)

    async def jobs(self, most: int = 50) -> list[Job]:
        """Return the latest jobs, newest first."""
        return await jobs.latest(self._pool, most)

    async def wait(self, job_id: UUID, most_seconds: float | None) -> Job:
        """Wait until this process is done with a job, at most so long; return it as it stands then."""
        if (task := self._working.get(job_id)) is not None:
            await asyncio.wait({task}, timeout=most_seconds)
        return await jobs.get(self._pool, job_id)

    async def stop(self, job_id: UUID, *, who: str) -> Job:
        """End a job early: what it has not come to stays dead."""
        async with self._pool.acquire() as connection, connection.transaction():
            await jobs.get(connection, job_id)
            if await jobs.stop(connection, job_id):
                await write_audit(connection, who, "job.stopped", job_id)
        return await jobs.get(self._pool, job_id)

    async def run(self, ledger_known: Callable[[], Awaitable[None]]) -> None:
        """Once the ledger is known to be there, go on for ever with what somebody left."""
        await ledger_known()
        while True:
            try:
                while (left := await jobs.claim(self._pool, self._holder)) is not None:
                    with suppress(Exception):
                        await self._start(left, None)
            except LEDGER_UNAVAILABLE as error:
                self._log.warning("job.delayed", reason=type(error).__name__)
            await asyncio.sleep(PICK_UP_SECONDS)

    async def close(self) -> None:
        """Leave what is under way to others."""
        await end(set(self._working.values()))

    def _start(self, job_id: UUID, progress: Progress | None) -> "asyncio.Task[Job]":
        task = asyncio.create_task(self._work(job_id, progress))
        self._working[job_id] = task
        task.add_done_callback(lambda done: self._ended(job_id, done))
        return task

    async def _work(self, job_id: UUID, progress: Progress | None) -> Job:
        try:
            return await self._worker.work(job_id, progress)
        except Lost:
            raise
        except (*LEDGER_UNAVAILABLE, ConnectionLost, TakenByAnother) as error:
            self._log.warning("job.delayed", job_id=str(job_id), reason=type(error).__name__)
            raise
        except Exception as error:
            is_given_up = await jobs.crashed(self._pool, job_id, self._holder, place_of(error))
            self._log.exception("job.crashed", job_id=str(job_id), reason=type(error).__name__, is_given_up=is_given_up)
            raise

    def _ended(self, job_id: UUID, task: "asyncio.Task[Job]") -> None:
        self._working.pop(job_id, None)
        self._shelf.forget()
        if not task.cancelled():
            task.exception()  # is logged, and in the job


def read_place(after: str) -> Place:
    """Return the place in a cursor.

    Raises:
        BadSelection: It is not a cursor of this list.
    """
    try:
        return read_cursor(after, tuple[AwareTime, Text])
    except BadCursor as error:
        raise BadSelection(str(error)) from None


def new_holder() -> UUID:
    """Return who this process is to the jobs."""
    return uuid4()
