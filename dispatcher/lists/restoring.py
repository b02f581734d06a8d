"""What was deleted from the ledger behind its back, and the list still names: recorded again, and told to no one twice.

| gone | then |
|---|---|
| the event of an ending, its fax is there | the daily account says so; `faxhook backfill` records it again: `record` |
| the fax, its events are there | it is folded from them again |
| both | the ledger knows nothing of it: it is told as a missed fax |
| deliveries alone | what an endpoint was told is not known: the account counts the fax as owed to none |
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from dispatcher.ledger.faxes.folding import fold_faxes
from dispatcher.lists.known import KnownFax
from dispatcher.policy.lifecycle import ending_bit, fold
from shared.domain import Event, Provider, decode_event, encode_event

RECORD: Final = """
WITH recorded AS (
    INSERT INTO events (id, provider, fax_id, type, occurred_at, received_at, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT ON CONSTRAINT events_key DO NOTHING
)
UPDATE faxes SET listed = listed | $8 WHERE provider = $2 AND fax_id = $3
"""
"""Where the event has the list's id, a callback that comes after it is a repetition."""

BODIES: Final = "SELECT body FROM events WHERE provider = $1 AND fax_id = ANY($2::text[]) AND body IS NOT NULL"


def is_lost(known: KnownFax, event: Event) -> bool:
    """Was the event of a listed ending taken in, and deleted since?"""
    return (known.endings or 0) & ~known.recorded & ending_bit(event.type) != 0


async def record(connection: Any, event: Event, known: KnownFax) -> str:
    """Record an ending again whose event `is_lost`, under the id that the fax knows it by.

    What was owed for it goes on; nothing is owed anew. Returns that id.
    """
    own_id = known.event_id if known.state == event.type and known.event_id is not None else event.id
    event = msgspec.structs.replace(event, id=own_id)
    await connection.execute(
        RECORD,
        own_id,
        event.provider,
        event.fax_id,
        event.type,
        event.occurred_at,
        event.received_at,
        encode_event(event),
        0 if own_id == known.event_id else ending_bit(event.type),
    )
    return own_id


async def fold_again(connection: Any, provider: Provider, fax_ids: Sequence[str]) -> int:
    """Fold faxes that are gone from their events, as far as these have their bodies; return how many that gave."""
    rows = await connection.fetch(BODIES, provider, sorted(fax_ids))
    states = fold(event for row in rows if (event := _decoded(row["body"])) is not None)
    if not states:
        return 0
    async with connection.transaction():
        return len(await fold_faxes(connection, states))


def _decoded(body: bytes) -> Event | None:
    try:
        return decode_event(body)
    except (msgspec.DecodeError, ValueError):  # of a later version
        return None
