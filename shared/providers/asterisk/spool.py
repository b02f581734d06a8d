"""Reading a fax's TIFF from the spool folder that we share with the Asterisk.

The only module of the providers that does I/O, and it blocks: the ingress calls it in a thread. The adapter has checked
the path as text already; here the symlinks are resolved, which only the file system knows.
"""

import os
import stat
from pathlib import Path
from typing import Final, Literal

from shared.callback import Document
from shared.errors import Unreadable

NoDocument = Literal["missing", "unreadable", "not_a_file", "empty", "growing", "too_large", "not_a_tiff"]
"""Why a path holds no fax: for the log. The event goes out without media; the application must learn of the fax."""

TIFF_MARKS: Final = (b"II*\0", b"MM\0*")
"""The first four bytes of every TIFF: little-endian or big-endian, then the number 42."""


def read_spool_file(path: Path, spool_dir: Path, limit_bytes: int) -> Document | NoDocument:
    """Return the TIFF at *path*, or why it cannot be one of at most *limit_bytes* bytes.

    Raises:
        Unreadable: Symlinks lead out of *spool_dir*: no event may come of it.
    """
    try:
        # Not strict: the answer must not tell whether a link's target outside of the spool exists.
        folder, real = spool_dir.resolve(), path.resolve()
        is_settled = real.resolve() == real  # behind links in a circle, Python before 3.13 resolves no others
    except (OSError, RuntimeError, ValueError):  # links in a circle, a name too long, no permission
        return "unreadable"
    if folder not in real.parents or not is_settled:
        raise Unreadable("The path of the fax leads out of the spool folder.")
    try:
        return _read_tiff(real, limit_bytes)
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError:
        return "unreadable"


def _read_tiff(real: Path, limit_bytes: int) -> Document | NoDocument:
    # Before the opening, because opening a FIFO wakes its writer; and again after it, in case the file was exchanged.
    if unfit := _unfit(real.lstat(), limit_bytes):
        return unfit
    # O_NOFOLLOW: the path is resolved, so a link here was put in since. O_NONBLOCK: a FIFO would wait for a writer.
    with os.fdopen(os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        before = os.fstat(file.fileno())
        if unfit := _unfit(before, limit_bytes):
            return unfit
        content = file.read(before.st_size + 1)  # the one byte more shows a file that grew
        if len(content) != before.st_size or os.fstat(file.fileno()).st_mtime_ns != before.st_mtime_ns:
            return "growing"
    if not content.startswith(TIFF_MARKS):
        return "not_a_tiff"
    return Document(content=content, content_type="image/tiff")


def _unfit(status: os.stat_result, limit_bytes: int) -> NoDocument | None:
    if stat.S_ISLNK(status.st_mode):  # links in a circle: before Python 3.13, resolving them failed
        return "unreadable"
    if not stat.S_ISREG(status.st_mode):
        return "not_a_file"
    if status.st_size == 0:
        return "empty"
    return "too_large" if status.st_size > limit_bytes else None
