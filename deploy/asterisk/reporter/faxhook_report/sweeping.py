"""A sweep: everything that is due, oldest first, then what is not needed any more."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .failures import EXIT_WAITING
from .journal import forget_old, spool_again
from .posting import LONGEST_WAIT_SECONDS, deliver
from .reports import read, spool, tiff_of, waiting
from .settings import Settings
from .tiffs import forget_gone, unreported


def sweep(settings: Settings, since: float | None = None) -> int:
    """Try what is due, oldest first, and report the TIFFs that have no report; return the exit code.

    A sweep that finds another one at work leaves it to that one; with *since* it waits, because a person asked for it.
    """
    with only_sweep(settings.report_dir, waits=since is not None) as is_only:
        if not is_only:
            return 0
        if since is not None:
            spool_again(settings.report_dir, since)
        is_done = True
        # 1. What waits, first: a folder of TIFFs that cannot be read must not hold it up.
        for path in waiting(settings.report_dir):
            is_done = is_due(path) and deliver(settings, path) and is_done
        # 2. The TIFFs that have no report.
        named = {tiff_of(read(path)) for path in waiting(settings.report_dir)}
        for report in unreported(settings, named):
            is_done = deliver(settings, spool(settings.report_dir, report)) and is_done
        clean_up(settings)
    return 0 if is_done else EXIT_WAITING


def is_due(path: Path) -> bool:
    """Is it time to try a report? Also true if it is gone: the call that made it has just delivered it."""
    try:
        return path.stat().st_mtime <= time.time()
    except FileNotFoundError:
        return True


def clean_up(settings: Settings) -> None:
    """Drop the markers of TIFFs that are gone, what a writer that died left unfinished, and old journal entries."""
    forget_old(settings.report_dir)
    forget_gone(settings)
    for unfinished in settings.report_dir.glob(".*.form.*"):
        with suppress(FileNotFoundError):  # its writer has just finished it
            if unfinished.stat().st_mtime < time.time() - LONGEST_WAIT_SECONDS:
                unfinished.unlink()


@contextmanager
def only_sweep(report_dir: Path, *, waits: bool) -> Iterator[bool]:
    """Yield whether no other sweep runs: a slow one may last longer than the timer's minute."""
    report_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    with (report_dir / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
