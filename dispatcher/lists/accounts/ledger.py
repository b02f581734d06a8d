"""Accounts in the ledger: counted, written, read.

A day is counted some hundred faxes at a time, with rests between, so that a day of a hundred thousand holds up no live
statement.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import msgspec

from dispatcher.ledger.pool import planned_by_index
from dispatcher.lists.accounts.account import (
    SKEW,
    Account,
    Coverage,
    Fates,
    Figures,
    Standing,
    bounds,
    is_alarming,
)
from dispatcher.lists.accounts.words import sentence_of
from dispatcher.lists.pace import AT_ONCE, Pace
from dispatcher.policy.lifecycle import ending_bit
from shared.domain import EventType, Provider

SPAN_AT_ONCE: Final = timedelta(hours=1)
"""Of faxes that no list named, at first: it is doubled where counting is fast, and halved where it is slow."""

SHORTEST_SPAN: Final = timedelta(seconds=1)
FAST_SECONDS, SLOW_SECONDS = 0.001, 0.004

ENDINGS: Final = tuple(each for each in EventType if ending_bit(each))
_BIT: Final = " ".join(["CASE events.type", *(f"WHEN '{each}' THEN {ending_bit(each)}" for each in ENDINGS), "END"])
_IS_ENDING: Final = f"events.type IN ({', '.join(repr(each.value) for each in ENDINGS)})"

_FATE: Final = """
bool_or(deliveries.state = 'dead') AS is_dead,
bool_or(deliveries.state IN ('pending', 'retrying')) AS is_owed,
bool_or(deliveries.state = 'told') AS is_told
"""
_FATES: Final = """
count(*) FILTER (WHERE {0} AND is_dead) AS dead,
count(*) FILTER (WHERE {0} AND is_dead IS NOT TRUE AND is_owed) AS owed,
count(*) FILTER (WHERE {0} AND is_dead IS NOT TRUE AND is_owed IS NOT TRUE AND is_told) AS told,
count(*) FILTER (WHERE {0} AND is_dead IS NOT TRUE AND is_owed IS NOT TRUE AND is_told IS NOT TRUE) AS unowed
"""

# A sub-select for each fax, by index: joined, a plan may read the whole of a table.
_LISTED_FAX: Final = f"""
SELECT bool_or(events.type = listed.type OR NOT listed.is_readable) AS is_ours,
       bool_or(events.id = listed.event_id AND NOT events.repeated_by_list
               AND (SELECT faxes.listed FROM faxes WHERE faxes.provider = $1 AND faxes.fax_id = listed.fax_id)
                   & {_BIT} <> 0) AS is_repaired,
       {_FATE}
FROM events LEFT JOIN deliveries ON deliveries.event_id = events.id
WHERE events.provider = $1 AND events.fax_id = listed.fax_id AND {_IS_ENDING}
"""  # noqa: S608 - what is inserted is ours

LISTED: Final = f"""
WITH listed AS MATERIALIZED (
    SELECT * FROM listed_faxes WHERE provider = $1 AND day = $2 AND fax_id > $3 ORDER BY fax_id LIMIT $4
), counted AS (
    SELECT listed.fax_id, fax.*, listed.type IS NOT NULL OR NOT listed.is_readable AS is_ended,
           fax.is_ours IS NOT TRUE AND listed.noted_at > now() - make_interval(secs => $5) AS is_on_the_way
    FROM listed CROSS JOIN LATERAL ({_LISTED_FAX}) AS fax
)
SELECT max(fax_id) AS last,
       count(*) FILTER (WHERE NOT is_ended) AS under_way,
       count(*) FILTER (WHERE is_ended AND is_on_the_way) AS on_the_way,
       count(*) FILTER (WHERE is_ended AND NOT is_on_the_way) AS theirs,
       count(*) FILTER (WHERE is_ended AND is_ours AND is_repaired) AS repaired,
       {_FATES.format("is_ended AND is_ours")}
FROM counted
"""  # noqa: S608 - what is inserted is ours

UNLISTED: Final = f"""
WITH counted AS (
    SELECT fax.* FROM faxes CROSS JOIN LATERAL (
        SELECT true AS is_ours, count(*) AS events, {_FATE}
        FROM events LEFT JOIN deliveries ON deliveries.event_id = events.id
        WHERE events.provider = $1 AND events.fax_id = faxes.fax_id AND {_IS_ENDING}
    ) AS fax
    WHERE faxes.provider = $1 AND faxes.endings <> 0
    AND faxes.first_received_at >= $2 AND faxes.first_received_at < $3
    AND (faxes.recorded_at IS NULL OR faxes.recorded_at < $4)
    AND (SELECT true FROM listed_faxes WHERE listed_faxes.provider = $1 AND listed_faxes.fax_id = faxes.fax_id) IS NULL
)
SELECT {_FATES.format("events > 0")} FROM counted
"""  # noqa: S608 - what is inserted is ours
"""Of faxes that the ledger held, by its own clock, when the list was read: not of what came since, whatever the clocks
of a provider and an ingress say."""

STANDING: Final = """
SELECT today.read_since, today.read_until,
       (SELECT max(read_until) FROM accounts WHERE provider = $1) AS read_to,
       NOT EXISTS (SELECT FROM accounts WHERE provider = $1 AND day < $2 AND read_until IS NOT NULL) AS is_first,
       (SELECT max(started_at) FROM list_readings
        WHERE provider = $1 AND is_standing AND outcome IN ('done', 'partly')) AS read_at,
       coalesce(before.read_since = $3 AND before.read_until = $4, false) AS day_before_is_read,
       (SELECT reason FROM (SELECT outcome, reason FROM list_readings
        WHERE provider = $1 AND is_standing AND outcome IN ('done', 'partly', 'failed')
        ORDER BY started_at DESC LIMIT 1) AS last WHERE outcome = 'failed') AS reason
FROM (SELECT) AS one
LEFT JOIN accounts AS today ON today.provider = $1 AND today.day = $2
LEFT JOIN accounts AS before ON before.provider = $1 AND before.day = $2 - 1
"""
_COLUMNS: Final = (
    *("verdict", "theirs", "ours", "repaired", "missing", "only_ours", "under_way"),
    *("told", "owed", "dead", "unowed", "reason", "drawn_up_at"),
)
WRITE: Final = f"""
INSERT INTO accounts (provider, day, {", ".join(_COLUMNS)})
VALUES ($1, $2, {", ".join(f"${number}" for number in range(3, 3 + len(_COLUMNS)))})
ON CONFLICT ON CONSTRAINT accounts_key DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS)}
"""  # noqa: S608 - our own names
SELECTED: Final = f"provider, day, read_since, read_until, {', '.join(_COLUMNS)}"
READ: Final = f"SELECT {SELECTED} FROM accounts WHERE provider = $1 AND day = $2 AND drawn_up_at IS NOT NULL"  # noqa: S608 - our own names
READ_DAY: Final = f"SELECT {SELECTED} FROM accounts WHERE day = $1 AND drawn_up_at IS NOT NULL ORDER BY provider"  # noqa: S608 - our own names
UNSETTLED: Final = """
SELECT day FROM accounts
WHERE provider = $1 AND day >= $2 AND day < $3
AND (drawn_up_at IS NULL
     OR drawn_up_at < $4 AND (verdict NOT IN ('complete', 'no_list', 'begun') OR owed > 0 OR dead > 0))
ORDER BY day
"""
MISSING: Final = f"""
SELECT listed.fax_id FROM listed_faxes AS listed
WHERE listed.provider = $1 AND listed.day = $2 AND (listed.type IS NOT NULL OR NOT listed.is_readable)
AND NOT EXISTS (
    SELECT FROM events WHERE events.provider = $1 AND events.fax_id = listed.fax_id AND {_IS_ENDING}
    AND (events.type = listed.type OR NOT listed.is_readable)
)
ORDER BY listed.fax_id LIMIT $3
"""  # noqa: S608 - what is inserted is ours


async def has_faxes(connection: Any, provider: Provider) -> bool:
    """Return whether the ledger holds any fax of *provider*."""
    async with planned_by_index(connection):
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM faxes WHERE provider = $1)", provider))


async def standing_of(
    connection: Any, provider: Provider, day: date, *, has_list: bool, recent: datetime, now: datetime, grace: timedelta
) -> Standing:
    """Return what of *day* was read; *recent*: what was read up to then is up to date.

    *now* is the ledger's clock; a reading leaves out what ended within *grace*.
    """
    before = bounds(day - timedelta(days=1))
    row = await connection.fetchrow(STANDING, provider, day, before.since, before.until)
    read = None if row["read_since"] is None else Coverage(row["read_since"], row["read_until"])
    return Standing(
        day=day,
        now=now,
        has_list=has_list,
        read=read,
        read_to=row["read_to"],
        held_before=now if row["read_at"] is None else row["read_at"] - grace - SKEW,
        is_first=row["is_first"],
        day_before_is_read=row["day_before_is_read"],
        recent=recent,
        reason=row["reason"],
    )


async def count(connection: Any, provider: Provider, standing: Standing, on_the_way_seconds: float) -> Figures:
    """Count the faxes of a day.

    *on_the_way_seconds*: what a list told so lately may not have been taken in yet, and is not missing.
    """
    async with planned_by_index(connection):
        return await _count(connection, provider, standing, on_the_way_seconds)


async def _count(connection: Any, provider: Provider, standing: Standing, on_the_way_seconds: float) -> Figures:
    figures, pace = Figures(), Pace()
    after = ""
    while True:
        values = (provider, standing.day, after, AT_ONCE, on_the_way_seconds)
        row = await pace.statement(connection.fetchrow(LISTED, *values))
        after = row["last"]
        if after is None:
            break
        figures.theirs += row["theirs"]
        figures.repaired += row["repaired"]
        figures.under_way += row["under_way"]
        figures.on_the_way += row["on_the_way"]
        figures.listed += _fates(row)
    since, span = bounds(standing.day).since, SPAN_AT_ONCE
    while since < standing.unlisted_until:
        until = min(since + span, standing.unlisted_until)
        figures.unlisted += _fates(
            await pace.statement(connection.fetchrow(UNLISTED, provider, since, until, standing.held_before))
        )
        since, span = until, next_span(span, pace.statement_seconds)
    return figures


def next_span(span: timedelta, taken_seconds: float) -> timedelta:
    """Return how much to count at once after *span* took so long.

    >>> [next_span(SPAN_AT_ONCE, seconds).total_seconds() / 60 for seconds in (0.0005, 0.002, 0.3)]
    [120.0, 60.0, 30.0]
    """
    if taken_seconds < FAST_SECONDS:
        return span * 2
    return max(SHORTEST_SPAN, span / 2) if taken_seconds > SLOW_SECONDS else span


def _fates(row: Any) -> Fates:
    return Fates(**{name: row[name] for name in Fates.__struct_fields__})


async def write(connection: Any, account: Account) -> None:
    """Keep *account*; it takes the place of the one of this day that was drawn up before."""
    await connection.execute(WRITE, account.provider, account.day, *(getattr(account, name) for name in _COLUMNS))


async def read(connection: Any, provider: Provider, day: date, now: datetime) -> Account | None:
    """Return the account of a day as it was drawn up last; None if it never was."""
    row = await connection.fetchrow(READ, provider, day)
    return None if row is None else account_in(row, now)


async def read_day(connection: Any, day: date, now: datetime) -> Sequence[Account]:
    """Return the accounts of all providers of a day, as they were drawn up last."""
    return [account_in(row, now) for row in await connection.fetch(READ_DAY, day)]


async def unsettled_days(
    connection: Any, provider: Provider, since: date, until: date, drawn_before: datetime
) -> Sequence[date]:
    """Return the days from *since*, before *until*, whose account may still change, and was not drawn up lately."""
    return [row["day"] for row in await connection.fetch(UNSETTLED, provider, since, until, drawn_before)]


async def missing_faxes(connection: Any, provider: Provider, day: date, most: int) -> list[str]:
    """Return the ids of at most *most* faxes of the list that are not in the ledger, as of now.

    None is known any more of a day that is older than the retention.
    """
    return [row["fax_id"] for row in await connection.fetch(MISSING, provider, day, most)]


def account_in(row: Any, now: datetime) -> Account:
    """Return the account in a row of `SELECTED`, with its sentence."""
    account = Account(**{**dict(row), "provider": Provider(row["provider"])})
    return msgspec.structs.replace(account, sentence=sentence_of(account), is_wrong=is_alarming(account, now))
