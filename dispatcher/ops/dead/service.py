"""Dead letters as one thing, over ledger and queues: listed, grouped, shown; and opened with all that they need."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

from dispatcher.ledger.health import LedgerHealth
from dispatcher.ledger.pool import Pool, close_pool, open_pool
from dispatcher.ops.api.cursor import AwareTime, CursorOf
from dispatcher.ops.dead import store as ledger
from dispatcher.ops.dead.causes import group_of
from dispatcher.ops.dead.errors import UnknownLetter
from dispatcher.ops.dead.groups import gather
from dispatcher.ops.dead.jobs.pace import RATE
from dispatcher.ops.dead.jobs.planner import JobPlanner, delivery_ids, why_unknown
from dispatcher.ops.dead.jobs.runner import JobRunner
from dispatcher.ops.dead.jobs.worker import Worker
from dispatcher.ops.dead.letters import DeadFilter, DeadGroups, DeadLetter, DeadLetterDetail, DeadPage, Text
from dispatcher.ops.dead.queues.held_queue import ALL_AT_ONCE, BESIDE_TRAFFIC, Chunks, DeadQueues
from dispatcher.ops.dead.queues.index import DeadQueueIndex
from dispatcher.ops.dead.queues.reading import kind_of, read, shown_message
from dispatcher.ops.dead.queues.reprocess import Reprocessor
from dispatcher.settings import DeadSettings, DispatcherSettings
from shared.amqp.publisher import Publisher
from shared.media import MediaStore
from shared.runtime.service import Stop, end, running

POOL_SIZE: Final = 5
"""A pool of its own: a client that looks through three queues must not take the connections of the delivery path."""

CONFIRM_TIMEOUT_SECONDS: Final = 10.0
CURSOR: Final = CursorOf("dead letters", tuple[AwareTime, Text])


class DeadLetterService:
    """The dead letters of one ledger and broker; `planner` and `jobs` replay and discard them.

    Everything raises `TakenByAnother` if another process browses a dead-letter queue for longer than a moment, and what
    the stores raise when they are away.
    """

    def __init__(
        self, pool: Pool, queues: DeadQueues, index: DeadQueueIndex, planner: JobPlanner, jobs: JobRunner
    ) -> None:
        self._pool = pool
        self._queues = queues
        self._index = index
        self.planner = planner
        self.jobs = jobs

    async def page(self, wanted: DeadFilter, after: str | None, most: int) -> DeadPage:
        """Return at most *most* letters after the cursor, latest death first; raise `BadCursor` if it is wrong."""
        place = None if after is None else CURSOR.read(after)
        queued, of_ledger = await asyncio.gather(
            self._index.matching(wanted), ledger.page(self._pool, wanted, place, most + 1)
        )
        found = sorted((*of_ledger, *queued), key=lambda letter: letter.place, reverse=True)
        if place is not None:
            found = [letter for letter in found if letter.place < place]
        items = found[:most]
        return DeadPage(items=items, next=CURSOR.write(*items[-1].place) if len(found) > most else None)

    async def groups(self, wanted: DeadFilter) -> DeadGroups:
        """Return the letters grouped by kind and cause, largest group first."""
        queued, counts = await asyncio.gather(self._index.matching(wanted), ledger.counts(self._pool, wanted))
        gathered = gather(counts, queued)
        examples = await ledger.letters(self._pool, [each.latest_id for each in gathered if each.latest_id is not None])
        groups = [group for each in gathered if (group := each.group(examples)) is not None]
        return DeadGroups(items=sorted(groups, key=lambda group: (-group.count, group.cause)))

    async def show(self, letter_id: str) -> DeadLetterDetail:
        """Return one letter with all that helps to decide on it; raise `UnknownLetter`."""
        if "\0" in letter_id:
            raise UnknownLetter("there is no dead letter with a zero in its id")
        dead = await ledger.letters(self._pool, delivery_ids([letter_id]))
        if dead:
            [(delivery_id, letter)] = dead.items()
            attempts, message = await ledger.attempts(self._pool, delivery_id), None
        else:
            letter = await self._queued(letter_id)
            attempts, message = [], await self._message(letter)
        group = group_of(letter.kind, letter.cause)
        endpoints = await ledger.endpoints(self._pool, [] if letter.endpoint_id is None else [letter.endpoint_id])
        endpoint = next(iter(endpoints.values()), None)
        return DeadLetterDetail(
            letter=letter,
            title=group.title,
            hint=group.hint,
            endpoint_url=None if endpoint is None else endpoint.url,
            is_endpoint_ready=None if endpoint is None else endpoint.is_ready,
            attempts=attempts,
            message=message,
        )

    async def _queued(self, letter_id: str) -> DeadLetter:
        """Return a letter that is in a queue only. One that is not known may have died a moment ago: look again."""
        if (letter := (await self._index.letters()).get(letter_id)) is not None:
            return letter
        kind = kind_of(letter_id)
        letter = None if kind is None else (await self._index.letters(kind, fresh=True)).get(letter_id)
        if letter is None:
            raise UnknownLetter(await why_unknown(self._pool, [letter_id]))
        return letter

    async def _message(self, letter: DeadLetter) -> Any:
        async with self._queues.hold(letter.kind) as held:
            bodies = [m.body async for m in held.messages() if read(letter.kind, m).letter.id == letter.id]
        return shown_message(letter.kind, bodies[0]) if bodies else None


@asynccontextmanager
async def open_dead_letters(
    settings: DeadSettings | DispatcherSettings,
    name: str,
    *,
    rate: float = RATE,
    chunks: Chunks = ALL_AT_ONCE,
    may_connect: Callable[[], bool] = lambda: True,
) -> AsyncIterator[DeadLetterService]:
    """Yield the service with stores of its own; jobs under way when the body ends are left to other processes."""
    amqp_url = settings.for_operations()
    media = None if settings.media_url is None else MediaStore(settings.media_url)
    pool = await open_pool(settings.database_url.reveal(), size=POOL_SIZE, may_connect=may_connect)
    publisher = Publisher(amqp_url, name, confirm_timeout_seconds=CONFIRM_TIMEOUT_SECONDS)
    publishing = asyncio.create_task(publisher.run())
    try:
        reprocessor = Reprocessor(publisher, media, settings.asterisk_spool_dir, settings.max_body_bytes)
        queues, holder = DeadQueues(pool, amqp_url), uuid4()
        index = DeadQueueIndex(pool, queues)
        planner = JobPlanner(pool, index, holder)
        worker = Worker(pool, queues, publisher, reprocessor, holder, rate=rate, chunks=chunks)
        jobs = JobRunner(pool, planner, worker, holder, on_end=index.forget)
        try:
            yield DeadLetterService(pool, queues, index, planner, jobs)
        finally:
            await jobs.close()
    finally:
        await end({publishing})
        await close_pool(pool)


@asynccontextmanager
async def serving_dead(
    settings: DispatcherSettings, stop: Stop, ledger: LedgerHealth
) -> AsyncIterator[DeadLetterService]:
    """Yield the service of a dispatcher, which takes over the jobs of processes that died."""
    async with (
        open_dead_letters(
            settings, "dispatcher ops", chunks=BESIDE_TRAFFIC, may_connect=lambda: ledger.is_answering
        ) as service,
        running(service.jobs.run(ledger.schema_verified), stop, "jobs"),
    ):
        yield service
