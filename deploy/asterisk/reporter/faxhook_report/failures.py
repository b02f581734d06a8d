"""What ends the reporter, and with which exit code."""

from __future__ import annotations

EXIT_WAITING = 75  # EX_TEMPFAIL: a later sweep will do
EXIT_REFUSED = 77  # EX_NOPERM: the secret or the route must be fixed
EXIT_BAD_SETTING = 78  # EX_CONFIG


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
