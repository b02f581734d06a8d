"""Keeps the document that came with a callback, before its event is published, so that the event can name it."""

import asyncio
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

import msgspec

from shared.callback import Document, Parsed, SpoolFile
from shared.codings import UnknownCoding, is_packed, undo_codings
from shared.domain import Event
from shared.errors import Unreadable
from shared.media import DocumentStore
from shared.providers.asterisk.spool import NoDocument, read_spool_file
from shared.providers.common import document_type

GZIP_TYPES: Final = frozenset({"application/gzip", "application/x-gzip"})


async def with_document(
    parsed: Parsed,
    store: DocumentStore,
    spool_dir: Path | None,
    limit_bytes: int,
    spool_threads: Executor | None = None,
) -> tuple[Event, NoDocument | None]:
    """Return the event with its document kept; or without it, and why no file is at the path that was named.

    The spool is read in *spool_threads*, by default in those of the event loop.

    Raises:
        MediaUnavailable: The document is there and the store did not take it.
        Unreadable: The path leads out of the spool folder, or the document is packed and cannot be unpacked.
    """
    document = parsed.document
    if isinstance(document, SpoolFile):
        assert spool_dir is not None, "without a spool folder the adapter names no file"
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(spool_threads, read_spool_file, document.path, spool_dir, limit_bytes)
        if isinstance(found, str):
            return parsed.event, found
        document = found
    if document is None:
        return parsed.event, None
    if is_packed(document.content):
        document = await asyncio.to_thread(_unpacked, document, limit_bytes)
    media = await store.put(document.content, document.content_type)
    return msgspec.structs.replace(parsed.event, media=media), None


def _unpacked(document: Document, most_bytes: int) -> Document:
    try:
        content = undo_codings(document.content, "", most_bytes)
    except UnknownCoding:
        raise Unreadable("the document is packed (gzip) and broken") from None
    if not content:
        size = "is empty" if content is not None else f"has more than {most_bytes} bytes"
        raise Unreadable(f"the document is packed (gzip) and {size}")
    said = document.content_type
    return Document(content=content, content_type=document_type(content, "" if said in GZIP_TYPES else said))
