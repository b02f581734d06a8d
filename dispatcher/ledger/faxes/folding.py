"""Fax states in the ledger: folding a batch into them, and finding the endings that were told under another id."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dispatcher.policy.lifecycle import FaxState, repeated_endings
from shared.domain import Event

BY_INDEX: Final = "(SELECT set_config('enable_seqscan', 'off', true)) AS by_index"
"""Has what follows in the transaction planned with indexes. A plan is kept for as long as its connection, and one that
was made while a table was small reads the whole of it: 100,000 endpoints, for each batch."""

_WINS: Final = """
(excluded.rank, coalesce(excluded.occurred_at, '-infinity'), excluded.type_order, excluded.event_id)
> (faxes.rank, coalesce(faxes.occurred_at, '-infinity'), faxes.type_order, faxes.event_id)
"""
"""The order of `lifecycle.FaxState.precedence`, compared after locking the row: no concurrent batch is missed."""

FOLD_FAXES: Final = f"""
INSERT INTO faxes (provider, fax_id, direction, state, rank, occurred_at, type_order, event_id, endings, listed,
                   from_number, to_number, job_id, pages, first_received_at, last_received_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::timestamptz[], $7::smallint[],
                     $8::text[], $9::integer[], $10::integer[], $11::text[], $12::text[], $13::text[],
                     $14::integer[], $15::timestamptz[], $16::timestamptz[])
    AS batch (provider, fax_id, direction, state, rank, occurred_at, type_order, event_id, endings, listed,
              from_number, to_number, job_id, pages, first_received_at, last_received_at)
ORDER BY provider, fax_id COLLATE "C"
ON CONFLICT ON CONSTRAINT faxes_key DO UPDATE SET
    state             = CASE WHEN {_WINS} THEN excluded.state ELSE faxes.state END,
    occurred_at       = CASE WHEN {_WINS} THEN excluded.occurred_at ELSE faxes.occurred_at END,
    type_order        = CASE WHEN {_WINS} THEN excluded.type_order ELSE faxes.type_order END,
    event_id          = CASE WHEN {_WINS} THEN excluded.event_id ELSE faxes.event_id END,
    rank              = greatest(faxes.rank, excluded.rank),
    direction         = greatest(faxes.direction, excluded.direction),
    endings           = faxes.endings | excluded.endings,
    listed            = faxes.listed | excluded.listed,
    from_number       = greatest(faxes.from_number, excluded.from_number),
    to_number         = greatest(faxes.to_number, excluded.to_number),
    job_id            = greatest(faxes.job_id, excluded.job_id),
    pages             = greatest(faxes.pages, excluded.pages),
    first_received_at = least(faxes.first_received_at, excluded.first_received_at),
    last_received_at  = greatest(faxes.last_received_at, excluded.last_received_at)
RETURNING provider, fax_id, rank, listed
"""  # noqa: S608 - the inserted text is the constant above

MARK_STALLED: Final = """
UPDATE faxes SET stalled_at = least(faxes.stalled_at, batch.at)
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS batch (provider, fax_id, at)
WHERE (faxes.provider, faxes.fax_id) = (batch.provider, batch.fax_id)
"""

ENDINGS_BEFORE: Final = f"""
SELECT provider, fax_id, type FROM events
JOIN unnest($1::text[], $2::text[]) AS faxes_of (provider, fax_id) USING (provider, fax_id), {BY_INDEX}
WHERE events.id <> ALL($3::text[])
"""  # noqa: S608 - the inserted text is the constant above

MARK_REPEATED: Final = "UPDATE events SET repeated_by_list = true WHERE id = ANY($1::text[])"


async def fold_faxes(connection: Any, states: Sequence[FaxState]) -> dict[tuple[str, str], tuple[int, int]]:
    """Fold *states* into the ledger; return each fax's rank and the endings that a list told."""
    rows = await connection.fetch(
        FOLD_FAXES,
        [state.provider for state in states],
        [state.fax_id for state in states],
        [state.direction for state in states],
        [state.state for state in states],
        [state.state.rank for state in states],
        [state.occurred_at for state in states],
        [state.state.order for state in states],
        [state.event_id for state in states],
        [state.endings for state in states],
        [state.listed for state in states],
        [state.from_number for state in states],
        [state.to_number for state in states],
        [state.job_id for state in states],
        [state.pages for state in states],
        [state.first_received_at for state in states],
        [state.last_received_at for state in states],
    )
    if stalled := [state for state in states if state.stalled_at is not None]:  # rare: not in each fold
        await connection.execute(
            MARK_STALLED,
            [state.provider for state in stalled],
            [state.fax_id for state in stalled],
            [state.stalled_at for state in stalled],
        )
    return {(row["provider"], row["fax_id"]): (row["rank"], row["listed"]) for row in rows}


async def mark_repeated(
    connection: Any, events: Sequence[Event], listed: Mapping[tuple[str, str], int]
) -> frozenset[str]:
    """Mark and return the ids of the *events* that repeat an ending under another id."""
    if not listed:  # nearly always: no list told anything of these faxes
        return frozenset()
    faxes = sorted(listed)
    rows = await connection.fetch(
        ENDINGS_BEFORE,
        [provider for provider, _ in faxes],
        [fax_id for _, fax_id in faxes],
        [event.id for event in events],
    )
    repeated = repeated_endings(events, listed, [(row["provider"], row["fax_id"], row["type"]) for row in rows])
    await connection.execute(MARK_REPEATED, sorted(repeated))
    return repeated
