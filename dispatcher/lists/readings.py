"""Readings of the providers' lists in the ledger: when they are due, their progress and outcome."""

import time
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from shared.domain import EventType, Provider
from shared.ids import uuid7

Outcome = Literal["done", "partly", "failed"]

NOTE_EVERY_SECONDS: Final = 1.0


class Tally(msgspec.Struct, kw_only=True):
    """What a reading found so far.

    Attributes:
        page_since: From when on the faxes of the last page that was read were created.
        page: Its number, from 1; 0 before the first.
        seen: Faxes on the list.
        under_way: Of them without an ending.
        early: Ended within the grace: their callback may come yet.
        known: Their ending is in the ledger.
        missing: Their ending was not in the ledger: the event was published, or would be.
        postponed: Missing, but their document cannot be fetched now: left to the next reading.
        without_document: Received faxes among the missing whose document the provider did not give.
        unreadable: Faxes that we do not understand.
    """

    page_since: datetime | None = None
    page: int = 0
    seen: int = 0
    under_way: int = 0
    early: int = 0
    known: int = 0
    missing: int = 0
    postponed: int = 0
    without_document: int = 0
    unreadable: int = 0


class MissingFax(msgspec.Struct, frozen=True, kw_only=True):
    """A fax whose ending was not in the ledger."""

    fax_id: str
    type: EventType
    event_id: str
    occurred_at: datetime | None


BEGIN: Final = """
INSERT INTO list_readings (id, provider, is_standing, since, until) VALUES ($1, $2, $3, $4, $5)
"""
_COLUMNS: Final = Tally.__struct_fields__
_SET: Final = ", ".join(f"{name} = ${number}" for number, name in enumerate(_COLUMNS, start=2))
PROGRESS: Final = f"UPDATE list_readings SET progressed_at = now(), {_SET} WHERE id = $1"  # noqa: S608 - our own names
FINISH: Final = """
UPDATE list_readings SET finished_at = now(), progressed_at = now(), outcome = $2, reason = $3,
       not_before = now() + make_interval(secs => $4)
WHERE id = $1
"""
INTERRUPTED: Final = """
UPDATE list_readings SET outcome = 'interrupted', finished_at = now()
WHERE provider = $1 AND is_standing AND outcome = 'running'
"""
IS_DUE: Final = """
SELECT NOT EXISTS (
    SELECT FROM list_readings
    WHERE provider = $1 AND is_standing AND greatest(started_at + make_interval(secs => $2), not_before) > now()
)
"""
PRUNE: Final = """
DELETE FROM list_readings WHERE provider = $1 AND started_at < now() - make_interval(days => $2)
"""


async def begin(connection: Any, provider: Provider, since: datetime, until: datetime, *, is_standing: bool) -> UUID:
    """Note that a reading begins; return its id."""
    reading_id = uuid7()
    await connection.execute(BEGIN, reading_id, provider, is_standing, since, until)
    return reading_id


async def progress(connection: Any, reading_id: UUID, tally: Tally) -> None:
    """Note how far it has come."""
    await connection.execute(PROGRESS, reading_id, *(getattr(tally, name) for name in _COLUMNS))


class Progress:
    """Notes how far a reading has come, once a second: each note is a write that live traffic's writes wait for."""

    def __init__(self, connection: Any, reading_id: UUID) -> None:
        self._connection = connection
        self._reading_id = reading_id
        self._next_at = 0.0

    async def note(self, tally: Tally) -> None:
        """Note it, unless that was done just now."""
        if time.monotonic() >= self._next_at:
            await progress(self._connection, self._reading_id, tally)
            self._next_at = time.monotonic() + NOTE_EVERY_SECONDS


async def finish(
    connection: Any, reading_id: UUID, outcome: Outcome, reason: str | None, wait_seconds: float = 0.0
) -> None:
    """Note its end; no standing reading of this provider begins for *wait_seconds*."""
    await connection.execute(FINISH, reading_id, outcome, reason, wait_seconds)


async def mark_interrupted(connection: Any, provider: Provider) -> None:
    """Note that the standing readings that still run, by the ledger, do not: their process is gone."""
    await connection.execute(INTERRUPTED, provider)


async def is_due(connection: Any, provider: Provider, every_seconds: float) -> bool:
    """Did the last standing reading begin *every_seconds* ago, and does the provider not ask for more patience?"""
    return bool(await connection.fetchval(IS_DUE, provider, every_seconds))


async def prune_readings(connection: Any, provider: Provider, days: int) -> None:
    """Forget readings that began more than *days* ago."""
    await connection.execute(PRUNE, provider, days)
