#!/usr/bin/env python3
"""Tells faxhook of the faxes that an Asterisk received, until faxhook has them. One file, to be copied onto a PBX.

Asterisk does not repeat a report, so this does: a report is first a file, and goes only when faxhook answered 200.

  faxhook-report spool REPORT   what the dialplan calls by AGI: keep REPORT (a urlencoded form), then try it once
  faxhook-report sweep          what a timer calls: try every report that is due, and the TIFFs that have no report
  faxhook-report sweep --since 2026-11-28T08:00:00Z   the same, and every report since then once more, from the journal
  faxhook-report adopt          once, on a PBX that has old faxes: the TIFFs that lie there now are not to be reported

At least once: whatever is repeated, faxhook removes. Needs Python 3.9 and nothing else. Settings are read from
/etc/faxhook-report.env (or the file that FAXHOOK_REPORT_ENV names), lines of NAME=value; the environment wins.

  FAXHOOK_URL         e.g. http://faxhook:8080
  FAXHOOK_SECRET      the ingress's ASTERISK_INBOUND_SECRET
  FAXHOOK_FAX_DIR     where the TIFFs are, by the same path as on faxhook's side; default /var/spool/fax
  FAXHOOK_REPORT_DIR  where reports wait; default /var/spool/faxhook-report
  FAXHOOK_IDLE_SECONDS  a TIFF is finished when it has not changed for so long; default 600

Exit codes: 0 all reported, 75 something waits (faxhook is away), 77 faxhook does not take the secret, 78 bad settings.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import re
import secrets
import signal
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

ROUTE = "/_internal/asterisk/inbound"
TIMEOUT_SECONDS = 10.0
SHORTEST_WAIT_SECONDS = 30.0
LONGEST_WAIT_SECONDS = 900.0
JOURNAL_SECONDS = 30 * 86_400.0
MOST_JOURNALED = 100_000
"""Reports are kept so long, and so many, for `--since`; the oldest go first."""

EXIT_WAITING = 75  # EX_TEMPFAIL: a later sweep will do
EXIT_REFUSED = 77  # EX_NOPERM: the secret or the route must be fixed
EXIT_BAD_SETTING = 78  # EX_CONFIG

OK = 200
TRIED_AGAIN = "; the reports are kept and tried again"
STOPS_THE_SWEEP = frozenset({401, 403, 404, 405})  # what is wrong with one report is wrong with all
BUSY = 500  # and above: faxhook keeps nothing now

TIFF_NAME = re.compile(r"(?P<to_number>\+?[0-9]+)_(?P<uniqueid>[A-Za-z0-9.-]+)\.tiff?")
"""How our dialplan names its files, so that a lost report can be made again from the name."""


class Failure(Exception):
    """What ends the command: the message is a sentence, *code* the exit code."""

    code = EXIT_BAD_SETTING


class BadSetting(Failure):
    """A setting is missing or wrong."""


class Away(Failure):
    """Faxhook did not answer, or keeps nothing now: the other reports wait as well."""

    code = EXIT_WAITING


class Refused(Failure):
    """Faxhook does not take our reports at all."""

    code = EXIT_REFUSED


class Settings:
    """What the environment and the settings file say."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        found = {**_settings_file(environ.get("FAXHOOK_REPORT_ENV", "/etc/faxhook-report.env")), **environ}
        self.url = found.get("FAXHOOK_URL", "").rstrip("/")
        self.secret = found.get("FAXHOOK_SECRET", "")
        self.fax_dir = Path(found.get("FAXHOOK_FAX_DIR", "/var/spool/fax"))
        self.report_dir = Path(found.get("FAXHOOK_REPORT_DIR", "/var/spool/faxhook-report"))
        try:
            self.idle_seconds = float(found.get("FAXHOOK_IDLE_SECONDS", "600"))
        except ValueError:
            raise BadSetting("FAXHOOK_IDLE_SECONDS is wrong: it must be a number of seconds") from None

    def check_target(self) -> None:
        """Raise `BadSetting` if nothing can be posted."""
        parts = urlsplit(self.url)
        try:
            is_target = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_target = False
        if not is_target:
            raise BadSetting("FAXHOOK_URL is wrong: it must be http://host:port or https://host")
        if not self.secret:
            raise BadSetting("FAXHOOK_SECRET is not set: it is the ingress's ASTERISK_INBOUND_SECRET")


def _settings_file(name: str) -> dict[str, str]:
    try:
        text = Path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadSetting(f"{name} cannot be read: {error.strerror}") from None
    lines = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip().strip("'\"") for key, _, value in lines}


def spool(report_dir: Path, report: str) -> Path:
    """Keep *report* so that neither a crash nor a power cut loses it or leaves half of it; return its file.

    Its name begins with the time, so that names sort by age; its modification time is when it is due.
    """
    report_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    path = report_dir / f"{time.time_ns():020d}-{secrets.token_hex(4)}.form"
    _write(path, report)
    return path


def keep_in_journal(path: Path) -> None:
    """Keep a report for `--since`, before it is tried: a second name of the same file, which no crash leaves half.

    A journal that cannot be written delays no report.
    """
    journal = path.parent / "journal"
    try:
        with suppress(FileExistsError):
            journal.mkdir(mode=0o750)
        os.link(path, journal / path.name)
        _sync_folder(journal)
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


def spooled_at(path: Path) -> float:
    """Return when a report was made, by its name; 0 if this script did not give that name."""
    number = path.name.partition("-")[0]
    return int(number) / 1e9 if number.isdigit() else 0.0


def since_of(text: str) -> float:
    """Return the moment that `--since` names, in seconds of the epoch; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))  # noqa: FURB162 - Python 3.9 knows no Z
    except ValueError:
        raise BadSetting(f"--since {text!r} is no time: write it like 2026-11-28T08:00:00Z or 2026-11-28") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _read(path: Path) -> str:
    """Return a report; empty if it is gone."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with unfinished.open("x", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def tiff_of(report: str) -> str:
    """Return the file that a report names; empty if it names none."""
    return parse_qs(report, errors="surrogateescape").get("tiff_path", [""])[0]


def _marker(report_dir: Path, tiff: str) -> Path:
    return report_dir / "reported" / hashlib.sha256(os.fsencode(tiff)).hexdigest()


def mark_reported(report_dir: Path, tiff: str) -> None:
    """Remember that *tiff* needs no report any more."""
    marker = _marker(report_dir, tiff)
    marker.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    _write(marker, tiff)


def post(settings: Settings, report: str) -> int:
    """Post one report and return the status. No redirect is followed and no proxy of the environment is used.

    Raises:
        Away: There was no answer.
    """
    parts = urlsplit(settings.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Internal-Secret": settings.secret}
    try:
        connection.request("POST", parts.path + ROUTE, report.encode("utf-8", "surrogateescape"), headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise Away(f"faxhook does not answer: {error or type(error).__name__}{TRIED_AGAIN}") from error
    finally:
        connection.close()


def deliver(settings: Settings, path: Path) -> bool:
    """Try one report; it goes when faxhook has it, else it stays and is due later.

    Raises:
        Away: Nothing can be delivered now.
        Refused: Nothing will be delivered until the secret or the route is fixed.
    """
    report = _read(path)
    if not report:
        return True
    keep_in_journal(path)
    status = 0
    try:
        status = post(settings, report)
    finally:
        if status != OK:
            _wait_longer(path)
    if status == OK:
        if tiff := tiff_of(report):
            mark_reported(settings.report_dir, tiff)  # first: in between, a sweep would report the TIFF again
        path.unlink(missing_ok=True)
        return True
    if status in STOPS_THE_SWEEP:
        raise Refused(f"faxhook answered {status}: check FAXHOOK_SECRET and FAXHOOK_URL; the reports are kept")
    if status >= BUSY:
        raise Away(f"faxhook answered {status}{TRIED_AGAIN}")
    print(f"faxhook answered {status} to {path.name}, which is kept: it can be read there", file=sys.stderr)
    return False


def _wait_longer(path: Path) -> None:
    """Make a report due after as long a wait as it has waited so far: doubling, without a counter to keep."""
    now = time.time()
    age = now - spooled_at(path)
    due = now + min(max(age, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)
    with suppress(FileNotFoundError):
        os.utime(path, (due, due))


def sweep(settings: Settings, since: float | None = None) -> int:
    """Try what is due, oldest first, and report the TIFFs that have no report; return the exit code."""
    with only_sweep(settings.report_dir) as is_only:
        if not is_only:
            return 0
        if since is not None:
            spool_again(settings.report_dir, since)
        waiting = sorted(settings.report_dir.glob("*.form"))
        named = {tiff_of(_read(path)) for path in waiting}
        waiting += [spool(settings.report_dir, report) for report in unreported(settings, named)]
        is_done = True
        for path in waiting:
            is_done = is_due(path) and deliver(settings, path) and is_done
        forget_gone(settings.report_dir)
    return 0 if is_done else EXIT_WAITING


def is_due(path: Path) -> bool:
    """Is it time to try a report? Also true if it is gone: the call that made it has just delivered it."""
    try:
        return path.stat().st_mtime <= time.time()
    except FileNotFoundError:
        return True


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


def forget_gone(report_dir: Path) -> None:
    """Drop the markers of TIFFs that are gone, what a writer that died left unfinished, and old journal entries."""
    oldest_first = sorted((report_dir / "journal").glob("*.form"))
    for number, kept in enumerate(oldest_first):
        if number < len(oldest_first) - MOST_JOURNALED or spooled_at(kept) < time.time() - JOURNAL_SECONDS:
            kept.unlink()
    for unfinished in report_dir.glob(".*.form.*"):
        if unfinished.stat().st_mtime < time.time() - LONGEST_WAIT_SECONDS:
            unfinished.unlink()
    for marker in (report_dir / "reported").glob("[0-9a-f]*"):
        if not os.path.lexists(marker.read_text(encoding="utf-8", errors="surrogateescape")):
            marker.unlink()


@contextmanager
def only_sweep(report_dir: Path) -> Iterator[bool]:
    """Yield whether no other sweep runs: a slow one may last longer than the timer's minute."""
    report_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    with (report_dir / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def adopt(settings: Settings) -> int:
    """Mark all TIFFs that lie there now as reported."""
    for path in sorted(settings.fax_dir.iterdir()):
        if path.suffix.lower() in {".tif", ".tiff"}:
            mark_reported(settings.report_dir, str(path))
    return 0


def spool_for_asterisk(settings: Settings, report: str) -> int:
    """Keep a report for the dialplan, then try it once: the sweep repeats what fails now."""
    if not sys.stdin.isatty():
        while sys.stdin.buffer.readline().strip():  # AGI begins with variables and a blank line
            pass
    path = spool(settings.report_dir, report)
    settings.check_target()
    deliver(settings, path)
    return 0


def run(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Do what *arguments* say; return the exit code."""
    settings = Settings(environ)
    if arguments[:1] == ["spool"] and len(arguments) == 2:  # noqa: PLR2004 - the command and its report
        return spool_for_asterisk(settings, arguments[1])
    if arguments[:1] == ["sweep"] and (len(arguments) == 1 or (arguments[1] == "--since" and len(arguments) == 3)):  # noqa: PLR2004 - command, option, value
        since = since_of(arguments[2]) if len(arguments) > 1 else None
        settings.check_target()
        return sweep(settings, since)
    if arguments == ["adopt"]:
        return adopt(settings)
    raise BadSetting(__doc__)


def main(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Do it, and say in a sentence what went wrong; return the exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # AGI sends it when the caller hangs up: that is when we are called
    try:
        return run(arguments, environ)
    except Failure as error:
        code, sentence = error.code, str(error)
    except OSError as error:
        code, sentence = EXIT_WAITING, f"{error.filename or 'a file'}: {error.strerror}"
    print(sentence, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
