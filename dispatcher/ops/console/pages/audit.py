"""The audit: who changed what, a page at a time."""

from datetime import datetime
from typing import Any, Final

import msgspec
from aiohttp import web

from dispatcher.ledger.pool import Pool
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.errors import no_such_page

MOST_PER_PAGE: Final = 50
MOST_ID: Final = 2**63 - 1

PAGE: Final = """
SELECT id, at, who, what, subject, details FROM audit
WHERE id < $1 AND ($2::text IS NULL OR subject = $2)
ORDER BY id DESC LIMIT $3
"""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change or log-in."""

    id: int
    at: datetime
    who: str
    what: str
    subject: str
    details: dict[str, Any]


class Audit:
    """Reads the table, and shows it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

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
            raise no_such_page()
        subject = visit.request.query.get("subject") or None
        found = await self.read(int(text), subject, MOST_PER_PAGE + 1)
        entries = found[:MOST_PER_PAGE]
        return visit.page(
            "audit.html",
            entries=entries,
            subject=subject,
            before=entries[-1].id if len(found) > MOST_PER_PAGE else None,
        )
