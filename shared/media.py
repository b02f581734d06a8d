"""Where documents are kept: content-addressed, behind obstore (files, S3, …). Messages never carry file contents."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import LocalStore, from_url

from shared.domain import Media
from shared.errors import FaxhookError
from shared.settings import BadSetting

STORE_TIMEOUT_SECONDS: Final = 1.5
"""The ingress must answer within 2 s; a document that is not kept by then is a 503."""

MOST_UNDER_WAY: Final = 64
MOST_BYTES_UNDER_WAY: Final = 256 * 1024 * 1024
"""Documents on their way to the store, those included that no caller waits for any more: what was handed to a disk that
hangs stays in memory until the disk answers. Past either limit the store counts as away, at once."""

FLUSH_THREADS: Final = 8

HASH_IN_THREAD_FROM_BYTES: Final = 256 * 1024
"""SHA-256 of this much takes about 0.2 ms; hashing releases the interpreter's lock, so a thread keeps the loop free."""


class MediaUnavailable(FaxhookError):
    """The media store did not take or give a document."""

    code = "media_unavailable"


class DocumentStore(Protocol):
    """What keeping a document needs of a media store."""

    async def put(self, content: bytes, content_type: str) -> Media:
        """Return where *content* is kept; raise `MediaUnavailable` otherwise."""


class MediaStore:
    """Documents by the SHA-256 of their content: the same content is stored once.

    Raises:
        BadSetting: No store can be opened at MEDIA_URL.
    """

    def __init__(self, url: str) -> None:
        self._under_way: set[asyncio.Future[None]] = set()
        self._bytes_under_way = 0
        self._threads = ThreadPoolExecutor(FLUSH_THREADS, thread_name_prefix="media")
        parts = urlsplit(url)
        self._folder = Path(unquote(parts.path)) if parts.scheme == "file" else None
        try:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            self._store = from_url(url) if self._folder is None else LocalStore(self._folder, mkdir=True)
        except Exception as error:
            # obstore's errors share no base class; each of them means that nothing can be kept there.
            raise BadSetting(f"MEDIA_URL is wrong: {type(error).__name__}, nothing can be kept there") from error

    async def put(self, content: bytes, content_type: str, timeout_seconds: float = STORE_TIMEOUT_SECONDS) -> Media:
        """Keep *content* and return where it is.

        Raises:
            MediaUnavailable: It is not kept.
        """
        if len(content) >= HASH_IN_THREAD_FROM_BYTES:
            digest = await asyncio.to_thread(_sha256, content)
        else:
            digest = _sha256(content)
        key = f"{digest[:2]}/{digest}"
        keeping = self._start(key, content)
        try:
            async with asyncio.timeout(timeout_seconds):
                await asyncio.shield(keeping)
        except Exception as error:
            # obstore's errors share no base class; each of them means that nothing is kept.
            raise MediaUnavailable(f"the media store did not take a document of {len(content)} bytes") from error
        return Media(key=key, sha256=digest, bytes=len(content), content_type=content_type)

    @property
    def is_ready(self) -> bool:
        """False while too much is under way for more to be taken."""
        return len(self._under_way) < MOST_UNDER_WAY and self._bytes_under_way < MOST_BYTES_UNDER_WAY

    def _start(self, key: str, content: bytes) -> "asyncio.Future[None]":
        """Begin to keep *content*; it is counted until it is done, however long that takes.

        Raises:
            MediaUnavailable: Too much is under way.
        """
        if not self.is_ready:
            raise MediaUnavailable("the media store does not keep up")
        keeping = asyncio.ensure_future(self._keep(key, content))
        self._under_way.add(keeping)
        self._bytes_under_way += len(content)

        def ended(keeping: "asyncio.Future[None]") -> None:
            self._under_way.discard(keeping)
            self._bytes_under_way -= len(content)
            if not keeping.cancelled():
                keeping.exception()  # a caller that still waits gets it, too

        keeping.add_done_callback(ended)
        return keeping

    async def _keep(self, key: str, content: bytes) -> None:
        await obstore.put_async(self._store, key, content)
        if self._folder is not None:
            # In threads for this only: one that hangs must not delay anything else.
            await asyncio.get_running_loop().run_in_executor(self._threads, _sync, self._folder / key)

    async def get(self, media: Media) -> bytes:
        """Return the content of stored *media*.

        Raises:
            MediaUnavailable: The store is away, or no longer has it.
        """
        assert media.key is not None, "only stored media can be read"
        async with _answering(f"give {media.key}"):
            result = await obstore.get_async(self._store, media.key)
            return bytes(await result.bytes_async())

    async def stored_at(self, key: str) -> datetime | None:
        """Return when the document was last stored, aware UTC; None if it is not there.

        Raises:
            MediaUnavailable: The store is away.
        """
        async with _answering(f"say when {key} was stored"):
            try:
                return (await obstore.head_async(self._store, key))["last_modified"]
            except FileNotFoundError:
                return None

    async def read_note(self, key: str) -> bytes | None:
        """Return what `write_note` wrote last under *key*; None if there is nothing.

        Raises:
            MediaUnavailable: The store is away.
        """
        async with _answering(f"give {key}"):
            try:
                result = await obstore.get_async(self._store, key)
                return bytes(await result.bytes_async())
            except FileNotFoundError:
                return None

    async def write_note(self, key: str, content: bytes) -> None:
        """Write a few bytes under a *key* that no document has, over what was there; a power cut may lose them.

        Raises:
            MediaUnavailable: The store is away.
        """
        async with _answering(f"take {key}"):
            await obstore.put_async(self._store, key, content)

    async def delete(self, key: str) -> None:
        """Delete the document; one that is not there is deleted.

        Raises:
            MediaUnavailable: The store is away.
        """
        async with _answering(f"delete {key}"):
            with suppress(FileNotFoundError):
                await obstore.delete_async(self._store, key)


@asynccontextmanager
async def _answering(what: str) -> AsyncIterator[None]:
    """Turn every error and a late answer into `MediaUnavailable`. *what* the store was asked to do, e.g. `give a/b`."""
    try:
        async with asyncio.timeout(STORE_TIMEOUT_SECONDS * 10):
            yield
    except Exception as error:
        raise MediaUnavailable(f"the media store did not {what}") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sync(path: Path) -> None:
    # obstore writes and renames, but leaves flushing to the system: a power cut after our 200 could empty the file.
    folder = os.O_RDONLY | os.O_DIRECTORY
    for target, flags in ((path, os.O_RDONLY), (path.parent, folder), (path.parent.parent, folder)):
        descriptor = os.open(target, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
