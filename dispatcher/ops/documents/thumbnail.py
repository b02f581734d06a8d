"""Thumbnails of documents, made by `first_page` in a process of its own; few at once, each bounded in time."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dispatcher.ops.documents import first_page
from dispatcher.ops.documents.content import UNKNOWN_TYPE, type_of
from shared.errors import FaxhookError

SECONDS: Final = 10.0
MOST_AT_ONCE: Final = 2
PROGRAM: Final = str(Path(first_page.__file__))
PASSED_ON: Final = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
"""Variables that the interpreter may need to find its libraries; it does not get our settings."""


class NoThumbnail(FaxhookError):
    """Nothing can be shown of a document of this kind, or it is damaged or too large."""

    code = "no_thumbnail"
    status = 422


class Thumbnails:
    """Makes thumbnails."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._turns = asyncio.Semaphore(MOST_AT_ONCE)
        self._environment = {name: environ[name] for name in PASSED_ON if name in environ}

    async def of(self, content: bytes) -> bytes:
        """Return the first page of a document as a PNG of at most 620 by 877 pixels.

        Raises:
            NoThumbnail: There is nothing to show.
        """
        if type_of(content) == UNKNOWN_TYPE:
            raise NoThumbnail("the document is no PDF and no image: download it")
        async with self._turns:
            return await self._made(content)

    async def _made(self, content: bytes) -> bytes:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            PROGRAM,
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.DEVNULL,
            env=self._environment,
        )
        try:
            async with asyncio.timeout(SECONDS):
                page, _ = await process.communicate(content)
        except TimeoutError:
            raise NoThumbnail("the document's first page takes too long to draw: download it") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0 or not page:
            raise NoThumbnail("the document's first page cannot be drawn: it is damaged, or too large; download it")
        return page
