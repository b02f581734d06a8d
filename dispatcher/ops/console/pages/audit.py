"""What people changed, from the ledger: written, and shown a page at a time."""

from datetime import datetime
from typing import Any, Final

import msgspec
from aiohttp import web

from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.console.access.guard import Trouble, Visit

MOST_PER_PAGE: Final = 50
MOST_ID: Final = 2**63 - 1

PAGE: Final = """
SELECT id, at, who, what, subject, details FROM audit
WHERE id < $1 AND ($2::text IS NULL OR subject = $2)
ORDER BY id DESC LIMIT $3
"""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody did."""

    id: int
    at: datetime
    who: str
    what: str
    subject: str
    details: dict[str, Any]


class Audit:
    """Reads and writes the table, and shows it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def write(self, who: str, what: str, subject: str, details: dict[str, Any]) -> None:
        """Write a line of its own; changes of other things write theirs in their transaction."""
        await write_audit(self._pool, who, what, subject, details)

    async def read(self, before: int, subject: str | None, most: int) -> list[Entry]:
        """Return the latest *most* entries below id *before*, of one *subject* or all."""
        return [
            Entry(**{**dict(row), "details": msgspec.json.decode(row["details"])})
            for row in await self._pool.fetch(PAGE, before, subject, most)
        ]

    async def show(self, visit: Visit) -> web.Response:
        """Show a page, the latest first."""
        text = visit.request.query.get("before", str(MOST_ID))
        if not (text.isascii() and text.isdigit() and int(text) <= MOST_ID):
            raise Trouble(404, "There is no such page", "Follow the links of the audit; this address is none of them.")
        subject = visit.request.query.get("subject") or None
        found = await self.read(int(text), subject, MOST_PER_PAGE + 1)
        entries = found[:MOST_PER_PAGE]
        return visit.page(
            "audit.html",
            entries=entries,
            subject=subject,
            before=entries[-1].id if len(found) > MOST_PER_PAGE else None,
        )
