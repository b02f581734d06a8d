"""Dead letters as one thing: what may be asked of them (`letters.DeadLetters`), over ledger and queues."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from dispatcher.ops.audit import write_audit
from dispatcher.ops.dead import cursors, deliveries, jobs
from dispatcher.ops.dead.causes import group_of
from dispatcher.ops.dead.deliveries import CodeCount
from dispatcher.ops.dead.jobs import Item, Lost
from dispatcher.ops.dead.letters import (
    BadSelection,
    DeadFilter,
    DeadGroup,
    DeadGroups,
    DeadLetter,
    DeadLetterDetail,
    DeadPage,
    EndpointCount,
    Job,
    Kind,
    NothingMatches,
    ReplayPreview,
    Selection,
    TakenByAnother,
    UnknownLetter,
    What,
)
from dispatcher.ops.dead.queues import DeadQueues
from dispatcher.ops.dead.reading import fits, read, shown_message
from dispatcher.ops.dead.shelf import Shelf
from dispatcher.ops.dead.worker import Progress, Worker
from dispatcher.pool import LEDGER_AWAY, LEDGER_BUSY, Pool
from shared.amqp import ConnectionLost
from shared.domain import utc_now
from shared.errors import place_of
from shared.log import get_logger

PICK_UP_SECONDS: Final = 2.0
"""How often a dispatcher looks for jobs that somebody left."""

UNKNOWN_SHOWN: Final = 5

Fate = tuple[str, Kind, UUID | None, UUID | None, str]
"""Letter, kind, delivery of the ledger, endpoint, and the state that a job's item of it begins with."""


class DeadLetterService:
    """The dead letters of one ledger and broker, and the jobs that this process is at."""

    def __init__(self, pool: Pool, queues: DeadQueues, worker: Worker, holder: UUID) -> None:
        self._pool = pool
        self._queues = queues
        self._shelf = Shelf(pool, queues)
        self._worker = worker
        self._holder = holder
        self._working: dict[UUID, asyncio.Task[Job]] = {}
        self._log = get_logger()

    # ---- Looking -----------------------------------------------------------------------------------------------------

    async def page(self, wanted: DeadFilter, after: str | None, most: int) -> DeadPage:
        """Return at most *most* letters, latest death first, after the cursor."""
        cursor = None if after is None else cursors.read(after)
        queued, of_ledger = await asyncio.gather(
            self._queued(wanted), deliveries.page(self._pool, wanted, cursor, most + 1)
        )
        found = sorted((*of_ledger, *queued), key=cursors.place, reverse=True)
        if cursor is not None:
            found = [letter for letter in found if cursors.place(letter) < cursor]
        items = found[:most]
        return DeadPage(items=items, next=cursors.write(items[-1]) if len(found) > most else None)

    async def groups(self, wanted: DeadFilter) -> DeadGroups:
        """Return the letters grouped by kind and cause, largest group first."""
        queued, counted = await asyncio.gather(self._queued(wanted), deliveries.counts(self._pool, wanted))
        gathered: dict[tuple[Kind, str], _Gathered] = {}
        for each in counted:
            key = group_of("delivery", each.code).key
            gathered.setdefault(("delivery", key), _Gathered()).add_count(each)
        for letter in queued:
            gathered.setdefault((letter.kind, letter.group), _Gathered()).add_letter(letter)
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
        delivery_id = _uuid(letter_id)
        if delivery_id is not None:
            letter = (await deliveries.letters(self._pool, [delivery_id])).get(delivery_id)
            if letter is not None:
                return await self._detail(letter, attempts_of=delivery_id)
        letter = (await self._shelf.letters()).get(letter_id)
        if letter is None:
            raise UnknownLetter(await self._why_unknown([letter_id]))
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

    async def _queued(self, wanted: DeadFilter, *, fresh: bool = False) -> list[DeadLetter]:
        now = utc_now()
        letters = await self._shelf.letters(wanted.kind, fresh=fresh)
        return [letter for letter in letters.values() if fits(letter, wanted, now)]

    # ---- Deciding ----------------------------------------------------------------------------------------------------

    async def preview(self, what: What, selection: Selection) -> ReplayPreview:
        """Return what it would do now, changing nothing."""
        _check(selection)
        counts = _Counts()
        if selection.filter is not None:
            for endpoint_id, fate, count in await deliveries.count_fates(self._pool, what, selection.filter):
                counts.add("delivery", endpoint_id, fate, count)
            queued = await self._queued(selection.filter, fresh=True)
            single = await self._fates_of_queued(self._pool, queued)
        else:
            single = await self._fates_of_ids(self._pool, what, selection.ids or ())
        for _, kind, _, of_endpoint, fate in single:
            counts.add(kind, of_endpoint, fate, 1)
        return counts.preview(what, await deliveries.endpoints(self._pool, list(counts.endpoints)))

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

    async def plan(self, what: What, selection: Selection) -> "Plan":
        """Look up in the queues what `write` needs to know of them: nothing slow is left for its transaction."""
        _check(selection)
        if selection.filter is not None:
            return Plan(what, selection, await self._queued(selection.filter, fresh=True))
        ids = selection.ids or ()
        known = await deliveries.fates_of_ids(self._pool, what, _uuids(ids))
        missing = set(ids) - {str(delivery_id) for delivery_id, _, _ in known}
        queued = await self._shelf.letters(fresh=True) if missing else {}
        return Plan(what, selection, [queued[letter_id] for letter_id in missing if letter_id in queued])

    async def write(self, connection: Any, plan: "Plan", *, who: str, reason: str | None) -> UUID:
        """Write the job of a plan in the caller's transaction; return its id.

        Raises:
            UnknownLetter, NothingMatches, TakenByAnother: As `begin`; the transaction must not be committed then.
        """
        # One after the other, so that the second of two people sees what the first one took.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", jobs.BEGIN_LOCK)
        abandoned = await jobs.abandoned(connection, plan.what, plan.selection, reason)
        if abandoned is not None and await jobs.claim(connection, self._holder, abandoned) is not None:
            return abandoned
        job_id = await jobs.insert(connection, plan.what, who, reason, plan.selection, self._holder)
        if plan.selection.filter is not None:
            queued = await self._fates_of_queued(connection, plan.queued)
            # Before its own items are there, or it would take itself for another.
            await deliveries.write_items(connection, job_id, plan.what, plan.selection.filter)
            await jobs.insert_items(connection, job_id, [_item(fate) for fate in queued])
        else:
            fates = await self._fates_of_ids(
                connection, plan.what, plan.selection.ids or (), {letter.id: letter for letter in plan.queued}
            )
            await jobs.insert_items(connection, job_id, [_item(fate) for fate in fates])
        job = await jobs.get(connection, job_id)
        if not job.total:
            raise NothingMatches("no dead letter matches: nothing was changed")
        if job.skipped_taken == job.total:
            which = "it" if job.total == 1 else f"all {job.total} of them"
            raise TakenByAnother(
                f"another job is at {which} already: follow that one, or try again when it is done. If nobody works on "
                f"it any more, that shows in {jobs.LEASE_SECONDS:.0f} s"
            )
        details = {"selection": plan.selection, "total": job.total, "reason": reason}
        await write_audit(connection, who, plan.what, job_id, details)
        return job_id

    async def _fates_of_queued(self, connection: Any, letters: Iterable[DeadLetter]) -> list[Fate]:
        listed = list(letters)
        taken = await jobs.taken(connection, [letter.id for letter in listed])
        return [
            (letter.id, letter.kind, None, letter.endpoint_id, "taken" if letter.id in taken else "waiting")
            for letter in listed
        ]

    async def _fates_of_ids(
        self, connection: Any, what: What, ids: Sequence[str], queued: dict[str, DeadLetter] | None = None
    ) -> list[Fate]:
        known = await deliveries.fates_of_ids(connection, what, _uuids(ids))
        fates: list[Fate] = [
            (str(delivery_id), "delivery", delivery_id, endpoint_id, fate) for delivery_id, endpoint_id, fate in known
        ]
        missing = set(ids) - {fate[0] for fate in fates}
        if not missing:
            return fates
        if queued is None:
            queued = await self._shelf.letters(fresh=True)
        fates += await self._fates_of_queued(connection, [queued[each] for each in missing if each in queued])
        missing -= queued.keys()
        were = await jobs.known_letters(connection, list(missing))
        fates += [(letter_id, kind, None, None, "gone") for letter_id, kind in were.items()]
        if missing - were.keys():
            raise UnknownLetter(await self._why_unknown(sorted(missing - were.keys())))
        return fates

    async def _why_unknown(self, ids: Sequence[str]) -> str:
        if len(ids) == 1:
            were = await jobs.known_letters(self._pool, ids)
            standing = (await deliveries.standings(self._pool, _uuids(ids))).values()
            state = next((each.state for each in standing), None)
            if state is not None:
                return f"delivery {ids[0]} is not dead: it is {state}"
            if were:
                return f"{ids[0][:200]} is a dead letter no longer: it was replayed or discarded"
            return f"there is no dead letter {ids[0][:200]}"
        shown = ", ".join(each[:200] for each in ids[:UNKNOWN_SHOWN])
        more = f" and {len(ids) - UNKNOWN_SHOWN} more" if len(ids) > UNKNOWN_SHOWN else ""
        return f"there are no dead letters {shown}{more}; nothing was changed"

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

    async def run(self) -> None:
        """Go on for ever with what somebody left; stores that are away are tried again."""
        while True:
            try:
                while (left := await jobs.claim(self._pool, self._holder)) is not None:
                    with suppress(Exception):
                        await self._start(left, None)
            except (*LEDGER_AWAY, *LEDGER_BUSY) as error:
                self._log.warning("job.delayed", reason=type(error).__name__)
            await asyncio.sleep(PICK_UP_SECONDS)

    async def close(self) -> None:
        """Leave what is under way to others."""
        tasks = set(self._working.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

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
        except (*LEDGER_AWAY, *LEDGER_BUSY, ConnectionLost, TakenByAnother) as error:
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


class Plan(msgspec.Struct, frozen=True):
    """A selection, and what of it lies in the queues."""

    what: What
    selection: Selection
    queued: list[DeadLetter]


class _Gathered:
    """A group in the making."""

    def __init__(self) -> None:
        self.count = 0
        self.codes: dict[str, int] = {}
        self.endpoints: set[UUID] = set()
        self.oldest: datetime | None = None
        self.newest: datetime | None = None
        self.latest_id: UUID | None = None
        self.latest: DeadLetter | None = None

    def add_count(self, each: CodeCount) -> None:
        if self.newest is None or each.newest >= self.newest:
            self.latest_id = each.latest_id
        self._add(each.code, each.count, each.endpoint_id, each.oldest, each.newest)

    def add_letter(self, letter: DeadLetter) -> None:
        if self.latest is None or cursors.place(letter) > cursors.place(self.latest):
            self.latest = letter
        self._add(letter.cause, 1, letter.endpoint_id, letter.died_at, letter.died_at)

    def _add(
        self, code: str, count: int, endpoint_id: UUID | None, oldest: datetime | None, newest: datetime | None
    ) -> None:
        self.count += count
        self.codes[code] = self.codes.get(code, 0) + count
        if endpoint_id is not None:
            self.endpoints.add(endpoint_id)
        if oldest is not None:
            self.oldest = oldest if self.oldest is None else min(self.oldest, oldest)
        if newest is not None:
            self.newest = newest if self.newest is None else max(self.newest, newest)

    def group(self, kind: Kind, key: str, examples: dict[UUID, DeadLetter]) -> DeadGroup | None:
        example = self.latest if self.latest_id is None else examples.get(self.latest_id, self.latest)
        if example is None:
            return None  # replayed while we looked, and it was the only one
        about = group_of(kind, next(iter(self.codes)))
        return DeadGroup(
            cause=key,
            kind=kind,
            title=about.title,
            hint=about.hint,
            count=self.count,
            oldest=self.oldest,
            newest=self.newest,
            endpoint_id=next(iter(self.endpoints)) if len(self.endpoints) == 1 else None,
            endpoints=len(self.endpoints),
            codes=dict(sorted(self.codes.items())),
            example=example,
        )


class _Counts:
    """A preview in the making."""

    def __init__(self) -> None:
        self.fates: dict[str, int] = {}
        self.endpoints: dict[UUID, int] = {}
        self.kinds: dict[str, int] = {}

    def add(self, kind: Kind, endpoint_id: UUID | None, fate: str, count: int) -> None:
        self.fates[fate] = self.fates.get(fate, 0) + count
        if fate == "waiting":
            self.kinds[kind] = self.kinds.get(kind, 0) + count
            if endpoint_id is not None:
                self.endpoints[endpoint_id] = self.endpoints.get(endpoint_id, 0) + count

    def preview(self, what: What, known: dict[UUID, tuple[str, bool]]) -> ReplayPreview:
        ordered = sorted(self.endpoints.items(), key=lambda pair: (-pair[1], str(pair[0])))
        return ReplayPreview(
            what=what,
            matched=sum(self.fates.values()),
            count=self.fates.get("waiting", 0),
            skipped_told=self.fates.get("told", 0),
            skipped_gone=self.fates.get("gone", 0),
            skipped_taken=self.fates.get("taken", 0),
            skipped_endpoint=self.fates.get("endpoint", 0),
            endpoints=[
                EndpointCount(
                    endpoint_id=endpoint_id,
                    url=known.get(endpoint_id, ("", False))[0],
                    is_ready=known.get(endpoint_id, ("", False))[1],
                    count=count,
                )
                for endpoint_id, count in ordered
            ],
            kinds=self.kinds,
        )


def new_holder() -> UUID:
    """Return who this process is to the jobs."""
    return uuid4()


def _check(selection: Selection) -> None:
    if (selection.ids is None) == (selection.filter is None):
        raise BadSelection("say which: either `ids` or `filter`, and not both")
    if selection.ids is not None and not selection.ids:
        raise BadSelection("`ids` is empty")


def _item(fate: Fate) -> Item:
    letter_id, kind, delivery_id, _, state = fate
    return msgspec.convert(
        {"letter_id": letter_id, "kind": kind, "delivery_id": delivery_id, "state": state}, type=Item
    )


def _uuid(text: str) -> UUID | None:
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None


def _uuids(texts: Iterable[str]) -> list[UUID]:
    return [found for text in texts if (found := _uuid(text)) is not None]
