"""A report is a file before it is a request: written whole, sorted by age, due at its modification time."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from urllib.parse import parse_qs


def spool(report_dir: Path, report: str) -> Path:
    """Keep *report* so that neither a crash nor a power cut loses it or leaves half of it; return its file.

    Its name begins with the time, so that names sort by age; its modification time is when it is due.
    """
    report_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    path = report_dir / f"{time.time_ns():020d}-{secrets.token_hex(4)}.form"
    write(path, report)
    return path


def waiting(report_dir: Path) -> list[Path]:
    """Return the reports that faxhook does not have yet, oldest first."""
    return sorted(report_dir.glob("*.form"))


def spooled_at(path: Path) -> float:
    """Return when a report was made, by its name; 0 if this script did not give that name."""
    number = path.name.partition("-")[0]
    return int(number) / 1e9 if number.isdigit() else 0.0


def read(path: Path) -> str:
    """Return a report; empty if it is gone."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def write(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all, power cuts included."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with unfinished.open("x", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tiff_of(report: str) -> str:
    """Return the file that a report names; empty if it names none."""
    return parse_qs(report, errors="surrogateescape").get("tiff_path", [""])[0]
