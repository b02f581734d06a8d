"""Dead deliveries in the ledger: found, grouped, shown. One function each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.egress.target import public_url
from dispatcher.ops.api.moments import read_span
from dispatcher.ops.dead.causes import UNANSWERED, cause_in_words, delivery_codes, group_of
from dispatcher.ops.dead.letters import DeadAttempt, DeadFilter, DeadLetter
from dispatcher.ops.faxes.lists.numbers import numbers_meant, reversed_digits
from dispatcher.ops.words import counted
from shared.domain import Provider, utc_now

ALL_PROVIDERS: Final = [str(provider) for provider in Provider]

IS_READY: Final = "coalesce(endpoints.enabled AND endpoints.removed_at IS NULL, false)"

_LETTERS: Final = """
SELECT d.id, d.reason, d.event_id, d.endpoint_id, d.attempts, d.budget_from, d.settled_at, d.state,
       events.provider, events.fax_id, events.type, faxes.from_number, faxes.to_number, faxes.job_id,
       last.http_status, last.error
FROM deliveries d
JOIN events ON events.id = d.event_id
LEFT JOIN faxes ON faxes.provider = events.provider AND faxes.fax_id = events.fax_id
LEFT JOIN attempts last ON last.delivery_id = d.id AND last.number = d.attempts
"""


FEW_NUMBERS: Final = 20
"""Of so many the faxes are looked up by number. The planner reads the whole table for hundreds of them."""

_OF_NUMBERS: Final = "(events.provider, events.fax_id) IN ({})".format(
    " UNION ALL ".join(
        f"SELECT provider, fax_id FROM faxes WHERE {reversed_digits(column)} = ANY({{0}}::text[])"  # noqa: S608 - columns of ours
        for column in ("to_number", "from_number")
    )
)
_HAS_NUMBER: Final = """
EXISTS (SELECT FROM faxes numbered WHERE (numbered.provider, numbered.fax_id) = (events.provider, events.fax_id)
        AND ({to_number} = ANY({{0}}::text[]) OR {from_number} = ANY({{0}}::text[])) OFFSET 0)
""".format(**{column: reversed_digits(f"numbered.{column}") for column in ("to_number", "from_number")})
"""The same, of each dead delivery by its fax's key."""

FEW_FAXES: Final = 500
"""Of a job with so many they are looked up. An application may give one job_id to all that it sends."""

_OF_JOB: Final = "(events.provider, events.fax_id) IN (SELECT provider, fax_id FROM faxes WHERE job_id = {}::text)"
_HAS_JOB: Final = """
EXISTS (SELECT FROM faxes named WHERE (named.provider, named.fax_id) = (events.provider, events.fax_id)
        AND named.job_id = {}::text OFFSET 0)
"""
_HAS_MORE_FAXES: Final = "SELECT true FROM faxes WHERE job_id = $1 OFFSET $2 LIMIT 1"


async def where(connection: Any, wanted: DeadFilter, *, first: int = 1) -> tuple[str, list[Any]]:
    """Return *wanted* as a condition on dead deliveries `d` and their `events`, and its arguments from `$first` on.

    Raises:
        BadMoment: A time cannot be read.
        BadNumber: The number cannot be read.
    """
    since, until = read_span(wanted.since, wanted.until, utc_now())
    if wanted.kind not in {None, "delivery"}:
        return "false", []
    conditions, arguments = ["d.state = 'dead'"], list[Any]()

    def add(condition: str, argument: Any) -> None:
        if argument is not None:
            conditions.append(condition.format(f"${first + len(arguments)}"))
            arguments.append(argument)

    add("d.endpoint_id = {}::uuid", wanted.endpoint_id)
    add("d.event_id = {}::text", wanted.event_id)
    add("events.provider = {}::text", wanted.provider)
    add("events.type = {}::text", wanted.type)
    add("events.fax_id = {}::text", wanted.fax_id)
    if wanted.fax_id is not None and wanted.provider is None:
        add("events.provider = ANY({}::text[])", ALL_PROVIDERS)  # the index begins with it
    if wanted.job_id is not None:
        is_of_few = not await connection.fetchval(_HAS_MORE_FAXES, wanted.job_id, FEW_FAXES)
        add(_OF_JOB if is_of_few else _HAS_JOB, wanted.job_id)
    if wanted.cause is not None:
        codes, is_negated = delivery_codes(wanted.cause)
        add(f"d.reason {'!~' if is_negated else '~'} {{}}::text", codes)
    add("d.settled_at <= now() - make_interval(secs => {}::float8)", wanted.older_than_seconds)
    add("d.settled_at >= now() - make_interval(secs => {}::float8)", wanted.younger_than_seconds)
    add("d.settled_at >= {}::timestamptz", since)
    add("d.settled_at < {}::timestamptz", until)
    if wanted.number is not None:
        numbers = list(await numbers_meant(connection, wanted.number))
        add(_OF_NUMBERS if len(numbers) <= FEW_NUMBERS else _HAS_NUMBER, numbers)
    return " AND ".join(conditions), arguments


async def page(connection: Any, wanted: DeadFilter, after: tuple[datetime, str] | None, most: int) -> list[DeadLetter]:
    """Return the latest deaths before the cursor (time, id)."""
    condition, arguments = await where(connection, wanted)
    cursor = ""
    if after is not None:
        time, letter_id = (f"${len(arguments) + 1}::timestamptz", f"${len(arguments) + 2}::text")
        arguments += after
        # The first condition is for the index; the ids of other kinds of letters, which share the order, are texts.
        cursor = f'AND d.settled_at <= {time} AND (d.settled_at, d.id::text COLLATE "C") < ({time}, {letter_id})'
    rows = await connection.fetch(
        f"{_LETTERS} WHERE {condition} {cursor} ORDER BY d.settled_at DESC, d.id DESC LIMIT {int(most)}", *arguments
    )
    return [_letter(row) for row in rows]


async def letters(connection: Any, delivery_ids: Sequence[UUID]) -> dict[UUID, DeadLetter]:
    """Return those of the deliveries that are dead."""
    rows = await connection.fetch(f"{_LETTERS} WHERE d.id = ANY($1::uuid[]) AND d.state = 'dead'", list(delivery_ids))
    return {row["id"]: _letter(row) for row in rows}


async def attempts(connection: Any, delivery_id: UUID) -> list[DeadAttempt]:
    """Return the attempts made at a delivery, in order."""
    rows = await connection.fetch("SELECT * FROM attempts WHERE delivery_id = $1 ORDER BY number", delivery_id)
    return [
        DeadAttempt(
            number=row["number"],
            started_at=row["started_at"],
            seconds=row["seconds"],
            outcome=row["outcome"],
            http_status=row["http_status"],
            error=row["error"],
            answer=(row["answer"] or b"").decode("utf-8", "replace").replace("\0", "\ufffd"),
        )
        for row in rows
    ]


class CodeCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many deliveries to one endpoint died of one code; the times are None where no row has one."""

    code: str
    endpoint_id: UUID
    count: int
    oldest: datetime | None
    newest: datetime | None
    latest_id: UUID


async def counts(connection: Any, wanted: DeadFilter) -> list[CodeCount]:
    """Return the matching deliveries counted by code and endpoint."""
    condition, arguments = await where(connection, wanted)
    rows = await connection.fetch(
        f"""
        SELECT coalesce(d.reason, '') AS code, d.endpoint_id, count(*) AS count, min(d.settled_at) AS oldest,
               max(d.settled_at) AS newest, (array_agg(d.id ORDER BY d.settled_at DESC))[1] AS latest_id
        FROM deliveries d LEFT JOIN events ON events.id = d.event_id WHERE {condition} GROUP BY 1, 2
        """,  # noqa: S608 - what is inserted is ours
        *arguments,
    )
    return [CodeCount(**dict(row)) for row in rows]


async def count_dead(connection: Any) -> int:
    """Return how many deliveries are dead."""
    return int(await connection.fetchval("SELECT count(*) FROM deliveries WHERE state = 'dead'"))


class ShownEndpoint(msgspec.Struct, frozen=True):
    """An endpoint as dead letters show it: *url* without user, password and query; *is_paused* only if it is ready."""

    url: str
    is_ready: bool
    is_paused: bool


async def endpoints(connection: Any, endpoint_ids: Sequence[UUID]) -> dict[UUID, ShownEndpoint]:
    """Return endpoints by their ids, removed ones included."""
    rows = await connection.fetch(
        f"SELECT id, url, {IS_READY} AS is_ready, paused FROM endpoints WHERE id = ANY($1::uuid[])",  # noqa: S608 - what is inserted is ours
        list(endpoint_ids),
    )
    return {
        row["id"]: ShownEndpoint(
            public_url(row["url"]).partition("?")[0], row["is_ready"], row["is_ready"] and row["paused"]
        )
        for row in rows
    }


async def is_enabled(connection: Any, endpoint_id: UUID) -> bool | None:
    """Return whether an endpoint is enabled, or None if it does not exist or was removed."""
    enabled: bool | None = await connection.fetchval(
        "SELECT enabled FROM endpoints WHERE id = $1 AND removed_at IS NULL", endpoint_id
    )
    return enabled


class DeliveryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger knows of the delivery that a message names."""

    state: str
    attempts: int
    event_id: str
    endpoint_id: UUID
    provider: str
    fax_id: str
    type: str
    from_number: str | None
    to_number: str | None
    job_id: str | None
    replayed_at: datetime | None


async def statuses(connection: Any, delivery_ids: Sequence[UUID]) -> dict[UUID, DeliveryStatus]:
    """Return the status of each of the deliveries that the ledger knows."""
    rows = await connection.fetch(
        """
        SELECT d.id, d.state, d.attempts, d.event_id, d.endpoint_id, d.replayed_at,
               events.provider, events.fax_id, events.type, faxes.from_number, faxes.to_number,
               faxes.job_id
        FROM deliveries d JOIN events ON events.id = d.event_id
        LEFT JOIN faxes ON faxes.provider = events.provider AND faxes.fax_id = events.fax_id
        WHERE d.id = ANY($1::uuid[])
        """,
        list(delivery_ids),
    )
    return {row["id"]: DeliveryStatus(**{name: row[name] for name in DeliveryStatus.__struct_fields__}) for row in rows}


async def unknown(connection: Any, delivery_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the deliveries that the ledger does not know."""
    rows = await connection.fetch(
        """
        SELECT wanted.id FROM unnest($1::uuid[]) AS wanted (id)
        WHERE NOT EXISTS (SELECT FROM deliveries d WHERE d.id = wanted.id)
        """,
        list(delivery_ids),
    )
    return {row["id"] for row in rows}


def _letter(row: Any) -> DeadLetter:
    cause = row["reason"] or ""
    return DeadLetter(
        id=str(row["id"]),
        kind="delivery",
        cause=cause,
        group=group_of("delivery", cause).key,
        reason=_reason(row),
        event_id=row["event_id"],
        endpoint_id=row["endpoint_id"],
        provider=row["provider"],
        fax_id=row["fax_id"],
        type=row["type"],
        from_number=row["from_number"],
        to_number=row["to_number"],
        job_id=row["job_id"],
        attempts=row["attempts"],
        died_at=row["settled_at"],
    )


def _reason(row: Any) -> str:
    """Return why a delivery is dead, in a sentence: what the title says already is not said again.

    >>> row = {"attempts": 17, "reason": "host_not_found", "http_status": None, "error": "host_not_found"}
    >>> _reason(row)
    'host not found, after 17 attempts'
    >>> _reason({**row, "reason": "endpoint_removed", "attempts": 1, "error": "refused"})
    'endpoint removed, after 1 attempt, which failed: it refused the connection'
    >>> _reason({**row, "reason": "endpoint_disabled", "http_status": 503, "error": "http_503"})
    'endpoint disabled, after 17 attempts, the last of which answered 503'
    """
    made, cause = row["attempts"], row["reason"] or ""
    title = group_of("delivery", cause).title
    if not made:
        return f"{title}: {UNANSWERED}" if cause == "timeout" else f"{title}, before the first attempt"
    tried = f"{title}, after {counted(made, 'attempt')}"
    which = f"{tried}, {'which' if made == 1 else 'the last of which'}"
    if row["http_status"]:
        return f"{which} answered {row['http_status']}"
    return tried if row["error"] in {None, cause} else f"{which} failed: {cause_in_words(row['error'])}"
