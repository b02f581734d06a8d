"""Reading a fax's TIFF from the spool folder that we share with the Asterisk.

The one part of the providers that does I/O, and it blocks: the ingress calls it off its event loop. The adapter has
checked the path as text already; here the symlinks are resolved, because only the file system knows them.
"""

import os
import stat
from pathlib import Path
from typing import Final

from shared.callback import Document
from shared.errors import FaxhookError, Unreadable

TIFF_MARKS: Final = (b"II*\0", b"MM\0*")
"""The first four bytes of every TIFF: little-endian or big-endian, then the number 42."""


class NoDocument(FaxhookError):
    """The spool holds no fax at this path. The event goes out without media; the application must learn of the fax.

    Attributes:
        reason: `missing`, `unreadable`, `not_a_file`, `empty`, `growing`, `too_large` or `not_a_tiff`: for the log
            and a metric's label.
    """

    code = "no_document"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The spool file cannot be taken as a fax: {reason}.")
        self.reason = reason


def read_spool_file(path: Path, spool_dir: Path, limit_bytes: int) -> Document:
    """Return the TIFF at *path*.

    Raises:
        Unreadable: Symlinks lead out of *spool_dir*: no event may come of it.
        NoDocument: There is nothing that could be a fax of at most *limit_bytes* bytes.
    """
    try:
        folder = spool_dir.resolve(strict=True)
        real = path.resolve(strict=True)
    except (FileNotFoundError, NotADirectoryError):
        _require_inside(path, spool_dir)
        raise NoDocument("missing") from None
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name too long, no permission
        raise NoDocument("unreadable") from None
    if not real.is_relative_to(folder) or real == folder:
        raise Unreadable("The path of the fax leads out of the spool folder.")
    return Document(content=_read_regular_file(real, limit_bytes), content_type="image/tiff")


def _require_inside(path: Path, spool_dir: Path) -> None:
    # A link to something missing outside must not be told apart from one to something that is there.
    try:
        inside = path.resolve().is_relative_to(spool_dir.resolve())
    except (OSError, RuntimeError):
        return
    if not inside:
        raise Unreadable("The path of the fax leads out of the spool folder.")


def _read_regular_file(real: Path, limit_bytes: int) -> bytes:
    # Looked at first, because merely opening a FIFO wakes its writer; looked at again below, in case it was exchanged.
    # O_NOFOLLOW: the path is resolved, so a link here was put in since. O_NONBLOCK: a FIFO would wait for a writer.
    try:
        if not stat.S_ISREG(real.lstat().st_mode):
            raise NoDocument("not_a_file")
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise NoDocument("unreadable") from None
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise NoDocument("not_a_file")
        if before.st_size == 0:
            raise NoDocument("empty")
        if before.st_size > limit_bytes:
            raise NoDocument("too_large")
        content = _read_all(file.fileno(), before.st_size)
        if len(content) != before.st_size or os.fstat(file.fileno()).st_mtime_ns != before.st_mtime_ns:
            raise NoDocument("growing")
    if not content.startswith(TIFF_MARKS):
        raise NoDocument("not_a_tiff")
    return content


def _read_all(descriptor: int, size_bytes: int) -> bytes:
    # One byte more than it should hold: that shows a file which grew in the meantime.
    chunks = []
    wanted = size_bytes + 1
    while wanted > 0 and (chunk := os.read(descriptor, wanted)):
        chunks.append(chunk)
        wanted -= len(chunk)
    return b"".join(chunks)
