"""Raises and resolves matters in the ledger. Any part of the dispatcher may; it costs one statement, and sends nothing.

A matter is a kind and a subject. Raising it again while it is open changes its sentence and count, and sends no second
message: a check may raise what it finds on every round.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.alerts.kinds import DAY_SECONDS, KINDS, Kind
from shared.ids import uuid7
from shared.log import get_logger

MOST_CHARACTERS: Final = 500
"""Of a subject and of a sentence; the rest is cut off."""

RAISE: Final = """
WITH raised AS (
    INSERT INTO alerts AS old (id, kind, subject, what, count, details, opening) VALUES ($1, $2, $3, $4, $5, $6, $1)
    ON CONFLICT ON CONSTRAINT alerts_once_per_matter DO UPDATE SET
        what = EXCLUDED.what, details = EXCLUDED.details, last_at = now(), resolved_at = NULL,
        count = EXCLUDED.count + CASE WHEN $7 AND old.resolved_at IS NULL THEN old.count ELSE 0 END,
        opened_at = CASE WHEN old.resolved_at IS NULL THEN old.opened_at ELSE now() END,
        opening = CASE WHEN old.resolved_at IS NULL THEN old.opening ELSE EXCLUDED.opening END
    RETURNING id, opening
)
INSERT INTO alert_history (alert_id, what, note) SELECT id, 'raised', $4 FROM raised WHERE opening = $1
RETURNING alert_id
"""
"""A row comes back only if this opened it."""

RESOLVE: Final = """
WITH resolved AS (
    UPDATE alerts SET resolved_at = now() WHERE kind = $1 AND subject = $2 AND resolved_at IS NULL RETURNING id
)
INSERT INTO alert_history (alert_id, what, note) SELECT id, 'resolved', $3 FROM resolved RETURNING alert_id
"""
SETTLE: Final = """
WITH settled AS (
    UPDATE alerts SET resolved_at = now(), told_as = CASE WHEN told_opening = opening THEN 'resolved' ELSE told_as END
    WHERE kind = ANY($1::text[]) AND resolved_at IS NULL AND last_at < now() - make_interval(secs => $2) RETURNING id
)
INSERT INTO alert_history (alert_id, what) SELECT id, 'resolved' FROM settled
"""
OPEN: Final = "SELECT subject FROM alerts WHERE kind = $1 AND resolved_at IS NULL"


async def raise_matter(
    connection: Any, kind: Kind, subject: str, what: str, *, count: int = 1, details: Mapping[str, Any] | None = None
) -> bool:
    """Raise a matter, on *connection* and within its transaction if there is one; return whether that opened it.

    Args:
        connection: To the ledger.
        kind: What it is about.
        subject: Which one, as `Kind` says; one text for one matter, always written the same.
        what: What happened, a sentence for the operator, as of now.
        count: How many it is about. Of a condition: now. Of a happening: more than before, they are added up.
        details: Whatever the one who raises it wants to find again.
    """
    encoded = msgspec.json.encode(details or {}).decode()
    what, subject = what[:MOST_CHARACTERS], subject[:MOST_CHARACTERS]
    values = (uuid7(), kind, subject, what, count, encoded, KINDS[kind].is_happening)
    opened: UUID | None = await connection.fetchval(RAISE, *values)
    if opened is not None:
        get_logger().warning("alert.raised", alert_id=str(opened), kind=kind)
    return opened is not None


async def resolve_matter(connection: Any, kind: Kind, subject: str, note: str | None = None) -> bool:
    """Resolve a matter; *note* says how, for its history. Return whether it was open."""
    resolved: UUID | None = await connection.fetchval(RESOLVE, kind, subject[:MOST_CHARACTERS], note)
    if resolved is not None:
        get_logger().info("alert.resolved", alert_id=str(resolved), kind=kind)
    return resolved is not None


async def open_subjects(connection: Any, kind: Kind) -> set[str]:
    """Return the subjects of the open matters of *kind*."""
    return {row["subject"] for row in await connection.fetch(OPEN, kind)}


async def settle_happenings(connection: Any) -> None:
    """Resolve the happenings of which nothing more came for a day; no message says so."""
    happenings = [kind for kind, facts in KINDS.items() if facts.is_happening]
    await connection.execute(SETTLE, happenings, DAY_SECONDS)
