"""One reading of a provider's list: what of it the ledger does not know is published, as its callback would have been.

Each fax is looked up in the ledger, its document is kept, and its event is published and confirmed, in this order: a
reading that is interrupted anywhere leaves nothing half done, and the next one goes over the same faxes. What was
published twice, or is told by its callback meanwhile, is taken in once (`ledger.intake`).

What was on the list is noted for the daily account, fax by fax; and each part of a day, once all of it was seen.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from dispatcher.ledger.pool import planned_by_index
from dispatcher.lists.accounts.listed import Listed, cover, id_of_unreadable, note_listed
from dispatcher.lists.apis.base import ListedFax, is_beside, is_early
from dispatcher.lists.client import ListClient
from dispatcher.lists.documents import fetch_document
from dispatcher.lists.errors import ListShifted, ListUnavailable
from dispatcher.lists.known import KnownBefore, KnownFax, known_faxes, still_known
from dispatcher.lists.pace import AT_ONCE, Pace
from dispatcher.lists.pages import read_pages, slices
from dispatcher.lists.readings import MissingFax, Tally
from dispatcher.lists.restoring import fold_again, is_lost, record
from dispatcher.messages import Publishing
from dispatcher.policy.lifecycle import ending_bit
from shared.broker import FAX_IN
from shared.domain import Event, utc_now
from shared.errors import Unreadable
from shared.log import get_logger
from shared.media import MediaStore
from shared.quarantine import event_message

KEEP_SECONDS: Final = 10.0
DOCUMENT_PATIENCE: Final = timedelta(days=1)
"""After its end a fax is told without its document, if the provider does not give it for so long."""

MOST_NAMED: Final = 1_000
"""Missing faxes that a reading names; it counts all."""


class Reading:
    """Reads one list once.

    Args:
        client: Of the provider's API.
        connection: To the ledger.
        publisher: To `fax.in`; None if it is only to be found out what is missing.
        media: Keeps documents.
        grace_seconds: How long an ending is left to its callback.
        note: Is told of the progress after each page.
        is_list: What is read is a list, and not single faxes: it counts for the daily account.
        restores: What was deleted from the ledger is recorded again, see `restoring`.
        before: What was known at the last reading of this list; None if all is to be looked at.

    Attributes:
        tally: What was found.
        missing: The faxes by name.
        restored: How many events that had been deleted were recorded again, or would be.
        beside: How many faxes were listed that are older than the window; they are left alone.
    """

    def __init__(
        self,
        client: ListClient,
        connection: Any,
        publisher: Publishing | None,
        media: MediaStore,
        grace_seconds: float,
        note: Callable[[Tally], Awaitable[None]],
        *,
        is_list: bool = True,
        restores: bool = False,
        before: KnownBefore | None = None,
    ) -> None:
        self.tally = Tally()
        self.restored = 0
        self.beside = 0
        self.missing: list[MissingFax] = []
        self._client = client
        self._connection = connection
        self._publisher = publisher
        self._media = media
        self._grace = timedelta(seconds=grace_seconds)
        self._note = note
        self._is_list = is_list
        self._restores = restores
        self._before = before
        self._since: datetime | None = None
        self._pace = Pace()
        self._log = get_logger()

    async def run(self, since: datetime, until: datetime) -> None:
        """Read the faxes that were created from *since* to *until*, by the provider's clock.

        Raises:
            ListUnavailable: The list was not read, or not to its end.
            NotKept: The broker did not take an event.
            MediaUnavailable: The media store did not take a document.
        """
        self._since = since
        is_whole = False
        try:
            async with planned_by_index(self._connection):
                await self._run(since, until)
            is_whole = True
        finally:
            if self._before is not None:
                self._before.turn(is_whole=is_whole)

    async def _run(self, since: datetime, until: datetime) -> None:
        before: set[str] = set()
        shifted: ListShifted | None = None
        for part in slices(since, until):
            current: set[str] = set()
            try:
                async for page in read_pages(self._client, part):
                    fresh = await self._without_known([fax for fax in page.faxes if fax[0] not in before])
                    for start in range(0, len(fresh), AT_ONCE):
                        await self.take(fresh[start : start + AT_ONCE], part.since.date())
                    current.update(fax_id for fax_id, _ in page.faxes if fax_id)
                    self.tally.page_since, self.tally.page = part.since, page.number
                    await self._note(self.tally)
                if self._publisher is not None:
                    await cover(self._connection, self._client.api.provider, part.since, part.until)
            except ListShifted as error:  # the other slices are read all the same
                shifted = error
            before = current  # slices overlap
        if shifted is not None:
            raise shifted

    async def take(self, faxes: Sequence[tuple[str, bytes]], day: date) -> None:
        """Take some faxes of a page, each with its id; *day* is for those that do not say when they were created.

        Raises like `run`, but for the list.
        """
        # 1. What of it has ended long enough ago?
        now = utc_now() + timedelta(seconds=self._client.clock_ahead_seconds)
        ended, listed = await self._read_page(faxes, day, now)
        # 2. What of that does the ledger not know?
        if self._publisher is not None and self._is_list:
            await note_listed(self._connection, self._client.api.provider, listed)
        known = await known_faxes(self._connection, self._client.api.provider, [event.fax_id for event, _ in ended])
        for event, fax in ended:
            await self._compare(event, fax, known[event.fax_id], now)
        # 3. What does the ledger know by its events only?
        if self._publisher is not None:
            await self._fold_again([each for each, there in known.items() if there.recorded and there.endings is None])
        self._keep(faxes, known, {event.fax_id: ending_bit(event.type) for event, _ in ended})

    async def _read_page(
        self, faxes: Sequence[tuple[str, bytes]], day: date, now: datetime
    ) -> tuple[list[tuple[Event, ListedFax]], list[Listed]]:
        """Return what has ended, and what the account is to know of all."""
        ended: list[tuple[Event, ListedFax]] = []
        listed: list[Listed] = []
        async for fax_id, raw in self._pace.faxes(faxes):
            self.tally.seen += 1
            fax = self._read(raw)
            if fax is None:
                self.tally.unreadable += 1
                listed.append(Listed(fax_id=id_of_unreadable(raw, fax_id), day=day, is_readable=False))
                continue
            if self._since is not None and is_beside(fax, self._since):
                self.beside += 1
                continue
            event = self._ended(fax, now)
            created_on = day if fax.created_at is None else fax.created_at.astimezone(UTC).date()
            if event is not None:
                ended.append((event, fax))
                listed.append(Listed(fax_id=event.fax_id, day=created_on, type=event.type, event_id=event.id))
            elif fax_id:
                listed.append(Listed(fax_id=fax_id, day=created_on))
        return ended, listed

    async def _compare(self, event: Event, fax: ListedFax, there: KnownFax, now: datetime) -> None:
        """Tell an ending, unless the ledger knows it."""
        if there.recorded & ending_bit(event.type):
            self.tally.known += 1
            return
        with_job = msgspec.structs.replace(event, job_id=event.job_id or there.job_id)
        if is_lost(there, event):
            await self._record_again(with_job, fax, there, now)
        else:
            await self._tell(with_job, fax, now)

    def _keep(
        self, faxes: Sequence[tuple[str, bytes]], known: Mapping[str, KnownFax], endings: Mapping[str, int]
    ) -> None:
        """Note which faxes of a page need not be looked at again, as long as the list says the same of them."""
        if self._before is not None:
            for fax_id, raw in faxes:
                there = known.get(fax_id)
                if there is not None and there.endings is not None and there.recorded & endings[fax_id]:
                    self._before.keep(fax_id, raw)

    async def _without_known(self, faxes: Sequence[tuple[str, bytes]]) -> Sequence[tuple[str, bytes]]:
        """Return what of a page is to be looked at: all but what the list says as before and the ledger still knows."""
        if self._before is None:
            return faxes
        same = [fax for fax in faxes if self._before.has(*fax)]
        fax_ids = [fax_id for fax_id, _ in same]
        if not same or not await still_known(self._connection, self._client.api.provider, fax_ids):
            return faxes
        for fax in same:
            self._before.keep(*fax)
        self.tally.seen += len(same)
        self.tally.known += len(same)
        await self._pace.passed(len(same))
        return [fax for fax in faxes if not self._before.has(*fax)]

    async def _fold_again(self, fax_ids: Sequence[str]) -> None:
        if fax_ids and (count := await fold_again(self._connection, self._client.api.provider, fax_ids)):
            self._log.warning("fax.restored", provider=self._client.api.provider, count=count)

    def _ended(self, fax: ListedFax, now: datetime) -> Event | None:
        """Return the event of the fax's ending, if that was long enough before *now*."""
        if fax.event is None:
            self.tally.under_way += 1
        elif is_early(fax.finished_at, now, self._grace):
            self.tally.early += 1
        else:
            return fax.event
        return None

    def _read(self, raw: bytes) -> ListedFax | None:
        """Return what the list says of a fax; None if it cannot be understood."""
        try:
            return self._client.api.read_fax(raw, utc_now())
        except Unreadable:
            return None
        except Exception:  # noqa: BLE001 - of our own parser: the other faxes are read all the same
            self._log.exception("list.crashed", provider=self._client.api.provider)
            return None

    async def _tell(self, event: Event, fax: ListedFax, now: datetime) -> None:
        """Publish what was missing, with its document."""
        if self._publisher is None:
            self._count(event)
            return
        # 1. The document first, so that the event can name it.
        whole = await self._with_document_now(event, fax, now)
        if whole is None:
            return
        # 2. The event. From its confirm on it is as good as a callback's.
        try:
            message, headers = event_message(whole)
        except Unreadable:
            self.tally.unreadable += 1
            return
        await self._publisher.publish(FAX_IN, whole.routing_key, message, headers)
        self._count(whole)
        self._log.info(
            "event.synthesised", event_id=whole.id, provider=whole.provider, fax_id=whole.fax_id, type=whole.type
        )

    async def _record_again(self, event: Event, fax: ListedFax, there: KnownFax, now: datetime) -> None:
        """Record what was deleted from the ledger, if that was asked for."""
        self.tally.known += 1
        if not self._restores:
            return
        if self._publisher is not None:
            whole = await self._with_document_now(event, fax, now)
            if whole is None:
                return
            own_id = await record(self._connection, whole, there)
            self._log.warning("event.restored", event_id=own_id, provider=whole.provider, fax_id=whole.fax_id)
        self.restored += 1

    async def _with_document_now(self, event: Event, fax: ListedFax, now: datetime) -> Event | None:
        """Return the event with its document, or without it; None if it is left to the next reading."""
        try:
            return await self._with_document(event, fax)
        except ListUnavailable:
            if fax.finished_at is not None and fax.finished_at > now - DOCUMENT_PATIENCE:
                self.tally.postponed += 1
                return None
            self.tally.without_document += 1
            return event

    async def _with_document(self, event: Event, fax: ListedFax) -> Event:
        if not fax.has_document:
            return event
        found = await fetch_document(self._client, event.fax_id, fax)
        if found is None:
            self.tally.without_document += 1
            self._log.warning("media.missing", event_id=event.id, reason="the provider's API does not give it")
            return event
        media = await self._media.put(*found, KEEP_SECONDS)
        return msgspec.structs.replace(event, media=media)

    def _count(self, event: Event) -> None:
        self.tally.missing += 1
        if len(self.missing) < MOST_NAMED:
            self.missing.append(
                MissingFax(fax_id=event.fax_id, type=event.type, event_id=event.id, occurred_at=event.occurred_at)
            )
