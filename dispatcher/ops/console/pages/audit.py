"""The audit: who did what, from where; filtered, a page at a time."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from dispatcher.ops.audit.entries import AuditEntry, AuditQuery, AuditReader
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.pages.filters import chosen_of, filter_of
from dispatcher.ops.console.words import AUDITED

MOST_PER_PAGE: Final = 50
FILTER_FIELDS: Final = ("who", "what", "subject", "since", "until")


class Audit:
    """Reads the audit, and shows it."""

    def __init__(self, reader: AuditReader) -> None:
        self._reader = reader

    async def of_subject(self, subject: str, most: int) -> tuple[AuditEntry, ...]:
        """Return the latest *most* entries of one *subject*."""
        return (await self._reader.page(AuditQuery(subject=subject, limit=most))).items

    async def show(self, visit: Visit) -> web.Response:
        """Show a page, the latest first."""
        query, chosen = read_filter(visit.request.query)
        page = await self._reader.page(query)
        whats = AUDITED if not chosen.get("what") else {chosen["what"]: chosen["what"], **AUDITED}
        return visit.page(
            "audit.html",
            entries=page.items,
            chosen=chosen,
            whats=whats.items(),
            next=None if page.next is None else urlencode({**chosen, "after": page.next}),
        )


def read_filter(given: Mapping[str, str]) -> tuple[AuditQuery, dict[str, str]]:
    """Return which entries a page shows, and the fields of its form that narrow them.

    Raises:
        PageError: Names the field whose value is not valid.
    """
    fields = {name: value.strip() for name, value in given.items() if value.strip()}
    query = filter_of(fields, AuditQuery)
    return msgspec.structs.replace(query, limit=MOST_PER_PAGE), chosen_of(given, FILTER_FIELDS)
