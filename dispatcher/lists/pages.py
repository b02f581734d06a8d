"""All faxes of a window, page by page, although the list shifts while it is read.

A fax that is removed pulls those behind it forward, over the edge of a page that was read already: one of them would
not be seen. So the list is read again until one reading is consistent: the total did not change, no fax came twice, and
as many came as the total says. What an earlier reading saw is not given again.

A total is believed only where it says that there is more. A list ends with a page that is not full, or that brings
nothing new: a total that is too low hides no fax, and neither does an empty page in the middle.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

import msgspec

from dispatcher.lists.apis.base import Page, id_of
from dispatcher.lists.client import ListClient
from dispatcher.lists.errors import ListShifted, NotAList, NotFound

SLICE: Final = timedelta(days=1)
"""A window is read in slices, the oldest first: short lists shift less, and progress is seen."""

OVERLAP: Final = timedelta(minutes=1)
"""Of two slices: whether a limit itself belongs to the window is each provider's own matter."""

MOST_READINGS: Final = 4
MOST_PAGES: Final = 20_000
"""Of one slice: five million faxes."""

MOST_IDLE_PAGES: Final = 3
"""Pages one after another that bring nothing new, before the list is taken to be over."""


IDS_AT_ONCE: Final = 100
"""Of a page, between two turns of the event loop."""


class Slice(msgspec.Struct, frozen=True):
    """A part of a window: faxes created from *since* to *until*."""

    since: datetime
    until: datetime


def slices(since: datetime, until: datetime) -> list[Slice]:
    """Return the window in slices, the oldest first; the last one may be shorter.

    >>> from datetime import UTC
    >>> start = datetime(2026, 11, 1, tzinfo=UTC)
    >>> [each.until.hour for each in slices(start, start + timedelta(hours=30))]
    [0, 6]
    """
    found = []
    start = since
    while start < until:
        end = min(start + SLICE, until)
        found.append(Slice(max(since, start - OVERLAP), end))
        start = end
    return found


class PageOfFaxes(msgspec.Struct, frozen=True):
    """Faxes that were not given before, and where they stood. An id is empty where the fax has none."""

    number: int
    faxes: list[tuple[str, bytes]]


class _Reading:
    """One reading of all pages: is it consistent?"""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._total: int | None = None
        self._without_id = 0
        self._is_steady = True

    def add(self, page: Page, ids: list[str]) -> bool:
        """Take a page; return False if it brought nothing that this reading did not have."""
        named = [each for each in ids if each]
        self._without_id += len(ids) - len(named)
        before = len(self._ids)
        self._ids.update(named)
        self._is_steady &= len(self._ids) - before == len(named)
        if page.total is not None:
            self._is_steady &= self._total in {None, page.total}
            self._total = page.total
        return len(self._ids) > before

    @property
    def seen(self) -> int:
        return len(self._ids) + self._without_id

    @property
    def total(self) -> int:
        return self.seen if self._total is None else self._total

    @property
    def is_consistent(self) -> bool:
        return self._is_steady and self.seen >= self.total

    def is_over(self, page: Page) -> bool:
        """Is *page* the last one, and does nothing speak for another one?"""
        return page.is_last and len(page.faxes) < page.size and self.seen >= self.total


async def read_pages(client: ListClient, part: Slice) -> AsyncIterator[PageOfFaxes]:
    """Yield the faxes of *part*, each once.

    Raises:
        ListShifted: It did not stand still in any reading. What was seen was given.
        ListUnavailable: The provider does not give its list.
    """
    given: set[str] = set()
    reading = _Reading()
    for _ in range(MOST_READINGS):
        reading = _Reading()
        number, idle = 1, 0
        while True:
            page = await _page(client, part, number)
            faxes: list[tuple[str, bytes]] = []
            for start in range(0, len(page.faxes), IDS_AT_ONCE):
                await asyncio.sleep(0)  # each of these steps takes the event loop for a third of a millisecond
                faxes += [(id_of(raw), raw) for raw in map(bytes, page.faxes[start : start + IDS_AT_ONCE])]
            is_new = reading.add(page, [fax_id for fax_id, _ in faxes])
            await asyncio.sleep(0)
            yield PageOfFaxes(number, [fax for fax in faxes if fax[0] not in given])
            given.update(fax_id for fax_id, _ in faxes)
            given.discard("")
            idle = 0 if is_new else idle + 1
            if reading.is_over(page) or (idle and page.is_last) or idle == MOST_IDLE_PAGES:
                break
            number += 1
            if number > MOST_PAGES:
                raise NotAList(f"the list of {client.api.provider} does not end: {MOST_PAGES} pages were read")
        if reading.is_consistent:
            return
    raise ListShifted(
        f"the list of {client.api.provider} changed while it was read, {MOST_READINGS} times: {reading.seen} faxes "
        f"came where it counts {reading.total}; it is read again in the next round"
    )


async def _page(client: ListClient, part: Slice, number: int) -> Page:
    """Return a page; an empty one where a provider does not know a page behind its last one."""
    try:
        body = await client.page(part.since, part.until, number)
    except NotFound:
        if number == 1:
            raise
        return Page(faxes=[], total=None, is_last=True, size=1)
    return client.api.read_page(body, number)
