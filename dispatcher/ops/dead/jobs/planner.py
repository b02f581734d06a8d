"""Which letters a replay, discard or recovery takes, what would become of each, and the job written for them."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.ledger.locks import Lock
from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.api.lookups import NoSuch
from dispatcher.ops.dead import store as ledger
from dispatcher.ops.dead.errors import (
    BadSelection,
    EndpointOff,
    NothingMatches,
    NothingToSend,
    TakenByAnother,
    UnknownDelivery,
    UnknownLetter,
)
from dispatcher.ops.dead.jobs import items as job_items
from dispatcher.ops.dead.jobs import store as jobs
from dispatcher.ops.dead.jobs.bodies import EndpointCount, Job, ReplayPreview, Selection, Skipped, What
from dispatcher.ops.dead.jobs.items import Fate, Item
from dispatcher.ops.dead.jobs.moves import deliveries, successors
from dispatcher.ops.dead.letters import DeadLetter, Kind
from dispatcher.ops.dead.queues.index import DeadQueueIndex
from dispatcher.ops.dead.store import ShownEndpoint
from shared.ids import parse_uuid

UNKNOWN_SHOWN: Final = 5

Count = tuple[Kind, UUID | None, str, int]
"""Kind, endpoint, fate (the state with which an item begins), and how many letters."""


class Plan(msgspec.Struct, frozen=True):
    """A selection, and the letters of it that are in a queue only, by id."""

    what: What
    selection: Selection
    queued: dict[str, DeadLetter]


class JobPlanner:
    """Selects letters of ledger and queues, and writes jobs that are held by *holder*."""

    def __init__(self, pool: Pool, index: DeadQueueIndex, holder: UUID) -> None:
        self._pool = pool
        self._index = index
        self._holder = holder

    async def preview(self, what: What, selection: Selection) -> ReplayPreview:
        """Return what it would do now, changing nothing.

        Raises:
            BadSelection, UnknownLetter, NoSuch: See `plan`, `write`.
        """
        plan = await self.plan(what, selection)
        items = await self._items(self._pool, plan)
        counts: list[Count] = [(item.kind, item.endpoint_id, item.state, 1) for item in items]
        of_ledger = await deliveries.count_fates(self._pool, what, selection)
        counts += [("delivery", *each) for each in of_ledger]
        endpoint_ids = {endpoint_id for _, endpoint_id, _, _ in counts if endpoint_id is not None}
        endpoints = await ledger.endpoints(self._pool, list(endpoint_ids))
        return msgspec.structs.replace(preview_of(what, counts, endpoints), to=selection.to)

    async def plan(self, what: What, selection: Selection) -> Plan:
        """Look up what is in the queues, so that nothing slow is left for the transaction of `write`.

        Raises:
            BadSelection: It names neither ids nor a filter, or both; or no time is between `since` and `until`.
            NoSuch: There is no endpoint of which something is to be recovered.
            BadSuccessor: The successor is no endpoint, or a removed one.
            TakenByAnother: Another process browses a queue for longer than a moment.
        """
        if selection.skipped is not None:
            await _check_skipped(self._pool, selection.skipped)
            return Plan(what, selection, {})
        if what == "delivery.resend":
            check_resend(selection)
            return Plan(what, selection, {})
        if (selection.ids is None) == (selection.filter is None):
            raise BadSelection("say which: `ids`, `filter` or `all`, and not several of them")
        await successors.check(self._pool, selection, now=False)
        if selection.filter is not None:
            matching = await self._index.matching(selection.filter, fresh=True)
            return Plan(what, selection, {letter.id: letter for letter in matching})
        if not selection.ids:
            raise BadSelection("`ids` is empty")
        known = await ledger.statuses(self._pool, delivery_ids(selection.ids))
        missing = set(selection.ids) - {str(delivery_id) for delivery_id in known}
        queued = await self._index.letters(fresh=True) if missing else {}
        return Plan(what, selection, {letter_id: queued[letter_id] for letter_id in missing & queued.keys()})

    async def write(self, connection: Any, plan: Plan, *, who: str, reason: str | None) -> UUID:
        """Write the job of a plan in the caller's transaction; return its id.

        A job with the same selection whose holder died is taken over instead.

        Raises:
            EndpointOff: The endpoint of which something is to be recovered, or the successor, takes nothing now.
            BadSuccessor: The successor is no endpoint, or a removed one.
            UnknownLetter: An id is not that of a dead letter. The transaction must not be committed then, nor below.
            NothingMatches: Nothing matches the filter, or nothing was skipped.
            TakenByAnother: Other jobs are to replay or discard all of them.
            NothingToSend: All that a resend, or a replay to a successor, names is left out.
        """
        await successors.check(connection, plan.selection, now=True)
        if plan.selection.skipped is not None and not await _check_skipped(connection, plan.selection.skipped):
            raise EndpointOff(
                f"endpoint {plan.selection.skipped.endpoint_id} is disabled: enable it first. Nothing was changed; "
                "what it was not owed can be recovered then"
            )
        # One after the other, so that the second of two clients sees what the first one took.
        await connection.execute("SELECT pg_advisory_xact_lock($1)", Lock.BEGIN_JOB)
        abandoned = await jobs.abandoned(connection, plan.what, plan.selection, reason)
        if abandoned is not None and await jobs.claim(connection, self._holder, abandoned) is not None:
            return abandoned
        job_id = await jobs.insert(connection, plan.what, who, reason, plan.selection, self._holder)
        # All fates before any item is there, or the job would count as another one that took them.
        items = await self._items(connection, plan)
        await deliveries.insert_items(connection, job_id, plan.what, plan.selection)
        await job_items.insert(connection, job_id, items)
        job = await jobs.get(connection, job_id)
        if not job.total:
            raise NothingMatches(f"{nothing_matches(plan.what)}: nothing was changed")
        if job.skipped_taken == job.total:
            which = "it" if job.total == 1 else f"all {job.total} of them"
            raise TakenByAnother(
                f"another job has {which} already: follow that one, or try again when it is done. If its process died, "
                f"that shows in {jobs.LEASE_SECONDS:.0f} s"
            )
        if (plan.what == "delivery.resend" or plan.selection.to is not None) and not job.left:
            raise NothingToSend(f"nothing was sent: {', '.join(f'{count} {why}' for count, why in skipped_of(job))}")
        details = {"selection": plan.selection, "total": job.total, "reason": reason}
        await write_audit(connection, who, plan.what, job_id, details)
        return job_id

    async def _items(self, connection: Any, plan: Plan) -> list[Item]:
        """Return the items of a plan, without the deliveries that match a filter: SQL counts and writes those."""
        taken = await job_items.taken(connection, list(plan.queued))
        fate: Fate = "waiting" if plan.selection.to is None else "unremoved"
        items = [
            Item(
                letter_id=letter.id,
                kind=letter.kind,
                endpoint_id=letter.endpoint_id,
                state="taken" if letter.id in taken else fate,
            )
            for letter in plan.queued.values()
        ]
        ids = plan.selection.ids or ()
        items += await deliveries.items_of_ids(connection, plan.what, plan.selection, delivery_ids(ids))
        missing = set(ids) - {item.letter_id for item in items}
        gone = await job_items.known_letters(connection, list(missing)) if missing else {}
        if unknown := missing - gone.keys():
            if plan.what == "delivery.resend":
                raise UnknownDelivery(f"there is no delivery {min(unknown)[:200]}: nothing was sent")
            raise UnknownLetter(await why_unknown(connection, sorted(unknown)))
        return [*items, *(Item(letter_id=letter_id, kind=kind, state="gone") for letter_id, kind in gone.items())]


def preview_of(what: What, counts: Iterable[Count], endpoints: dict[UUID, ShownEndpoint]) -> ReplayPreview:
    """Return the sums of *counts*; *endpoints* are all that they name. Pure."""
    fates, kinds, waiting = Counter[str](), Counter[str](), Counter[UUID]()
    for kind, endpoint_id, fate, count in counts:
        fates[fate] += count
        if fate == "waiting":
            kinds[kind] += count
            if endpoint_id is not None:
                waiting[endpoint_id] += count
    return ReplayPreview(
        what=what,
        matched=fates.total(),
        count=fates["waiting"],
        skipped_told=fates["told"] + fates["known"],
        skipped_gone=fates["gone"],
        skipped_taken=fates["taken"],
        skipped_endpoint=fates["endpoint"],
        skipped_pruned=fates["pruned"],
        skipped_owed=fates["owed"],
        skipped_overtaken=fates["overtaken"],
        skipped_unsaid=fates["unsaid"],
        skipped_unremoved=fates["unremoved"],
        skipped_unfit=fates["unfit"],
        count_paused=sum(count for each, count in waiting.items() if each in endpoints and endpoints[each].is_paused),
        endpoints=[
            EndpointCount(
                endpoint_id=endpoint_id,
                url=shown.url,
                is_ready=shown.is_ready,
                is_paused=shown.is_paused,
                count=count,
            )
            for endpoint_id, count in sorted(waiting.items(), key=lambda pair: (-pair[1], str(pair[0])))
            for shown in [endpoints.get(endpoint_id, ShownEndpoint("", is_ready=False, is_paused=False))]
        ],
        kinds=dict(kinds),
    )


def nothing_matches(what: What) -> str:
    """Return a sentence on a selection of *what* that nothing matches."""
    if what == "delivery.resend":
        return "no delivery matches"
    return "nothing was skipped since then" if what == "endpoint.recover" else "no dead letter matches"


def skipped_of(counts: Job | ReplayPreview) -> list[tuple[int, str]]:
    """Return what a job leaves out, and why: how many, and the rest of a sentence. Pure."""
    to = counts.to if isinstance(counts, ReplayPreview) else counts.selection.to
    said = (
        (
            counts.skipped_told,
            "delivered meanwhile" if to is None else "settled: the successor has their event already",
        ),
        (counts.skipped_gone, "not as they were any more: replayed, discarded or recovered meanwhile"),
        (counts.skipped_taken, "another job has them"),
        (
            counts.skipped_endpoint,
            "their endpoint is disabled or removed: enable it first, or replay those of a removed one `to` a successor",
        ),
        (counts.skipped_pruned, "pruned: the content of their events is not kept any more"),
        (counts.skipped_owed, "still owed, or being attempted at this moment: delivered anyway, so not twice"),
        (counts.skipped_overtaken, "overtaken by a later event of their fax: sent only if you say `overtaken`"),
        (counts.skipped_unsaid, "the endpoint's format has no word for their event"),
        (
            counts.skipped_unremoved,
            "not dead deliveries of a removed endpoint: replay them without `to`, or recover what an endpoint missed",
        ),
        (counts.skipped_unfit, "not for the successor: its scope, direction or types leave them out"),
    )
    return [(count, why) for count, why in said if count]


def check_resend(selection: Selection) -> None:
    """Raise `BadSelection` if a resend names nothing, or more than a person can mean. Pure."""
    if (selection.ids is None) == (selection.deliveries is None):
        raise BadSelection("say which: either `ids` of deliveries or `filter`, and not both")
    if selection.ids is not None and not selection.ids:
        raise BadSelection("`ids` is empty")
    wanted = selection.deliveries
    if wanted is None:
        return
    if wanted.fax_id is not None and wanted.provider is None:
        raise BadSelection("`fax_id` needs `provider`: two providers may have given the same id")
    if wanted.fax_id is None and wanted.event_id is None and wanted.since is None:
        raise BadSelection("the filter must name a fax, an event, or `since` when")
    if wanted.since is not None and wanted.until is not None and wanted.until <= wanted.since:
        raise BadSelection("`until` must be later than `since`")


async def _check_skipped(connection: Any, skipped: Skipped) -> bool:
    """Return whether the endpoint takes deliveries now; raise `BadSelection` or `NoSuch` for a wrong request."""
    if skipped.until is not None and skipped.until <= skipped.since:
        raise BadSelection("`until` must be later than `since`")
    is_enabled = await ledger.is_enabled(connection, skipped.endpoint_id)
    if is_enabled is None:
        raise NoSuch("endpoint", skipped.endpoint_id)
    return is_enabled


async def why_unknown(connection: Any, ids: Sequence[str]) -> str:
    """Return a sentence on ids that are not those of dead letters."""
    if len(ids) == 1:
        for status in (await ledger.statuses(connection, delivery_ids(ids))).values():
            return f"delivery {ids[0]} is not dead: it is {status.state}"
        if await job_items.known_letters(connection, ids):
            return f"{ids[0][:200]} is not a dead letter any more: it was replayed or discarded"
        return f"there is no dead letter {ids[0][:200]}"
    shown = ", ".join(each[:200] for each in ids[:UNKNOWN_SHOWN])
    more = f" and {len(ids) - UNKNOWN_SHOWN} more" if len(ids) > UNKNOWN_SHOWN else ""
    return f"there are no dead letters {shown}{more}; nothing was changed"


def delivery_ids(letter_ids: Collection[str]) -> list[UUID]:
    """Return those of the letters' ids that are ids of deliveries, in their canonical form."""
    return [found for text in letter_ids if (found := parse_uuid(text)) is not None and str(found) == text]
