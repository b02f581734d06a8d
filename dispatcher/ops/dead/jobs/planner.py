"""Which letters a replay or a discard is about, what would become of each, and the job that is written for them."""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.ledger.locks import Lock
from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.dead import store as deliveries
from dispatcher.ops.dead.errors import BadSelection, NothingMatches, TakenByAnother, UnknownLetter
from dispatcher.ops.dead.jobs import fates
from dispatcher.ops.dead.jobs import items as job_items
from dispatcher.ops.dead.jobs import store as jobs
from dispatcher.ops.dead.jobs.bodies import ReplayPreview, Selection, What
from dispatcher.ops.dead.jobs.items import Item
from dispatcher.ops.dead.jobs.preview import Counts
from dispatcher.ops.dead.letters import DeadLetter, Kind
from dispatcher.ops.dead.queues.index import DeadQueueIndex
from shared.ids import parse_uuid

UNKNOWN_SHOWN: Final = 5

Fate = tuple[str, Kind, UUID | None, UUID | None, str]
"""Letter, kind, delivery of the ledger, endpoint, and the state that a job's item of it begins with."""


class Plan(msgspec.Struct, frozen=True):
    """A selection, and what of it lies in the queues."""

    what: What
    selection: Selection
    queued: list[DeadLetter]


class Chooser:
    """Chooses letters of ledger and queues; jobs are written as *holder*'s."""

    def __init__(self, pool: Pool, shelf: DeadQueueIndex, holder: UUID) -> None:
        self._pool = pool
        self._shelf = shelf
        self._holder = holder

    async def preview(self, what: What, selection: Selection) -> ReplayPreview:
        """Return what it would do now, changing nothing."""
        _check(selection)
        counts = Counts()
        if selection.filter is not None:
            for endpoint_id, fate, count in await fates.count_fates(self._pool, what, selection.filter):
                counts.add("delivery", endpoint_id, fate, count)
            queued = await self._shelf.matching(selection.filter, fresh=True)
            single = await self._fates_of_queued(self._pool, queued)
        else:
            single = await self._fates_of_ids(self._pool, what, selection.ids or ())
        for _, kind, _, of_endpoint, fate in single:
            counts.add(kind, of_endpoint, fate, 1)
        return counts.preview(what, await deliveries.endpoints(self._pool, list(counts.endpoints)))

    async def plan(self, what: What, selection: Selection) -> Plan:
        """Look up in the queues what `write` needs to know of them: nothing slow is left for its transaction."""
        _check(selection)
        if selection.filter is not None:
            return Plan(what, selection, await self._shelf.matching(selection.filter, fresh=True))
        ids = selection.ids or ()
        known = await fates.fates_of_ids(self._pool, what, uuids_of(ids))
        missing = set(ids) - {str(delivery_id) for delivery_id, _, _ in known}
        queued = await self._shelf.letters(fresh=True) if missing else {}
        return Plan(what, selection, [queued[letter_id] for letter_id in missing if letter_id in queued])

    async def write(self, connection: Any, plan: Plan, *, who: str, reason: str | None) -> UUID:
        """Write the job of a plan in the caller's transaction; return its id.

        Raises:
            UnknownLetter, NothingMatches, TakenByAnother: As `begin`; the transaction must not be committed then.
        """
        # One after the other, so that the second of two people sees what the first one took.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", Lock.BEGIN_JOB)
        abandoned = await jobs.abandoned(connection, plan.what, plan.selection, reason)
        if abandoned is not None and await jobs.claim(connection, self._holder, abandoned) is not None:
            return abandoned
        job_id = await jobs.insert(connection, plan.what, who, reason, plan.selection, self._holder)
        if plan.selection.filter is not None:
            queued = await self._fates_of_queued(connection, plan.queued)
            # Before its own items are there, or it would take itself for another.
            await fates.write_items(connection, job_id, plan.what, plan.selection.filter)
            await job_items.insert_items(connection, job_id, [_item(fate) for fate in queued])
        else:
            of_ids = await self._fates_of_ids(
                connection, plan.what, plan.selection.ids or (), {letter.id: letter for letter in plan.queued}
            )
            await job_items.insert_items(connection, job_id, [_item(fate) for fate in of_ids])
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
        taken = await job_items.taken(connection, [letter.id for letter in listed])
        return [
            (letter.id, letter.kind, None, letter.endpoint_id, "taken" if letter.id in taken else "waiting")
            for letter in listed
        ]

    async def _fates_of_ids(
        self, connection: Any, what: What, ids: Sequence[str], queued: dict[str, DeadLetter] | None = None
    ) -> list[Fate]:
        known = await fates.fates_of_ids(connection, what, uuids_of(ids))
        found: list[Fate] = [
            (str(delivery_id), "delivery", delivery_id, endpoint_id, fate) for delivery_id, endpoint_id, fate in known
        ]
        missing = set(ids) - {fate[0] for fate in found}
        if not missing:
            return found
        if queued is None:
            queued = await self._shelf.letters(fresh=True)
        found += await self._fates_of_queued(connection, [queued[each] for each in missing if each in queued])
        missing -= queued.keys()
        were = await job_items.known_letters(connection, list(missing))
        found += [(letter_id, kind, None, None, "gone") for letter_id, kind in were.items()]
        if missing - were.keys():
            raise UnknownLetter(await self.why_unknown(sorted(missing - were.keys())))
        return found

    async def why_unknown(self, ids: Sequence[str]) -> str:
        """Return a sentence on ids that are none of dead letters."""
        if len(ids) == 1:
            were = await job_items.known_letters(self._pool, ids)
            standing = (await deliveries.standings(self._pool, uuids_of(ids))).values()
            state = next((each.state for each in standing), None)
            if state is not None:
                return f"delivery {ids[0]} is not dead: it is {state}"
            if were:
                return f"{ids[0][:200]} is a dead letter no longer: it was replayed or discarded"
            return f"there is no dead letter {ids[0][:200]}"
        shown = ", ".join(each[:200] for each in ids[:UNKNOWN_SHOWN])
        more = f" and {len(ids) - UNKNOWN_SHOWN} more" if len(ids) > UNKNOWN_SHOWN else ""
        return f"there are no dead letters {shown}{more}; nothing was changed"


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


def uuid_of(text: str) -> UUID | None:
    """Return the delivery that a letter's id names; None if it names none."""
    found = parse_uuid(text)
    return found if str(found) == text else None


def uuids_of(texts: Iterable[str]) -> list[UUID]:
    """Return those of the letters' ids that name deliveries."""
    return [found for text in texts if (found := uuid_of(text)) is not None]
