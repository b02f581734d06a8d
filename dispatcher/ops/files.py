"""Files that a command writes: whole or not at all, whatever ends the command in the middle."""

import os
from pathlib import Path
from secrets import token_hex


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet, readable by its owner only (0600).

    A process that is killed leaves at most a hidden file `.faxhook-….part` beside it.

    Raises:
        FileExistsError: It is there already, and stays as it was.
        OSError: It cannot be written.
    """
    if os.path.lexists(path):
        raise FileExistsError(path)
    part = _part_beside(path)
    try:
        _write(part, content)
        try:
            os.link(part, path)  # replaces nothing, unlike a rename
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if os.path.lexists(path):
                raise FileExistsError(path) from None
            part.rename(path)
    finally:
        part.unlink(missing_ok=True)


def replace(path: Path, content: bytes) -> None:
    """Write a file, readable by its owner only, in place of the one that may be there.

    Raises:
        OSError: It cannot be written.
    """
    part = _part_beside(path)
    try:
        _write(part, content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _part_beside(path: Path) -> Path:
    return path.with_name(f".faxhook-{token_hex(8)}.part")


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
