"""What is old enough to be pruned, and pruning a few events at a time; one function for each step.

A payload may go when the event was received and taken in before the limit, and everything owed for it was settled
before the limit, well or by a person's decision. What is owed or dead is left alone, however old.

An event that was owed to no endpoint may be owed late, while it is being pruned. Intake locks the event's row first
(`FOR KEY SHARE`); so here the rows are locked, and only then is looked at what is owed.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from shared.domain import Media, decode_event


class Old(msgspec.Struct, frozen=True, kw_only=True):
    """An event with a payload, received before the limit. `attempts` are those made at all its deliveries."""

    event_id: str
    received_at: datetime
    attempts: int
    is_over: bool


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one step did: ids of the events pruned, and the attempts that went with them."""

    event_ids: frozenset[str]
    attempts: int


_UNSETTLED: Final = """
d.state IN ('pending', 'retrying', 'dead') OR d.settled_at IS NULL OR d.settled_at >= $1
"""

OLD: Final = f"""
SELECT old.id, old.received_at, coalesce(sum(d.attempts), 0) AS attempts,
       old.recorded_at < $1 AND NOT coalesce(bool_or(d.id IS NOT NULL AND ({_UNSETTLED})), false) AS is_over
FROM (
    SELECT id, received_at, recorded_at FROM events
    WHERE body IS NOT NULL AND received_at < $1 AND received_at >= $2 AND (received_at, id) > ($2, $3)
    ORDER BY received_at, id LIMIT $4
) old
LEFT JOIN deliveries d ON d.event_id = old.id
GROUP BY old.id, old.received_at, old.recorded_at
ORDER BY old.received_at, old.id
"""  # noqa: S608 - the inserted text is the constant above

LOCK: Final = """
SELECT id, body, media FROM events WHERE id = ANY($1::text[]) AND body IS NOT NULL
ORDER BY id FOR UPDATE SKIP LOCKED
"""
UNSETTLED: Final = f"SELECT DISTINCT d.event_id FROM deliveries d WHERE d.event_id = ANY($2::text[]) AND ({_UNSETTLED})"  # noqa: S608 - what is inserted is ours
PRUNE_ATTEMPTS: Final = """
DELETE FROM attempts USING deliveries d WHERE attempts.delivery_id = d.id AND d.event_id = ANY($1::text[])
"""
PRUNE_DECISIONS: Final = """
DELETE FROM decisions USING deliveries d WHERE decisions.delivery_id = d.id AND d.event_id = ANY($1::text[])
"""
NOTE_DOCUMENTS: Final = """
INSERT INTO documents_to_prune SELECT DISTINCT unnest($1::text[]) ON CONFLICT ON CONSTRAINT documents_to_prune_key
DO NOTHING
"""
PRUNE_EVENTS: Final = "UPDATE events SET body = NULL, media = NULL, trace = NULL WHERE id = ANY($1::text[])"
PAYLOADS: Final = "SELECT body, media FROM events WHERE id = ANY($1::text[]) AND body IS NOT NULL"


async def old_events(connection: Any, before: datetime, after: tuple[datetime, str], most: int) -> list[Old]:
    """Return at most *most* events with a payload that were received before *before*, in order, those after *after*."""
    return [
        Old(event_id=row["id"], received_at=row["received_at"], attempts=row["attempts"], is_over=row["is_over"])
        for row in await connection.fetch(OLD, before, *after, most)
    ]


def few(old: Sequence[Old], most_attempts: int) -> list[Old]:
    """Return as many from the front as have no more than *most_attempts* to go, but one at least."""
    taken: list[Old] = []
    attempts = 0
    for each in old:
        attempts += each.attempts if each.is_over else 0
        if taken and attempts > most_attempts:
            break
        taken.append(each)
    return taken


async def prune(connection: Any, event_ids: Sequence[str], before: datetime) -> Step:
    """Prune those of the events that are not locked and of which nothing is owed; all of an event or nothing."""
    if not event_ids:
        return Step(event_ids=frozenset(), attempts=0)
    async with connection.transaction():
        locked = await connection.fetch(LOCK, sorted(event_ids))
        unsettled = {
            row["event_id"] for row in await connection.fetch(UNSETTLED, before, [row["id"] for row in locked])
        }
        rows = [row for row in locked if row["id"] not in unsettled]
        ids = [row["id"] for row in rows]
        deleted = await connection.execute(PRUNE_ATTEMPTS, ids)
        await connection.execute(PRUNE_DECISIONS, ids)
        documents = [key for row in rows for key in _documents(row["body"], row["media"])]
        await connection.execute(NOTE_DOCUMENTS, sorted(set(documents)))
        await connection.execute(PRUNE_EVENTS, ids)
    return Step(event_ids=frozenset(ids), attempts=_count(deleted))


async def documents_of(connection: Any, event_ids: Iterable[str]) -> set[str]:
    """Return every document that the payloads of these events name, and whatever in them looks like one."""
    rows = await connection.fetch(PAYLOADS, sorted(event_ids))
    return {match.decode() for row in rows for match in _KEY.findall(row["body"] + (row["media"] or "").encode())}


PRUNE_JOB_ITEMS: Final = """
DELETE FROM job_items USING (
    SELECT job_id, letter_id FROM jobs JOIN job_items ON job_items.job_id = jobs.id
    WHERE finished_at < $1 LIMIT $2
) old
WHERE job_items.job_id = old.job_id AND job_items.letter_id = old.letter_id
"""
PRUNE_JOBS: Final = """
DELETE FROM jobs WHERE finished_at < $1 AND NOT EXISTS (SELECT FROM job_items WHERE job_items.job_id = jobs.id)
"""


async def prune_jobs(connection: Any, before: datetime, most: int) -> int:
    """Prune at most *most* items of jobs that were finished before *before*, then the jobs that have none left.

    Returns:
        How many items and jobs that were; 0 when nothing is left to prune.
    """
    items = _count(await connection.execute(PRUNE_JOB_ITEMS, before, most))
    return items + _count(await connection.execute(PRUNE_JOBS, before))


def _count(status: object) -> int:
    """Return how many rows a command's status tag names: `DELETE 3`."""
    return int(str(status).rpartition(" ")[2])


_KEY: Final = re.compile(rb"[0-9a-f]{2}/[0-9a-f]{64}")
_decode_media: Final = msgspec.json.Decoder(Media).decode


def _documents(body: bytes, media: str | None) -> list[str]:
    """Return the documents that an event names: the one that came with it, and the one that was fetched for it.

    A body that this version cannot read names none: its document stays.
    """
    try:
        named = [decode_event(body).media, None if media is None else _decode_media(media)]
    except (msgspec.DecodeError, ValueError):
        return []
    return [each.key for each in named if each is not None and each.key is not None]
