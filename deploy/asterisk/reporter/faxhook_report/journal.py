"""The journal: every report once more, under a second name, for `sweep --since`."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from .reports import spooled_at, sync_folder

JOURNAL_SECONDS = 30 * 86_400.0
MOST_JOURNALED = 100_000
"""Reports are kept so long, and so many, for `--since`; the oldest go first."""


def keep_in_journal(path: Path) -> None:
    """Keep a report for `--since`, before it is tried: a second name of the same file, which no crash leaves half.

    A journal that cannot be written delays no report.
    """
    journal = path.parent / "journal"
    try:
        with suppress(FileExistsError):
            journal.mkdir(mode=0o750)
        os.link(path, journal / path.name)
        sync_folder(journal)
    except (FileExistsError, FileNotFoundError):
        pass  # it is there already, or the call that made it has just delivered it
    except OSError as error:
        print(f"{journal}: {error.strerror}: {path.name} is reported, and not kept for --since", file=sys.stderr)


def spool_again(report_dir: Path, since: float) -> None:
    """Make the reports that the journal has since then (seconds of the epoch) due now. What faxhook has, it removes."""
    for kept in sorted((report_dir / "journal").glob("*.form")):
        if spooled_at(kept) >= since:
            with suppress(FileExistsError):  # it still waits
                os.link(kept, report_dir / kept.name)
            os.utime(kept, (0, 0))


def forget_old(report_dir: Path) -> None:
    """Drop what is older than the journal keeps, and the oldest of what is more than it keeps."""
    oldest_first = sorted((report_dir / "journal").glob("*.form"))
    for number, kept in enumerate(oldest_first):
        if number < len(oldest_first) - MOST_JOURNALED or spooled_at(kept) < time.time() - JOURNAL_SECONDS:
            kept.unlink()
