"""The messages of matters in the ledger: planned, claimed, settled.

| killed | then |
|---|---|
| before a message is planned | the matter is open, and the next round plans it |
| between planned and claimed | it is pending and due |
| while it is sent | it is due again after `CLAIM_SECONDS`, under the same id: it may come twice, and never not |
| after it was sent, before that is recorded | the same |
"""

from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.alerts.kinds import KINDS, Kind
from dispatcher.alerts.timing import Standing, message_due, wait_seconds
from dispatcher.alerts.words import Notice, make_notice
from dispatcher.configuration.alerts import AlertChannel
from shared.ids import uuid7

CLAIM_SECONDS: Final = 90.0
"""Longer than a try takes: what is claimed is left alone for so long."""

MOST_PLANNED: Final = 200
MOST_CLAIMED: Final = 20

UNTOLD: Final = """
SELECT * FROM alerts
WHERE kind = ANY($1::text[]) AND (resolved_at IS NULL OR (told_opening = opening AND told_as <> 'resolved'))
  AND (told_at IS NULL OR told_at <= now() - interval '1 hour')
ORDER BY told_at NULLS FIRST, opened_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""
REPLACE: Final = """
WITH replaced AS (
    UPDATE alert_messages SET state = 'failed', settled_at = now()
    WHERE alert_id = $1 AND state = 'pending' RETURNING alert_id, channel
)
INSERT INTO alert_history (alert_id, what, channel, note)
SELECT alert_id, 'failed', channel, 'not sent any more: a later message replaces it' FROM replaced
"""
PLAN: Final = """
INSERT INTO alert_messages (id, alert_id, channel, channel_key, body) VALUES ($1, $2, $3, $4, $5)
"""
NOTE_TOLD: Final = """
UPDATE alerts SET told_at = now(), told_as = $2, told_opening = opening, told_count = count WHERE id = $1
"""
CLAIM: Final = """
UPDATE alert_messages SET attempts = attempts + 1, due_at = now() + make_interval(secs => $2)
WHERE id IN (
    SELECT id FROM alert_messages WHERE state = 'pending' AND due_at <= now() AND channel_key = ANY($1::text[])
    ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING id, alert_id, channel, channel_key, body, attempts
"""
SETTLE: Final = """
WITH settled AS (
    UPDATE alert_messages SET state = $3, settled_at = CASE WHEN $3 = 'pending' THEN NULL ELSE now() END,
           due_at = now() + make_interval(secs => $4)
    WHERE id = $1 AND attempts = $2 AND state = 'pending' RETURNING alert_id, channel
), told AS (
    UPDATE alerts SET told_at = now() FROM settled WHERE id = settled.alert_id AND $3 = 'sent'
)
INSERT INTO alert_history (alert_id, what, channel, note)
SELECT alert_id, CASE WHEN $3 = 'sent' THEN 'sent' ELSE 'failed' END, channel, $5 FROM settled
"""
"""The hour of a matter runs from its latest message that was sent, which may have been late."""

PRUNE: Final = (
    "DELETE FROM alerts WHERE resolved_at < now() - make_interval(days => $1)",
    "DELETE FROM alert_messages WHERE created_at < now() - make_interval(days => $1 + 2)",
    "DELETE FROM alert_history WHERE at < now() - make_interval(days => $1)",
)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message that this process is to send now; *attempt* is the number of the try, from 1."""

    id: UUID
    alert_id: UUID
    channel: AlertChannel
    notice: Notice
    attempt: int


async def plan(connection: Any, channels: Collection[AlertChannel], console_url: str | None) -> int:
    """Write the messages that are due, one for each channel; return how many. Without channels nothing is due."""
    if not channels:
        return 0
    planned = 0
    async with connection.transaction():
        # A kind that this version does not know was raised by a later one, which tells it.
        rows = await connection.fetch(UNTOLD, [str(kind) for kind in Kind], MOST_PLANNED)
        now = await connection.fetchval("SELECT now()")
        for row in rows:
            standing = Standing(**{name: row[name] for name in Standing.__struct_fields__})
            told_as = message_due(standing, KINDS[Kind(row["kind"])], now)
            if told_as is None:
                continue
            body = msgspec.json.encode(make_notice(row, told_as, console_url)).decode()
            await connection.execute(REPLACE, row["id"])
            for channel in channels:
                await connection.execute(PLAN, uuid7(), row["id"], channel.shown, channel.key, body)
            await connection.execute(NOTE_TOLD, row["id"], told_as)
            planned += len(channels)
    return planned


async def claim(connection: Any, channels: Sequence[AlertChannel]) -> list[Message]:
    """Take the messages that are due, for this process and `CLAIM_SECONDS`."""
    by_key = {channel.key: channel for channel in channels}
    rows = await connection.fetch(CLAIM, list(by_key), CLAIM_SECONDS, MOST_CLAIMED)
    return [
        Message(
            id=row["id"],
            alert_id=row["alert_id"],
            channel=by_key[row["channel_key"]],
            notice=msgspec.json.decode(row["body"], type=Notice),
            attempt=row["attempts"],
        )
        for row in rows
    ]


async def note_sent(connection: Any, message: Message) -> None:
    """Record that a message was sent."""
    await connection.execute(SETTLE, message.id, message.attempt, "sent", 0.0, message.notice.told_as)


async def note_failed(connection: Any, message: Message, error: str) -> float | None:
    """Record that a try failed; return after how many seconds it is tried again, None if it is given up."""
    wait = wait_seconds(message.attempt)
    state, note = ("failed", f"{error}, given up") if wait is None else ("pending", f"{error}, tried again")
    await connection.execute(SETTLE, message.id, message.attempt, state, wait or 0.0, note)
    return wait


async def prune(connection: Any, days: int) -> None:
    """Forget what was resolved or sent more than *days* ago."""
    for statement in PRUNE:
        await connection.execute(statement, days)
