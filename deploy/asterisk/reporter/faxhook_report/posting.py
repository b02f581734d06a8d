"""One report to faxhook: what its answer says about this report, and about all others."""

from __future__ import annotations

import http.client
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from .failures import Away, Refused
from .journal import keep_in_journal
from .reports import read, spooled_at, tiff_of
from .settings import Settings
from .tiffs import mark_reported

ROUTE = "/_internal/asterisk/inbound"
TIMEOUT_SECONDS = 10.0
SHORTEST_WAIT_SECONDS = 30.0
LONGEST_WAIT_SECONDS = 900.0
OK = 200
TRIED_AGAIN = "; the reports are kept and tried again"
STOPS_THE_SWEEP = frozenset({401, 403, 404, 405})  # what is wrong with one report is wrong with all
BUSY = 500  # and above: faxhook keeps nothing now


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
    report = read(path)
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
