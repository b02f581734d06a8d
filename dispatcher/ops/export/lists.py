"""The lists that can be exported: what may be asked of each, and how a page of it is read."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Annotated, Any, Final, get_type_hints

import msgspec

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import Pool
from dispatcher.lists.accounts.account import Account
from dispatcher.ops.accounts.reader import AccountQuery, AccountReader
from dispatcher.ops.audit.entries import AuditEntry, AuditQuery, AuditReader
from dispatcher.ops.dead.letters import DeadLetter, DeadPage, DeadQuery
from dispatcher.ops.dead.service import DeadLetterService
from dispatcher.ops.deliveries.attempts import AttemptReader
from dispatcher.ops.deliveries.bodies import AttemptInList
from dispatcher.ops.endpoints.bodies import EndpointBody, EndpointPage, EndpointQuery
from dispatcher.ops.endpoints.model import body_of
from dispatcher.ops.endpoints.reading.pages import read_page
from dispatcher.ops.export.rows import Format
from dispatcher.ops.faxes.bodies import Delivery, FaxInList, RecordedEvent
from dispatcher.ops.faxes.lists.queries import AttemptQuery, DeliveryQuery, EventQuery, FaxQuery
from dispatcher.ops.faxes.reader import FaxReader

ROWS_AT_ONCE: Final = 1_000
"""In memory. A list's page for clients has fewer."""

Read = Callable[[Any], Awaitable[Any]]
"""From a list's query to its page: `items`, and `next`, the cursor behind them."""


class ExportedList(msgspec.Struct, frozen=True, kw_only=True):
    """One list.

    Attributes:
        name: As in the list's path.
        query: What its list may be asked, with `limit` and `after`.
        asked: The same without these, with `format`: what an export may be asked.
        item: Its rows.
    """

    name: str
    query: type[msgspec.Struct]
    asked: type[msgspec.Struct]
    item: type[msgspec.Struct]
    read: Read

    async def pages(self, asked: msgspec.Struct) -> AsyncIterator[Sequence[msgspec.Struct]]:
        """Yield the rows that are *asked* for, some at a time; an empty page shows that the search goes on."""
        filters = {name: getattr(asked, name) for name in asked.__struct_fields__ if name != "format"}
        after: str | None = None
        while True:
            page = await self.read(self.query(**filters, limit=ROWS_AT_ONCE, after=after))
            yield page.items
            after = page.next
            if after is None:
                return


def exported_lists(
    pool: Pool, store: EndpointStore | None, faxes: FaxReader, dead: DeadLetterService | None
) -> dict[str, ExportedList]:
    """Return the lists by name; endpoints and dead letters only where their stores are given."""
    lists = [
        _list("faxes", FaxQuery, FaxInList, faxes.faxes),
        _list("events", EventQuery, RecordedEvent, faxes.events),
        _list("deliveries", DeliveryQuery, Delivery, faxes.deliveries),
        _list("attempts", AttemptQuery, AttemptInList, AttemptReader(pool).page),
        _list("accounts", AccountQuery, Account, AccountReader(pool).page),
        _list("audit", AuditQuery, AuditEntry, AuditReader(pool).page),
    ]
    if store is not None:
        lists.append(_list("endpoints", EndpointQuery, EndpointBody, partial(_endpoints, pool, store)))
    if dead is not None:
        lists.append(_list("dead-letters", DeadQuery, DeadLetter, partial(_letters, dead)))
    return {each.name: each for each in lists}


async def _endpoints(pool: Pool, store: EndpointStore, query: EndpointQuery) -> EndpointPage:
    page = await read_page(pool, store, query)
    return EndpointPage(items=tuple(map(body_of, page.items)), next=page.next)


async def _letters(dead: DeadLetterService, query: DeadQuery) -> DeadPage:
    return await dead.page(query.filter, query.after, query.limit)


def _list(name: str, query: type[msgspec.Struct], item: type[msgspec.Struct], read: Read) -> ExportedList:
    return ExportedList(name=name, query=query, asked=asked_of(query), item=item, read=read)


def asked_of(query: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return what an export may be asked: the fields of *query* but the page's, and the format."""
    hints = get_type_hints(query, include_extras=True)
    fields = [
        (field.name, hints[field.name], field.default)
        for field in msgspec.structs.fields(query)
        if field.name not in {"limit", "after"}
    ]
    file_format = Annotated[Format, msgspec.Meta(description="of the file")]
    return msgspec.defstruct(
        query.__name__.replace("Query", "Export"),
        [*fields, ("format", file_format, "ndjson")],
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )
