"""The command line: what the dialplan, the timer and a person call."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from datetime import datetime, timezone

from . import __doc__ as usage
from .failures import EXIT_WAITING, BadSetting, Failure
from .posting import deliver
from .reports import spool
from .settings import Settings
from .sweeping import sweep
from .tiffs import adopt

SINCE_AND_TIME = 2


def since_of(text: str) -> float:
    """Return the moment that `--since` names, in seconds of the epoch; without an offset it is UTC."""
    try:
        at = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise BadSetting(f"--since {text!r} is no time: write it like 2026-11-28T08:00:00Z or 2026-11-28") from None
    return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()


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
    command, *values = arguments or [""]
    if command == "spool" and len(values) == 1:
        return spool_for_asterisk(settings, values[0])
    if command == "sweep" and (not values or (values[0] == "--since" and len(values) == SINCE_AND_TIME)):
        since = since_of(values[1]) if values else None
        settings.check_target()
        return sweep(settings, since)
    if command == "adopt" and not values:
        return adopt(settings)
    raise BadSetting(usage)


def answer(arguments: list[str], environ: Mapping[str, str]) -> int:
    """Do it, and say in a sentence what went wrong; return the exit code."""
    try:
        return run(arguments, environ)
    except Failure as error:
        code, sentence = error.code, str(error)
    except OSError as error:
        code, sentence = EXIT_WAITING, f"{error.filename or 'a file'}: {error.strerror}"
    print(sentence, file=sys.stderr)
    return code


def main() -> None:
    """Run as the process that Asterisk, the timer or a person started."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # AGI sends it when the caller hangs up: that is when we are called
    sys.exit(answer(sys.argv[1:], os.environ))
