"""The documents of events: stored ones, and those that a provider only names by URL, which are fetched and kept.

| the event's media | then |
|---|---|
| is stored | read from the media store; a store that is away is our own trouble |
| has only a URL, attempt 1 | fetched, kept, written into the ledger: retries and other endpoints use the copy |
| has only a URL, a later attempt, nothing kept yet | fetched if the URL may still live |
| has only a URL, and a repetition of the event brought another one | fetched from the newest URL |
| has only a URL, and it is not fetched, or in vain | the copy of another event of the fax is sent |
| has only a URL, and no event of the fax has a copy | the event goes out with the URL alone |
| has only a URL, and the store lost the kept copy | as if no copy was kept, but goes without after a day only |
| has only a URL, and our proxy is away | our own trouble: the attempt waits |
| was fetched, but the store or the ledger is away | sent all the same; a retry fetches again, or goes without |

The URL bears the provider's credentials: it never reaches a log, and none of our credentials are sent to it.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from dispatcher.egress.client import Answer, EgressClient
from dispatcher.egress.errors import FAILURES, error_code
from dispatcher.egress.target import fetched_url
from dispatcher.ledger.faxes.documents import NewerUrl, find_copy_of_fax, find_document, keep_document
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from shared.codings import UnknownCoding, undo_codings
from shared.domain import Event, Media
from shared.log import get_logger
from shared.media import MediaStore, MediaUnavailable

MOST_BYTES: Final = 32 * 1024 * 1024
"""As many as a callback may bring along (MAX_BODY_BYTES)."""

FETCH_SECONDS: Final = 20.0
"""For one fetch, waiting for its turn included."""

LOOK_SECONDS: Final = 3.0
READ_SECONDS: Final = 15.0
KEEP_SECONDS: Final = 7.0
LEASE_SECONDS: Final = 2 * (LOOK_SECONDS + READ_SECONDS) + FETCH_SECONDS + KEEP_SECONDS
"""So much longer is a lease that may need a fetch: two looks at the ledger, each with the copy that it names."""

URL_LIVES_SECONDS: Final = 600.0
"""Of a Telnyx URL, from when it was received. The first attempt tries it however late it comes; later ones do not."""

LOST_SECONDS: Final = 86_400.0
"""After an event was received its webhooks wait so long for a kept copy that the store no longer has, and nothing else
gives: a folder that is not mounted, or another bucket, looks the same."""

MOST_AT_ONCE: Final = 8
"""Fetches under way: 8 of 32 MiB each bound the memory that they take."""

MOST_FAILURES: Final = 10_000
"""Failed fetches that are remembered, so that the other endpoints of an event do not wait for the same again."""

_Found = TypeVar("_Found")
_OK: Final = 200
_CONTENT_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,60}")
_OTHER_TYPE: Final = "application/octet-stream"
_UNTOLD: Final = frozenset({"", _OTHER_TYPE, "binary/octet-stream", "application/x-download"})
_PAGE: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<(?:!doctype|html|head|body|\?xml|error)\b|\{\s*[\"}])", re.IGNORECASE
)
"""How pages and sentences of a server begin: an expired login, an error. No fax comes as one of them."""

_MARKS: Final = (
    *((b"%PDF-", "application/pdf"), (b"II*\0", "image/tiff"), (b"MM\0*", "image/tiff")),
    (b"{\\rtf", "application/rtf"),
)


class NotFetched(Exception):
    """The document did not come; *code* says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Documents:
    """Gives each event its document. One for each process: endpoints of one event share one fetch."""

    def __init__(self, pool: Pool, store: MediaStore, client: EgressClient) -> None:
        self._pool = pool
        self._store = store
        self._client = client
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._under_way: dict[tuple[str, bool], asyncio.Task[tuple[Media, bytes] | None]] = {}
        self._failed_at: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._log = get_logger()

    async def of(self, event: Event, attempt: int) -> tuple[Event, bytes | None]:
        """Return *event*'s document, and the event that says where it is kept; None if it goes out without.

        Raises:
            MediaUnavailable: It is stored, and the store did not give it.
            ProxyAway: It cannot be fetched now, by our own trouble.
        """
        if event.media is None:
            return event, None
        if event.media.key is not None:
            return event, await self._store.get(event.media)
        found = await self._shared(event, attempt)
        if found is None:
            return event, None
        media, content = found
        return msgspec.structs.replace(event, media=media), content

    async def _shared(self, event: Event, attempt: int) -> tuple[Media, bytes] | None:
        """Join the fetch that is under way, or begin one."""
        key = (event.id, attempt == 1)  # a first attempt tries a URL that a later one leaves alone
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._find(event, attempt))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(task)  # one that stops waiting does not end the fetch for the others

    async def _find(self, event: Event, attempt: int) -> tuple[Media, bytes] | None:
        """Return the copy that is kept, or fetch the document, or return the copy of another event of the fax.

        Raises:
            MediaUnavailable: The store is away, or lost the copy, and no other is to be had.
            ProxyAway: As `of`.
        """
        known = await self._look(find_document(self._pool, event.id))
        if isinstance(known, Media) and (content := await self._content_of(known)) is not None:
            return known, content
        is_lost = isinstance(known, Media)
        named = known if isinstance(known, NewerUrl) else _named_by(event)
        reason = None
        # The same attempt of another endpoint has failed to fetch it: this one need not wait for the same again.
        if attempt > self._failed_at.get((event.id, named.url), 0) and _may_live(named, attempt):
            try:
                return await self._fetch_and_keep(event.id, named.url)
            except NotFetched as error:
                self._remember_failure(event.id, named.url, attempt)
                reason = error.code
        copy = await self._look(find_copy_of_fax(self._pool, event))
        if copy is not None and (content := await self._content_of(copy)) is not None:
            # Stored anew: retention takes a document that no old event names for needless by when it was stored.
            return await self._keep(event.id, content, copy.content_type or _OTHER_TYPE, copy.url), content
        if is_lost and _age_seconds(event.received_at) < LOST_SECONDS:
            raise MediaUnavailable("the media store no longer has a copy that it took")
        if reason is not None or is_lost:
            self._log.warning("media.missing", event_id=event.id, attempt=attempt, reason=reason or "lost")
        return None

    async def _content_of(self, copy: Media) -> bytes | None:
        """Return it; None if the store no longer has it, which must not hold up the webhook for ever.

        Raises:
            MediaUnavailable: The store is away.
        """
        try:
            async with asyncio.timeout(READ_SECONDS):
                try:
                    return await self._store.get(copy)
                except MediaUnavailable:
                    if copy.key is None or await self._store.stored_at(copy.key) is not None:
                        raise
                    return None
        except TimeoutError:
            raise MediaUnavailable(f"the media store did not give {copy.key} in time") from None

    async def _look(self, looking: Coroutine[Any, Any, _Found]) -> _Found | None:
        """Return what the ledger knows; None also if it is away: an event without its document is told all the same."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await looking
        except LEDGER_UNAVAILABLE:
            return None

    async def _fetch_and_keep(self, event_id: str, url: str) -> tuple[Media, bytes]:
        """Fetch the document.

        Raises:
            NotFetched: It did not come.
        """
        started = time.perf_counter()
        try:
            async with asyncio.timeout(FETCH_SECONDS), self._turns:
                content, content_type = await self._fetch(url)
        except TimeoutError:
            raise NotFetched("timeout") from None
        media = await self._keep(event_id, content, content_type, url)
        seconds = round(time.perf_counter() - started, 6)
        self._log.info("media.fetched", event_id=event_id, bytes=len(content), seconds=seconds)
        return media, content

    async def _fetch(self, url: str) -> tuple[bytes, str]:
        """Return content and its type.

        Raises:
            NotFetched: Anything but a complete document within the bounds.
        """
        try:
            async with self._client.request("GET", fetched_url(url), {}) as answer:
                return await read_document(answer, MOST_BYTES)
        except FAILURES as error:
            raise NotFetched(error_code(error)) from None  # its text may hold the URL

    async def _keep(self, event_id: str, content: bytes, content_type: str, url: str | None) -> Media:
        """Keep it for retries and other endpoints, if the stores take it."""
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                stored = await self._store.put(content, content_type, KEEP_SECONDS)
                media = msgspec.structs.replace(stored, url=url)
                await keep_document(self._pool, event_id, media)
                return media
        except (MediaUnavailable, *LEDGER_UNAVAILABLE) as error:
            self._log.warning("media.unkept", event_id=event_id, reason=type(error).__name__)
            return Media(url=url, bytes=len(content), content_type=content_type)

    def _remember_failure(self, event_id: str, url: str, attempt: int) -> None:
        self._failed_at[event_id, url] = attempt
        self._failed_at.move_to_end((event_id, url))
        if len(self._failed_at) > MOST_FAILURES:
            self._failed_at.popitem(last=False)


def may_need_fetch(event: Event) -> bool:
    """Has the provider only named the document?"""
    return event.media is not None and event.media.key is None


def _named_by(event: Event) -> NewerUrl:
    assert event.media is not None
    assert event.media.url is not None
    return NewerUrl(event.media.url, event.received_at)


def _may_live(named: NewerUrl, attempt: int) -> bool:
    return attempt == 1 or _age_seconds(named.named_at) <= URL_LIVES_SECONDS


def _age_seconds(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()


async def read_document(answer: Answer, most_bytes: int) -> tuple[bytes, str]:
    """Return the document in *answer*, and its type.

    Raises:
        NotFetched: It is a page, or `read_content` says so.
        BadAnswer, OSError: It breaks off.
    """
    content, kind = await read_content(answer, most_bytes)
    if _PAGE.match(content):
        raise NotFetched("not_a_document")
    return content, kind


async def read_content(answer: Answer, most_bytes: int) -> tuple[bytes, str]:
    """Return the content of *answer*, whatever it is, and its type.

    Raises:
        NotFetched: It is not 200, is empty, over *most_bytes*, or its coding cannot be undone.
        BadAnswer, OSError: It breaks off.
    """
    if answer.status != _OK:
        raise NotFetched(f"http_{answer.status}")
    if (answer.length or 0) > most_bytes:
        raise NotFetched("too_large")
    packed = bytearray()
    while piece := await answer.read():
        packed += piece
        if len(packed) > most_bytes:
            raise NotFetched("too_large")
    codings = ", ".join(answer.headers.get(name, "") for name in ("content-encoding", "transfer-encoding"))
    try:
        content = await asyncio.to_thread(undo_codings, bytes(packed), codings, most_bytes)
    except UnknownCoding:
        raise NotFetched("bad_answer") from None
    if content is None:
        raise NotFetched("too_large")
    if not content:
        raise NotFetched("empty")
    return content, _content_type(answer.headers.get("content-type", ""), content)


def _content_type(header: str, content: bytes) -> str:
    """Return the type that the answer names, without parameters; where it names none, what the content begins with.

    >>> _content_type("Application/PDF; charset=binary", b""), _content_type("binary/octet-stream", b"%PDF-1.7")
    ('application/pdf', 'application/pdf')
    """
    named = header.partition(";")[0].strip().lower()
    if named not in _UNTOLD and _CONTENT_TYPE.fullmatch(named):
        return named
    return next((kind for mark, kind in _MARKS if content.startswith(mark)), _OTHER_TYPE)
