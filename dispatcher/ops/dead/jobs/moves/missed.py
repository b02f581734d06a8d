"""Events that an endpoint was never owed, most of them because it did not exist yet: counted, and owed after all.

SQL narrows them down by what it can tell: time, direction, number, the more specific endpoints. `routing` decides for
each, with its content, when its turn comes.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from dispatcher.ledger.endpoint_rows import COLUMNS, endpoint_of
from dispatcher.ledger.endpoints import sealed_of_events
from dispatcher.ops.dead.jobs.bodies import Selection, Skipped
from dispatcher.ops.dead.jobs.items import IS_TAKEN
from dispatcher.ops.dead.jobs.moves.fates import IS_OVERTAKEN
from dispatcher.ops.dead.jobs.moves.kinds import kinds_of
from dispatcher.policy.candidates import Candidates
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.routing import ENDPOINT_DISABLED, route
from shared.domain import decode_event
from shared.ids import first_uuid7

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Bounds of what the ledger is asked for: at the ends of the calendar a time cannot be converted."""

APPLIES: Final = """
CASE own.scope
    WHEN 'number' THEN faxes.direction = 'received' AND faxes.to_number = own.match_number
    WHEN 'fax' THEN faxes.direction = 'sent' AND coalesce(faxes.job_id = own.match_job_id
                    OR faxes.provider = own.match_provider AND faxes.fax_id = own.match_fax_id, false)
    ELSE true END
"""
"""Is a fax one of the endpoint `own`, as far as its scope says? Its direction is in `kinds_of`."""

_SUPERSEDING: Final = (
    "faxes.direction = 'received' AND other.match_number = faxes.to_number",
    "faxes.direction = 'sent' AND other.match_provider = faxes.provider AND other.match_fax_id = faxes.fax_id",
    "faxes.direction = 'sent' AND other.match_job_id = faxes.job_id",
)
"""A more specific endpoint `other` of a fax. One condition each, so that each is one join, however many there are."""

CLOCKS_APART: Final = timedelta(minutes=5)
"""Between the ledger, which times events, and the dispatcher that makes the ids of their deliveries."""


def _missed(endpoint: Endpoint) -> str:
    """Return as SQL what *endpoint* was never owed: by the rules of `routing`, which has the last word.

    What it was owed has ids of its time, so only those are compared with the events.
    """
    overtaken = (
        f"WHEN {IS_OVERTAKEN.replace('events.type', 'faxes.type')} THEN 'overtaken'"
        if endpoint.overtaken == "skip"
        else ""
    )
    superseded = "".join(
        f"""
        AND NOT EXISTS (SELECT FROM endpoints other WHERE other.removed_at IS NULL
                        AND other.direction IN ('any', faxes.direction) AND {condition})
        """
        for condition in _SUPERSEDING
        if endpoint.scope == "global"
    )
    applies = "" if endpoint.scope == "global" else f"AND {APPLIES}"
    return f"""
    WITH happened AS MATERIALIZED (
        SELECT events.id, events.type, events.provider, faxes.* FROM events
        CROSS JOIN LATERAL (  -- by its key: the faxes of a day are few of a million, and lie together
            SELECT fax_id, direction, to_number, job_id, rank FROM faxes
            WHERE (provider, fax_id) = (events.provider, events.fax_id) OFFSET 0
        ) AS faxes
        WHERE events.recorded_at >= $2::timestamptz AND events.recorded_at < $3::timestamptz
        AND events.body IS NOT NULL
    )
    SELECT faxes.id AS event_id, CASE
        WHEN EXISTS (SELECT FROM job_items JOIN jobs ON jobs.id = job_items.job_id WHERE job_items.event_id = faxes.id
                     AND jobs.selection -> 'skipped' ->> 'endpoint_id' = own.id::text AND {IS_TAKEN}) THEN 'taken'
        {overtaken}
        WHEN NOT own.enabled THEN 'endpoint'
        ELSE 'waiting' END AS fate
    FROM endpoints own, happened AS faxes
    WHERE own.id = $1::uuid AND own.removed_at IS NULL
    AND faxes.provider || ' ' || faxes.direction || ' ' || faxes.type = ANY($4::text[]) {applies} {superseded}
    AND NOT EXISTS (SELECT FROM deliveries d WHERE d.event_id = faxes.id AND d.endpoint_id = $1 AND d.id >= $5::uuid)
    """  # noqa: S608 - what is inserted is ours


_NEW_ID: Final = """
encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
    substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1),
    'hex')::uuid
"""
"""A UUID of version 7, as `shared.ids.uuid7` makes it."""

LOCK_EVENTS: Final = """
SELECT id, body FROM events WHERE id = ANY($1::text[]) AND body IS NOT NULL ORDER BY id FOR KEY SHARE
"""

INSERT: Final = f"""
INSERT INTO deliveries (id, event_id, endpoint_id, state, reason, settled_at)
SELECT id, event_id, $3, 'skipped', '{ENDPOINT_DISABLED}', now()
FROM unnest($1::uuid[], $2::text[]) AS batch (id, event_id) ORDER BY event_id COLLATE "C"
ON CONFLICT ON CONSTRAINT deliveries_once_per_endpoint DO NOTHING
"""  # noqa: S608 - the inserted text is a constant
"""As what was not owed while the endpoint was off: the same transaction recovers it."""


async def count(connection: Any, selection: Selection) -> list[tuple[UUID, str, int]]:
    """Return (endpoint, fate, how many) of what the endpoint of a recovery missed."""
    if selection.skipped is None or (found := await _found(connection, selection.skipped)) is None:
        return []
    sql, *arguments = found
    rows = await connection.fetch(f"SELECT fate, count(*) FROM ({sql}) AS missed GROUP BY 1", *arguments)  # noqa: S608 - ours
    return [(selection.skipped.endpoint_id, row["fate"], row["count"]) for row in rows]


async def insert_items(connection: Any, job_id: UUID, selection: Selection) -> None:
    """Write what the endpoint missed as items of a job; each has the id of the delivery that it will be."""
    if selection.skipped is None or (found := await _found(connection, selection.skipped)) is None:
        return
    sql, *arguments = found
    await connection.execute(
        f"""
        INSERT INTO job_items (job_id, letter_id, kind, delivery_id, event_id, state)
        SELECT $6::uuid, id::text, 'delivery', id, event_id, fate
        FROM (SELECT {_NEW_ID} AS id, event_id, fate FROM ({sql}) AS missed OFFSET 0) AS new
        """,  # noqa: S608 - what is inserted is ours
        *arguments,
        job_id,
    )


async def write(connection: Any, endpoint_id: UUID, events: Mapping[UUID, str]) -> None:
    """Write deliveries, by id the id of the event, for those that the endpoint should have been owed."""
    rows = await connection.fetch(LOCK_EVENTS, list(events.values()))
    found = {row["id"]: decode_event(row["body"]) for row in rows}
    candidates = Candidates(await sealed_of_events(connection, found.values()))
    owed = {
        event.id
        for event in found.values()
        for each in route(event, candidates.of(event))
        if each.endpoint.id == endpoint_id and each.skipped in {None, ENDPOINT_DISABLED}
    }
    wanted = [(delivery_id, event_id) for delivery_id, event_id in events.items() if event_id in owed]
    await connection.execute(INSERT, [each for each, _ in wanted], [each for _, each in wanted], endpoint_id)


async def _found(connection: Any, skipped: Skipped) -> tuple[Any, ...] | None:
    """Return `_missed` of a recovery's endpoint, and its arguments; None if there is no such endpoint."""
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM endpoints WHERE id = $1", skipped.endpoint_id)  # noqa: S608 - a constant
    if row is None:
        return None
    endpoint = endpoint_of(row)
    since, until = between(skipped.since, skipped.until)
    return _missed(endpoint), endpoint.id, since, until, kinds_of(endpoint), first_delivery(since)


def first_delivery(since: datetime) -> UUID:
    """Return what the id of no delivery is less than whose event was recorded at *since* or later."""
    return first_uuid7(max(since - CLOCKS_APART, EARLIEST))


def between(since: datetime, until: datetime | None) -> tuple[datetime, datetime]:
    """Return both within what the ledger can be asked for."""
    return max(since, EARLIEST), min(until or LATEST, LATEST)
