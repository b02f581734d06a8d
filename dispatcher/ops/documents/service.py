"""Documents read from the media store for people. Each look is in the audit before anything is shown."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.api.lookups import NoSuch
from dispatcher.ops.documents.content import is_key, type_of
from dispatcher.ops.documents.thumbnail import Thumbnails
from shared.domain import Media, decode_event
from shared.errors import FaxhookError
from shared.media import MediaStore, MediaUnavailable

MOST_AT_ONCE: Final = 4
"""Documents in memory: 4 of 32 MiB."""

MOST_WAITING: Final = 16

EVENT: Final = "SELECT provider, fax_id, body, media FROM events WHERE id = $1"


class TooBusy(FaxhookError):
    """Too many documents are asked for at once."""

    code = "too_busy"
    status = 503


class StoreAway(FaxhookError):
    """The media store does not answer."""

    code = "media_unavailable"
    status = 503


class OtherDocument(FaxhookError):
    """The event that was named has another document, or none."""

    code = "other_document"
    status = 422
    field = "event_id"


class Look(msgspec.Struct, frozen=True):
    """Who looks at which document; *event_id* names the event that it came with, so that the audit names the fax."""

    who: str
    key: str
    event_id: str | None = None


class DocumentService:
    """The documents of one media store."""

    def __init__(self, pool: Pool, store: MediaStore) -> None:
        self._pool = pool
        self._store = store
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._waiting = 0
        self._thumbnails = Thumbnails()

    async def read(self, look: Look) -> bytes:
        """Return a document's content.

        Raises:
            NoSuch: There is no such document.
            OtherDocument: The event does not name it.
            StoreAway: The media store does not answer.
            TooBusy: Others are waiting already.
        """
        async with self._turn():
            return await self._content(look, "document.read")

    async def thumbnail(self, look: Look) -> bytes:
        """Return a document's first page as a PNG; raise as `read` does, and as `Thumbnails.of`."""
        async with self._turn():
            return await self._thumbnails.of(await self._content(look, "document.thumbnail"))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= MOST_WAITING:
            raise TooBusy("too many documents are asked for at once: try again in a moment")
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    async def _content(self, look: Look, what: str) -> bytes:
        if not is_key(look.key):
            raise NoSuch("document", look.key)
        subject = look.key if look.event_id is None else await self._fax_of(look.key, look.event_id)
        try:
            if await self._store.stored_at(look.key) is None:
                raise NoSuch("document", look.key)
            content = await self._store.get(Media(key=look.key))
        except MediaUnavailable as error:
            raise StoreAway(f"{error}: try again in a moment") from error
        details = {"document": look.key, "bytes": len(content), "content_type": type_of(content)}
        await write_audit(self._pool, look.who, what, subject, details)
        return content

    async def _fax_of(self, key: str, event_id: str) -> str:
        """Return the fax whose event came with this document."""
        row = None if "\0" in event_id else await self._pool.fetchrow(EVENT, event_id)
        if row is None:
            raise NoSuch("event", event_id)
        fetched = None if row["media"] is None else msgspec.json.decode(row["media"], type=Media)
        sent = None if row["body"] is None else decode_event(row["body"]).media
        if key not in {each.key for each in (fetched, sent) if each is not None}:
            raise OtherDocument(f"the event `{event_id[:200]}` did not come with this document")
        return f"{row['provider']}:{row['fax_id']}"
