"""Deliveries of the ledger, to be replayed, discarded, recovered or resent: which they are, and the change itself."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.ops.dead.jobs import items as job_items
from dispatcher.ops.dead.jobs.bodies import ResendFilter, Selection, What
from dispatcher.ops.dead.jobs.items import BEGINNINGS, IS_TAKEN, PRUNED, Item, Moved
from dispatcher.ops.dead.jobs.moves import missed, successors
from dispatcher.ops.dead.jobs.moves.fates import (
    JOINS,
    JOINS_OF_ENDPOINT,
    NOT_OWED,
    fate_of,
    tells_again,
)
from dispatcher.ops.dead.store import where


async def _matched(connection: Any, what: What, selection: Selection, condition: str) -> str:
    """Return as SQL id, endpoint and fate of the deliveries `d` that fulfil *condition*."""
    successor = await successors.find(connection, selection)
    if successor is None:
        fate, joins = fate_of(what, selection), JOINS if selection.skipped is None else JOINS_OF_ENDPOINT
    else:
        fate, joins = successors.fate_of(successor), successors.joins_of(successor)
    matched = f"""
    SELECT d.id, d.endpoint_id, d.event_id, {_unless_taken(what, selection, fate)} AS fate
    FROM deliveries d {joins} WHERE {condition}
    """  # noqa: S608 - what is inserted is ours
    return matched if successor is None else successors.once_each(successor, matched)


def _unless_taken(what: What, selection: Selection, fate: str) -> str:
    may_be_taken = "d.state NOT IN ('pending', 'retrying')"
    may_be_taken += "" if tells_again(what, selection) else " AND d.state <> 'told'"
    return f"""
    CASE WHEN {may_be_taken} AND EXISTS (
             SELECT FROM job_items JOIN jobs ON jobs.id = job_items.job_id
             WHERE job_items.letter_id = d.id::text AND {IS_TAKEN}
         ) THEN 'taken' ELSE {fate} END
    """


async def items_of_ids(connection: Any, what: What, selection: Selection, delivery_ids: Sequence[UUID]) -> list[Item]:
    """Return as items those of the deliveries that the ledger knows, whatever their state."""
    matched = await _matched(connection, what, selection, "d.id = ANY($1::uuid[])")
    rows = await connection.fetch(matched, list(delivery_ids))
    return [
        Item(
            letter_id=str(row["id"]),
            kind="delivery",
            delivery_id=row["id"],
            endpoint_id=row["endpoint_id"],
            state=row["fate"],
        )
        for row in rows
    ]


async def count_fates(connection: Any, what: What, selection: Selection) -> list[tuple[UUID, str, int]]:
    """Return (endpoint, fate, how many) of the deliveries that match the filter or were skipped; not those of ids."""
    if selection.skipped is not None and selection.skipped.told:
        fate = _unless_taken(what, selection, fate_of(what, selection))
        counts = await missed.count_with_told(connection, selection.skipped, fate)
        if counts is not None:
            return counts
    condition, arguments = await _condition(connection, selection, first=1)
    matched = await _matched(connection, what, selection, condition)
    rows = await connection.fetch(
        f"SELECT endpoint_id, fate, count(*) FROM ({matched}) AS matched GROUP BY 1, 2",  # noqa: S608 - what is inserted is ours
        *arguments,
    )
    return [*(tuple(row) for row in rows), *(await missed.count(connection, selection))]


async def insert_items(connection: Any, job_id: UUID, what: What, selection: Selection) -> None:
    """Write the deliveries that match the filter or were skipped as items of a job."""
    condition, arguments = await _condition(connection, selection, first=2)
    beginnings = ", ".join(f"('{fate}', '{state}', '{reason or ''}')" for fate, (state, reason) in BEGINNINGS.items())
    await connection.execute(
        f"""
        INSERT INTO job_items (job_id, letter_id, kind, delivery_id, state, reason)
        SELECT $1::uuid, id::text, 'delivery', id, coalesce(begun.state, matched.fate), nullif(begun.reason, '')
        FROM ({await _matched(connection, what, selection, condition)}) AS matched
        LEFT JOIN (VALUES {beginnings}) AS begun (fate, state, reason) USING (fate)
        """,  # noqa: S608 - what is inserted is ours
        job_id,
        *arguments,
    )
    await missed.insert_items(connection, job_id, selection)


async def _condition(connection: Any, selection: Selection, *, first: int) -> tuple[str, list[Any]]:
    """Return as a condition on deliveries `d` and their `events` what is not selected by id, and its arguments."""
    if selection.skipped is not None:
        wanted = selection.skipped
        since, until = missed.between(wanted.since, wanted.until)
        # What is told again is found by its event's time; what was not owed has an index of its own.
        state, time = ("true", "events.recorded_at") if wanted.told else (NOT_OWED, "d.created_at")
        condition = (
            f"d.endpoint_id = ${first}::uuid AND {state} AND {time} >= ${first + 1}::timestamptz "
            f"AND {time} < ${first + 2}::timestamptz AND d.id >= ${first + 3}::uuid"
        )
        return condition, [wanted.endpoint_id, since, until, missed.first_delivery(since)]
    if selection.deliveries is not None:
        return _resend_condition(selection.deliveries, first)
    return ("false", []) if selection.filter is None else await where(connection, selection.filter, first=first)


def _resend_condition(wanted: ResendFilter, first: int) -> tuple[str, list[Any]]:
    since, until = missed.between(wanted.since or missed.EARLIEST, wanted.until)
    fields = {
        "events.provider = {}::text": wanted.provider,
        "events.fax_id = {}::text": wanted.fax_id,
        "d.event_id = {}::text": wanted.event_id,
        "d.endpoint_id = {}::uuid": wanted.endpoint_id,
        "events.type = {}::text": wanted.type,
        "d.state = {}::text": wanted.state,
        "events.recorded_at >= {}::timestamptz": None if wanted.since is None else since,
        "events.recorded_at < {}::timestamptz": None if wanted.until is None else until,
    }
    given = [(condition, value) for condition, value in fields.items() if value is not None]
    conditions = [condition.format(f"${first + index}") for index, (condition, _) in enumerate(given)]
    # What a person discarded, or what was never owed, is sent only if it is named.
    conditions += [] if wanted.state else ["d.state <> 'skipped'"]
    return " AND ".join(conditions), [value for _, value in given]


_JOB: Final = "SELECT selection FROM jobs WHERE id = $1"

_NEXT: Final = """
SELECT letter_id, delivery_id, event_id FROM job_items
WHERE job_id = $1 AND state = 'waiting' AND delivery_id IS NOT NULL ORDER BY letter_id LIMIT $2
"""

_REPLAY: Final = """
UPDATE deliveries d
SET state = 'retrying', reason = NULL, due_at = now(), lease_until = NULL, sweeps = 0, settled_at = NULL,
    budget_from = d.attempts, replayed_at = now(), crashes = 0, crash_place = NULL
WHERE d.id = ANY($1::uuid[]) AND d.state = 'dead'
"""

_LOCK_EVENTS: Final = """
SELECT FROM events WHERE id IN (SELECT event_id FROM deliveries WHERE id = ANY($1::uuid[])) ORDER BY id FOR KEY SHARE
"""
"""So that nothing of them is pruned between the look at them and the commit."""

_RECOVER: Final = f"""
UPDATE deliveries d
SET state = 'pending', reason = NULL, due_at = now(), lease_until = NULL, sweeps = 0, settled_at = NULL,
    replayed_at = now(), crashes = 0, crash_place = NULL
WHERE d.id = ANY($1::uuid[]) AND {NOT_OWED}
"""  # noqa: S608 - the inserted text is a constant

_RESEND: Final = """
UPDATE deliveries d
SET state = CASE WHEN d.attempts = 0 THEN 'pending' ELSE 'retrying' END, reason = NULL, due_at = now(),
    lease_until = NULL, sweeps = 0, settled_at = NULL, budget_from = d.attempts, replayed_at = now(), crashes = 0,
    crash_place = NULL, tells_overtaken = $2,
    resent_from = CASE WHEN d.state = 'told' THEN d.attempts ELSE d.resent_from END
WHERE d.id = ANY($1::uuid[]) AND d.state IN ('told', 'dead', 'skipped')
"""

_DISCARD: Final = """
UPDATE deliveries d SET state = 'skipped', reason = 'discarded', settled_at = now(), lease_until = NULL
WHERE d.id = ANY($1::uuid[]) AND d.state = 'dead'
"""

_CHANGES: Final[dict[What, str]] = {
    "dead.replay": _REPLAY,
    "dead.discard": _DISCARD,
    "endpoint.recover": _RECOVER,
}


async def move(connection: Any, job_id: UUID, what: What, most: int) -> tuple[int, list[Moved]]:
    """Change the next of a job's deliveries in the ledger, in the caller's transaction.

    Return how many items that settled or moved, and what has to be published now.
    """
    selection = msgspec.json.decode(await connection.fetchval(_JOB, job_id), type=Selection)
    wanted = await connection.fetch(_NEXT, job_id, most)
    letters = {row["delivery_id"]: row["letter_id"] for row in wanted}
    # 1. What the endpoint was never owed gets its delivery.
    never_owed = {row["delivery_id"]: row["event_id"] for row in wanted if row["event_id"] is not None}
    if never_owed and selection.skipped is not None:
        await missed.write(connection, selection.skipped.endpoint_id, never_owed)
    successor = await successors.find(connection, selection)
    if what in {"endpoint.recover", "delivery.resend"} or successor is not None:
        await connection.execute(_LOCK_EVENTS, list(letters))
    if successor is not None:
        return len(letters), await successors.move(connection, successor, job_id, letters)
    # 2. What becomes of each now, its row locked?
    rows = await connection.fetch(_locked(what, selection), list(letters))
    fates: dict[UUID, Any] = dict.fromkeys(letters, "gone") | {row["id"]: row["fate"] for row in rows}
    chosen = [row for row in rows if row["fate"] == "waiting"]
    # 3. The change, and who decided it.
    chosen_ids = [row["id"] for row in chosen]
    if tells_again(what, selection):
        await connection.execute(_RESEND, chosen_ids, selection.overtaken)
    else:
        await connection.execute(_CHANGES[what], chosen_ids)
    await job_items.decide(connection, job_id, chosen)
    is_owed_again = what != "dead.discard"
    outcome = {"waiting": ("moved" if is_owed_again else "done", None), "pruned": PRUNED}
    await job_items.settle(
        connection, job_id, [(letters[each], *outcome.get(fate, (fate, None))) for each, fate in fates.items()]
    )
    moved = [Moved(letters[row["id"]], row["id"], row["attempts"] + 1) for row in chosen] if is_owed_again else []
    return len(letters), moved


def _locked(what: What, selection: Selection) -> str:
    return f"""
    SELECT d.id, d.attempts, d.state, {fate_of(what, selection)} AS fate
    FROM deliveries d {JOINS} WHERE d.id = ANY($1::uuid[]) ORDER BY d.id FOR UPDATE OF d
    """  # noqa: S608 - what is inserted is ours


async def has_stale_copies(connection: Any, job_id: UUID) -> bool:
    """Return True if a job told a dead delivery again: its copy lies in the queue of dead deliveries."""
    return bool(
        await connection.fetchval("SELECT EXISTS (SELECT FROM decisions WHERE job_id = $1 AND was = 'dead')", job_id)
    )


async def unpublished(connection: Any, job_id: UUID) -> list[Moved]:
    """Return what an earlier holder of the job moved and may not have published."""
    rows = await connection.fetch(
        """
        SELECT job_items.letter_id, d.id, d.attempts FROM job_items JOIN deliveries d ON d.id = job_items.delivery_id
        WHERE job_items.job_id = $1 AND job_items.state = 'moved' ORDER BY 1
        """,
        job_id,
    )
    return [Moved(row["letter_id"], row["id"], row["attempts"] + 1) for row in rows]


async def discard_owed(connection: Any, job_id: UUID, delivery_id: UUID) -> bool:
    """Give up a delivery that is owed and not being attempted; return False if it is neither."""
    return bool(
        await connection.fetchval(
            """
            WITH owed AS (
                SELECT id, state FROM deliveries
                WHERE id = $1 AND state IN ('pending', 'retrying') AND (lease_until IS NULL OR lease_until < now())
                FOR UPDATE
            ), given_up AS (
                UPDATE deliveries SET state = 'skipped', reason = 'discarded', settled_at = now(), lease_until = NULL
                FROM owed WHERE deliveries.id = owed.id
                RETURNING deliveries.id, owed.state AS was, deliveries.attempts
            )
            INSERT INTO decisions (delivery_id, job_id, what, who, reason, was, attempts)
            SELECT given_up.id, jobs.id, jobs.what, jobs.who, jobs.reason, given_up.was, given_up.attempts
            FROM given_up, jobs WHERE jobs.id = $2
            RETURNING true
            """,
            delivery_id,
            job_id,
        )
    )


async def under_way(connection: Any, delivery_ids: Sequence[UUID]) -> list[UUID]:
    """Return those of the deliveries that are neither attempted nor put off yet: live traffic waits for them.

    Those that are being attempted for the first time are among them.
    """
    rows = await connection.fetch(
        """
        SELECT id FROM deliveries
        WHERE id = ANY($1::uuid[]) AND state IN ('pending', 'retrying') AND attempts = budget_from
        AND (lease_until > now() OR lease_until IS NULL AND due_at <= now())
        """,
        list(delivery_ids),
    )
    return [row["id"] for row in rows]
