"""What a provider's list named, in the ledger: each fax with the day on which it was created; and what was read."""

from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from dispatcher.lists.accounts.account import days_of
from shared.domain import Provider

_BATCH: Final = """
unnest($2::text[], $3::date[], $4::text[], $5::text[], $6::boolean[])
    AS batch (fax_id, day, type, event_id, is_readable)
"""
CHANGED: Final = f"""
SELECT batch.fax_id FROM {_BATCH}
WHERE (SELECT (known.type, known.event_id, known.is_readable)
              IS NOT DISTINCT FROM (batch.type, batch.event_id, batch.is_readable)
       FROM listed_faxes AS known WHERE known.provider = $1 AND known.fax_id = batch.fax_id) IS NOT TRUE
"""  # noqa: S608 - the inserted text is the constant above
"""A sub-select for each fax, by index: joined, a plan may read the whole of the table, for each page."""

NOTE: Final = f"""
WITH unflushed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
INSERT INTO listed_faxes (provider, fax_id, day, type, event_id, is_readable)
SELECT $1, batch.* FROM unflushed, {_BATCH} ORDER BY batch.fax_id COLLATE "C"
ON CONFLICT ON CONSTRAINT listed_faxes_key DO UPDATE
SET type = excluded.type, event_id = excluded.event_id, is_readable = excluded.is_readable, noted_at = now()
"""  # noqa: S608 - the inserted text is the constant above
"""Live commits wait for no flush of these. `cover` waits for one, and with it for all before it: a server that dies in
between has forgotten that the part of the list was read, too, and it is read again."""

_TOUCHES: Final = "accounts.read_since <= excluded.read_until AND accounts.read_until >= excluded.read_since"
_IS_LONGER: Final = """
accounts.read_since IS NULL OR excluded.read_until - excluded.read_since > accounts.read_until - accounts.read_since
"""
COVER: Final = f"""
INSERT INTO accounts (provider, day, read_since, read_until)
SELECT $1, * FROM unnest($2::date[], $3::timestamptz[], $4::timestamptz[]) AS part (day, since, until) ORDER BY day
ON CONFLICT ON CONSTRAINT accounts_key DO UPDATE SET
    read_since = CASE WHEN {_TOUCHES} THEN least(accounts.read_since, excluded.read_since)
                      WHEN {_IS_LONGER} THEN excluded.read_since ELSE accounts.read_since END,
    read_until = CASE WHEN {_TOUCHES} THEN greatest(accounts.read_until, excluded.read_until)
                      WHEN {_IS_LONGER} THEN excluded.read_until ELSE accounts.read_until END
"""  # noqa: S608 - the inserted texts are the constants above
"""Of two parts of a day with a gap between them the longer one counts."""

PRUNE: Final = "DELETE FROM listed_faxes WHERE provider = $1 AND day < $2"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A fax as the account needs it.

    Attributes:
        day: On which it was created, by the provider's clock, in UTC.
        type: Of its ending; None while it is under way, or within the grace.
        event_id: Under which the list tells it.
        is_readable: We understand what the list says of it.
    """

    fax_id: str
    day: date
    type: str | None = None
    event_id: str | None = None
    is_readable: bool = True


def id_of_unreadable(raw: bytes, fax_id: str) -> str:
    """Return under which id a fax is counted that cannot be read: its own, or a digest if it has none."""
    return fax_id or f"?{sha256(raw).hexdigest()[:32]}"


async def note_listed(connection: Any, provider: Provider, faxes: Iterable[Listed]) -> None:
    """Note what a page of the list said.

    What has not changed is not written: a list is read every few minutes, and nearly all of it is known.
    """
    once = {fax.fax_id: fax for fax in faxes}
    if once:
        rows = await connection.fetch(CHANGED, provider, *_columns(once.values()))
        if changed := [once[row["fax_id"]] for row in rows]:
            await connection.execute(NOTE, provider, *_columns(changed))


def _columns(faxes: Collection[Listed]) -> Iterator[list[Any]]:
    return ([getattr(fax, name) for fax in faxes] for name in Listed.__struct_fields__)


async def cover(connection: Any, provider: Provider, since: datetime, until: datetime) -> None:
    """Note that all faxes of the list that were created from *since* to *until* were seen."""
    # Lists are asked in whole seconds.
    parts = days_of(since, until.replace(microsecond=0))
    await connection.execute(
        COVER,
        provider,
        [part.since.date() for part in parts],
        [part.since for part in parts],
        [part.until for part in parts],
    )


async def prune_listed(connection: Any, provider: Provider, before: date) -> None:
    """Forget the faxes of days before *before*; the accounts of these days stay."""
    await connection.execute(PRUNE, provider, before)
