"""Alerts as they are read: matters with what was told of them, filtered and a page at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from dispatcher.alerts.kinds import KINDS, Kind
from dispatcher.alerts.words import page_of
from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.cursor import MOST_PER_PAGE, AwareTime, Cursor, CursorOf, Limit
from dispatcher.ops.api.moments import MomentText, read_span
from shared.domain import utc_now

State = Literal["open", "resolved"]

CURSOR: Final = CursorOf("alerts", tuple[AwareTime, UUID])

MOST_ENTRIES: Final = 20
"""Of an alert's history; the latest."""

HISTORY: Final = """
SELECT latest.* FROM unnest($1::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
    SELECT alert_id, at, what, channel, note FROM alert_history WHERE alert_id = wanted.id ORDER BY id DESC LIMIT $2
) AS latest
"""


class AlertEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an alert's history.

    Attributes:
        what: `raised`, `sent`, `failed` (a message could not be sent) or `resolved`.
        channel: Whom a message went to; of a webhook its host only.
        note: What was raised, which message was sent, why it failed, or how it was resolved.
    """

    at: datetime
    what: str
    channel: str | None
    note: str | None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A matter that the operator is told of.

    Attributes:
        kind: What it is about.
        subject: Which one, as the kind says: an endpoint's id, a provider.
        title: What happened, in short.
        what: What happened, a sentence.
        advice: What to do.
        count: How many it is about.
        opened_at: When it was raised; of a matter that came again, the last time.
        last_at: When it was last seen to be so.
        told_at: When the last message of it was made, or sent if that was later.
        page: The console's page of it.
        history: The latest 20 lines, the oldest first.
    """

    id: UUID
    kind: str
    subject: str
    title: str
    what: str
    advice: str
    state: State
    count: int
    opened_at: datetime
    last_at: datetime
    resolved_at: datetime | None
    told_at: datetime | None
    page: str
    history: tuple[AlertEntry, ...]


class AlertPage(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts, the latest raised first."""

    items: tuple[Alert, ...]
    next: str | None


class AlertQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which alerts, and which page of them."""

    state: State | None = None
    kind: Kind | None = None
    since: Annotated[MomentText | None, msgspec.Meta(description="raised from then on")] = None
    until: Annotated[MomentText | None, msgspec.Meta(description="raised before then")] = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None


class AlertReader:
    """Queries of the alerts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self) -> tuple[Alert, ...]:
        """Return the latest open alerts, as many as a page has."""
        return (await self.page(AlertQuery(state="open"))).items

    async def page(self, query: AlertQuery) -> AlertPage:
        """Return a page of alerts, the latest first.

        Raises:
            BadCursor: The cursor is not one of the alerts.
            BadMoment: `since` or `until` is no moment, or nothing lies between them.
        """
        since, until = read_span(query.since, query.until, utc_now())
        at, alert_id = (None, None) if query.after is None else CURSOR.read(query.after)
        rows = await self._pool.fetch(
            """
            SELECT * FROM alerts
            WHERE ($1::text IS NULL OR (resolved_at IS NULL) = ($1 = 'open'))
              AND ($2::text IS NULL OR kind = $2) AND ($3::timestamptz IS NULL OR opened_at >= $3)
              AND ($4::timestamptz IS NULL OR opened_at < $4)
              AND ($5::timestamptz IS NULL OR (opened_at, id) < ($5, $6::uuid))
            ORDER BY opened_at DESC, id DESC LIMIT $7
            """,
            *(query.state, query.kind, since, until, at, alert_id, query.limit + 1),
        )
        shown = rows[: query.limit]
        lines = await self._pool.fetch(HISTORY, [row["id"] for row in shown], MOST_ENTRIES)
        items = tuple(_alert_of(row, lines) for row in shown)
        cursor = CURSOR.write(items[-1].opened_at, items[-1].id) if len(rows) > query.limit else None
        return AlertPage(items=items, next=cursor)


def _alert_of(row: Any, lines: Sequence[Any]) -> Alert:
    """Return the alert of a row; of a kind that only a later version knows, without advice."""
    facts = KINDS[Kind(row["kind"])] if row["kind"] in set(Kind) else None
    names = ("id", "kind", "subject", "what", "count", "opened_at", "last_at", "resolved_at", "told_at")
    own = [line for line in lines if line["alert_id"] == row["id"]]
    return Alert(
        **{name: row[name] for name in names},
        title=row["kind"] if facts is None else facts.title,
        advice="" if facts is None else facts.advice,
        state="open" if row["resolved_at"] is None else "resolved",
        page=page_of(row["kind"], row["subject"]),
        history=tuple(
            AlertEntry(at=line["at"], what=line["what"], channel=line["channel"], note=line["note"])
            for line in reversed(own)
        ),
    )
