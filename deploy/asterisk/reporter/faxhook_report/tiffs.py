"""The TIFFs of a PBX: which were reported, and which no report names."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from .reports import write
from .settings import Settings

TIFF_NAME = re.compile(r"(?P<to_number>\+?[0-9]+)_(?P<uniqueid>[A-Za-z0-9.-]+)\.tiff?")
"""How our dialplan names its files, so that a lost report can be made again from the name."""


def _marker(report_dir: Path, tiff: str) -> Path:
    return report_dir / "reported" / hashlib.sha256(os.fsencode(tiff)).hexdigest()


def mark_reported(report_dir: Path, tiff: str) -> None:
    """Remember that *tiff* needs no report any more."""
    marker = _marker(report_dir, tiff)
    marker.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    write(marker, tiff)


def unreported(settings: Settings, named: set[str]) -> Iterator[str]:
    """Return a report for each finished TIFF that neither a waiting report names nor faxhook knows.

    Such a call ended with the Asterisk, or the dialplan could not write. Whether all of its pages came is unknown: the
    report has no status, which means that a fax was received and this is its document.
    """
    for path in finished_tiffs(settings):
        tiff = str(path)
        if tiff in named or _marker(settings.report_dir, tiff).exists():
            continue
        parts = TIFF_NAME.fullmatch(path.name)
        yield urlencode({"tiff_path": tiff, **(parts.groupdict() if parts else {})}, errors="surrogateescape")


def finished_tiffs(settings: Settings) -> Iterator[Path]:
    """Return the TIFFs that have not changed for a while, oldest name first; no links and no folders."""
    for path in sorted(settings.fax_dir.iterdir()):
        if path.suffix.lower() not in {".tif", ".tiff"}:
            continue
        status = path.lstat()
        is_idle = status.st_mtime <= time.time() - settings.idle_seconds
        if stat.S_ISREG(status.st_mode) and status.st_size > 0 and is_idle:
            yield path


def forget_gone(settings: Settings) -> None:
    """Drop the markers of TIFFs that are gone.

    An empty folder may be one that is not mounted now: with its markers dropped, all of its TIFFs would be reported
    again when it comes back.
    """
    if not any(settings.fax_dir.iterdir()):
        return
    for marker in (settings.report_dir / "reported").glob("[0-9a-f]*"):
        if not os.path.lexists(marker.read_text(encoding="utf-8", errors="surrogateescape")):
            marker.unlink()


def adopt(settings: Settings) -> int:
    """Mark all TIFFs that lie there now as reported."""
    for path in sorted(settings.fax_dir.iterdir()):
        if path.suffix.lower() in {".tif", ".tiff"}:
            mark_reported(settings.report_dir, str(path))
    return 0
