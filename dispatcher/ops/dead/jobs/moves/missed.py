"""Events that an endpoint was never owed, most of them because it did not exist yet: counted, and owed after all.

SQL narrows them down by what it can tell: time, direction, number, the more specific endpoints. `routing` decides for
each, with its content, when its turn comes.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args
from uuid import UUID

from dispatcher.ledger.endpoint_rows import COLUMNS, endpoint_of
from dispatcher.ledger.endpoints import sealed_of_events
from dispatcher.ops.dead.jobs.bodies import Selection, Skipped
from dispatcher.ops.dead.jobs.items import IS_TAKEN, Fate
from dispatcher.ops.dead.jobs.moves.fates import IS_OVERTAKEN
from dispatcher.ops.dead.jobs.moves.kinds import ENDINGS, array, kinds_of, split_endings
from dispatcher.policy.candidates import Candidates
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.routing import ENDPOINT_DISABLED, route
from shared.domain import Direction, EventType, decode_event
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

_SUPERSEDING_ENDINGS: Final = {
    "of_faxes": "endpoints other WHERE other.match_provider = events.provider AND other.match_fax_id = events.fax_id",
    "of_jobs": """
    endpoints other JOIN faxes ON faxes.job_id = other.match_job_id
    WHERE faxes.provider = events.provider AND faxes.fax_id = events.fax_id
    """,
}
"""The same for the ending of a sent fax, whose own row is not looked up."""

_AROUND: Final = """
SELECT
EXISTS (SELECT FROM jobs WHERE finished_at IS NULL AND selection -> 'skipped' ->> 'endpoint_id' = $1) AS has_jobs,
EXISTS (SELECT FROM endpoints WHERE removed_at IS NULL AND match_number IS NOT NULL
        AND direction <> 'sent') AS of_numbers,
EXISTS (SELECT FROM endpoints WHERE removed_at IS NULL AND match_fax_id IS NOT NULL) AS of_faxes,
EXISTS (SELECT FROM endpoints WHERE removed_at IS NULL AND match_job_id IS NOT NULL) AS of_jobs
"""
"""Is it being recovered, and which of the more specific ones are there at all? Each by its index."""

CLOCKS_APART: Final = timedelta(minutes=5)
"""Between the ledger, which times events, and the dispatcher that makes the ids of their deliveries."""

_OF_TIME: Final = "events.recorded_at >= $2::timestamptz AND events.recorded_at < $3::timestamptz"
_RECORDED: Final = f"{_OF_TIME} AND events.body IS NOT NULL"
_HAS_NO_DELIVERY: Final = """
NOT EXISTS (SELECT FROM deliveries d WHERE d.event_id = events.id AND d.endpoint_id = $1 AND d.id >= $4::uuid)
"""
"""What the endpoint was owed has ids of its time, so only those are compared with the events."""

_OWED: Final = "SELECT event_id FROM deliveries WHERE endpoint_id = $1::uuid AND id >= $4::uuid OFFSET 0"
"""The same, gathered first: they are fewer than the events, whose own gathering took twice the processor."""


def _missed(endpoint: Endpoint, around: Mapping[str, bool]) -> str:
    """Return as SQL what *endpoint* was never owed: by the rules of `routing`, which has the last word.

    Of most endings the event alone decides; of all else its fax, which costs each event a look by its key. *around*:
    see `_AROUND`; what is not there is not searched in.
    """
    endings, kinds = _split(endpoint, around)
    halves = [_missed_endings(endings, around)] if endings else []
    halves += [_missed_kinds(endpoint, endings, kinds)] if kinds or not endings else []
    taken = f"""
    WHEN EXISTS (SELECT FROM job_items JOIN jobs ON jobs.id = job_items.job_id WHERE job_items.event_id = missed.id
                 AND jobs.selection -> 'skipped' ->> 'endpoint_id' = '{endpoint.id}' AND {IS_TAKEN}) THEN 'taken'
    """
    return f"""
    SELECT missed.id AS event_id, CASE {taken if around["has_jobs"] else ""}
        WHEN missed.is_overtaken THEN 'overtaken' ELSE '{_fate_of(endpoint)}' END AS fate
    FROM ({" UNION ALL ".join(halves)}) AS missed
    """  # noqa: S608 - what is inserted is ours


def _fate_of(endpoint: Endpoint) -> str:
    return "waiting" if endpoint.enabled else "endpoint"


def _split(endpoint: Endpoint, around: Mapping[str, bool]) -> tuple[list[str], list[str]]:
    """Return the endings that the event alone decides, and the kinds of all else that *endpoint* is told of."""
    directions = [] if endpoint.scope != "global" else [Direction.SENT]
    if directions and not around["of_numbers"]:  # they supersede by the number of a received fax
        directions.append(Direction.RECEIVED)
    return split_endings(kinds_of(endpoint), directions)


def _missed_endings(endings: Sequence[str], around: Mapping[str, bool]) -> str:
    """Return as SQL *endings* that a general endpoint was not owed."""
    return f"""
    SELECT events.id, false AS is_overtaken FROM events LEFT JOIN ({_OWED}) AS d ON d.event_id = events.id
    WHERE {_RECORDED} AND {_are_for_it(endings, around)} AND d.event_id IS NULL
    """  # noqa: S608 - what is inserted is ours


def _are_for_it(endings: Sequence[str], around: Mapping[str, bool]) -> str:
    """Return as SQL the condition on *endings* for a general endpoint, that only single faxes' endpoints supersede."""
    sent = array([each for each in endings if ENDINGS[EventType(each)] is Direction.SENT])
    superseded = "".join(
        f"""
        AND NOT EXISTS (SELECT FROM {other} AND other.removed_at IS NULL AND other.direction IN ('any', 'sent')
                        AND events.type = ANY({sent}))
        """
        for name, other in _SUPERSEDING_ENDINGS.items()
        if around[name]
    )
    return f"events.type = ANY({array(endings)}) {superseded}"


def _missed_kinds(endpoint: Endpoint, endings: Sequence[str], kinds: Sequence[str]) -> str:
    """Return as SQL the events of *kinds*, among those of other types than *endings*."""
    overtaken = IS_OVERTAKEN.replace("events.type", "faxes.type") if endpoint.overtaken == "skip" else "false"
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
    SELECT faxes.id, {overtaken} AS is_overtaken FROM endpoints own, (
        SELECT events.id, events.type, events.provider, faxes.* FROM events
        CROSS JOIN LATERAL (  -- by its key: the faxes of a day are few of a million, and lie together
            SELECT fax_id, direction, to_number, job_id, rank FROM faxes
            WHERE (provider, fax_id) = (events.provider, events.fax_id) OFFSET 0
        ) AS faxes
        WHERE {_RECORDED} AND events.type <> ALL({array(endings)}) OFFSET 0
    ) AS faxes
    WHERE own.id = $1::uuid
    AND faxes.provider || ' ' || faxes.direction || ' ' || faxes.type = ANY({array(kinds)}) {applies} {superseded}
    AND {_HAS_NO_DELIVERY.replace("events.id", "faxes.id")}
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


async def count_with_told(connection: Any, skipped: Skipped, fate_of_told: str) -> list[tuple[UUID, str, int]] | None:
    """Return the same of what the endpoint missed and what it got, the events of that time being read once.

    *fate_of_told* is SQL, of a delivery `d`, its `events`, `faxes` and `endpoints`. None if one reading cannot say it:
    another job recovers something of the endpoint, or no event decides alone.
    """
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM endpoints WHERE id = $1", skipped.endpoint_id)  # noqa: S608 - a constant
    if row is None or row["removed_at"] is not None:
        return None
    endpoint = endpoint_of(row)
    around = await connection.fetchrow(_AROUND, str(endpoint.id))
    endings, kinds = _split(endpoint, around)
    if around["has_jobs"] or not endings:
        return None
    since, until = between(skipped.since, skipped.until)
    arguments = (endpoint.id, since, until, first_delivery(since))
    fates = [
        f"""
        SELECT CASE WHEN d.id IS NULL THEN '{_fate_of(endpoint)}' ELSE {_of_what_it_got(fate_of_told)} END AS fate
        FROM events LEFT JOIN ({_GOT}) AS d ON d.event_id = events.id
        WHERE {_OF_TIME} AND (d.id IS NOT NULL OR events.body IS NOT NULL AND {_are_for_it(endings, around)})
        """  # noqa: S608 - what is inserted is ours
    ]
    if kinds:
        fate = f"CASE WHEN is_overtaken THEN 'overtaken' ELSE '{_fate_of(endpoint)}' END AS fate"
        fates.append(f"SELECT {fate} FROM ({_missed_kinds(endpoint, endings, kinds)}) AS missed")  # noqa: S608 - ours
    rows = [await connection.fetchrow(_COUNTED.format(fates=each), *arguments) for each in fates]
    return [(endpoint.id, fate, count) for each in rows for fate, count in each.items() if count]


_FATES: Final = [fate for some in get_args(Fate) for fate in get_args(some)]
_COUNTED: Final = "SELECT {counts} FROM ({{fates}} OFFSET 0) AS decided".format(  # noqa: S608 - what is inserted is ours
    counts=", ".join(f"count(*) FILTER (WHERE fate = '{fate}') AS {fate}" for fate in _FATES)
)
"""Not by GROUP BY: the planner, which takes each event's fate for another one, would sort them all."""

_GOT: Final = """
SELECT d.id, d.event_id, d.state, d.reason, endpoints.url, endpoints.format, endpoints.enabled, endpoints.removed_at
FROM deliveries d JOIN endpoints ON endpoints.id = d.endpoint_id
WHERE d.endpoint_id = $1::uuid AND d.id >= $4::uuid OFFSET 0  -- joined before they meet the events, which are more
"""


def _of_what_it_got(fate: str) -> str:
    """Return *fate* as SQL of an event and its `_GOT`: an ending tells all by itself, all else with its fax's row."""
    fate = fate.replace("endpoints.", "d.")
    of_ending = fate.replace("faxes.direction", "NULL::text").replace("faxes.rank", "NULL::smallint")
    of_fax = f"SELECT {fate} FROM faxes WHERE faxes.provider = events.provider AND faxes.fax_id = events.fax_id"  # noqa: S608 - ours
    return f"CASE WHEN events.type = ANY({array(list(map(str, ENDINGS)))}) THEN {of_ending} ELSE ({of_fax}) END"


async def insert_items(connection: Any, job_id: UUID, selection: Selection) -> None:
    """Write what the endpoint missed as items of a job; each has the id of the delivery that it will be."""
    if selection.skipped is None or (found := await _found(connection, selection.skipped)) is None:
        return
    sql, *arguments = found
    await connection.execute(
        f"""
        INSERT INTO job_items (job_id, letter_id, kind, delivery_id, event_id, state)
        SELECT $5::uuid, id::text, 'delivery', id, event_id, fate
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
    if row is None or row["removed_at"] is not None:
        return None
    endpoint = endpoint_of(row)
    around = await connection.fetchrow(_AROUND, str(endpoint.id))
    since, until = between(skipped.since, skipped.until)
    return _missed(endpoint, around), endpoint.id, since, until, first_delivery(since)


def first_delivery(since: datetime) -> UUID:
    """Return what the id of no delivery is less than whose event was recorded at *since* or later."""
    return first_uuid7(max(since - CLOCKS_APART, EARLIEST))


def between(since: datetime, until: datetime | None) -> tuple[datetime, datetime]:
    """Return both within what the ledger can be asked for."""
    return max(since, EARLIEST), min(until or LATEST, LATEST)
