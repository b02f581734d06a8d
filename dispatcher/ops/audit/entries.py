"""The audit as it is read: its lines, filtered and a page at a time."""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.cursor import MOST_PER_PAGE, AwareTime, Cursor, CursorOf, Limit
from dispatcher.ops.api.moments import MomentText, read_span
from shared.domain import utc_now

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=400, pattern=r"^[^\x00]*$")]
AuditId = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
CURSOR: Final = CursorOf("audit", tuple[AwareTime, AuditId])

COLUMNS: Final = ("who", "what", "subject")
"""An index serves each of them together with the time; of several, the planner takes the rarest."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change, look at contents, log-in or refused log-in.

    Attributes:
        who: The token or person; those who logged in by OpenID Connect by their name there.
        what: For programs, as `endpoint.changed`.
        subject: The id of what it was done to.
        origin: The address that it came from, or user and host of the command line; null in old lines.
        old: What was changed, before; passwords and tokens never.
        new: The same, after.
        details: All else.
    """

    id: int
    at: datetime
    who: str
    what: str
    subject: str
    origin: str | None
    old: dict[str, Any]
    new: dict[str, Any]
    details: dict[str, Any]


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of the audit, the latest first."""

    items: tuple[AuditEntry, ...]
    next: str | None


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines, and which page of them."""

    who: Text | None = None
    what: Text | None = None
    subject: Text | None = None
    since: MomentText | None = None
    until: MomentText | None = None
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None


class AuditReader:
    """Queries of the audit."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, query: AuditQuery) -> AuditPage:
        """Return a page of lines, the latest first.

        Raises:
            BadCursor: The cursor is not one of the audit.
            BadMoment: `since` or `until` is no moment, or nothing lies between them.
        """
        since, until = read_span(query.since, query.until, utc_now())
        conditions: list[str] = []
        values: list[Any] = []

        def within(condition: str, *given: Any) -> None:
            conditions.append(condition.format(*(f"${len(values) + index + 1}" for index in range(len(given)))))
            values.extend(given)

        for column in COLUMNS:
            if (wanted := getattr(query, column)) is not None:
                within(f"{column} = {{0}}", wanted)
        if since is not None:
            within("at >= {0}", since)
        if until is not None:
            within("at < {0}", until)
        if query.after is not None:
            within("(at, id) < ({0}, {1})", *CURSOR.read(query.after))
        statement = f"""
            SELECT id, at, who, what, subject, origin, details FROM audit
            WHERE {" AND ".join(conditions) or "true"} ORDER BY at DESC, id DESC LIMIT {query.limit + 1}
        """  # noqa: S608 - columns and conditions of ours
        rows = await self._pool.fetch(statement, *values)
        items = tuple(_entry_of(row) for row in rows[: query.limit])
        cursor = CURSOR.write(items[-1].at, items[-1].id) if len(rows) > query.limit else None
        return AuditPage(items=items, next=cursor)


def _entry_of(row: Any) -> AuditEntry:
    details = msgspec.json.decode(row["details"])
    old, new = (details.pop(side) if isinstance(details.get(side), dict) else {} for side in ("old", "new"))
    return AuditEntry(**{**dict(row), "old": old, "new": new, "details": details})
