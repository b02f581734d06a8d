"""Why what was asked of the dead letters cannot be: sentences, each with its HTTP status."""

from collections.abc import Mapping
from typing import Final

from shared.errors import FaxhookError


class UnknownLetter(FaxhookError):
    """There is and was no such dead letter (404)."""

    code = "dead_letter_not_found"


class NothingMatches(FaxhookError):
    """No dead letter matches (404): nothing was changed."""

    code = "nothing_matches"


class UnknownJob(FaxhookError):
    """There is no such job (404)."""

    code = "job_not_found"


class TakenByAnother(FaxhookError):
    """Somebody else browses or replays the same at this moment (409): try again."""

    code = "taken_by_another"


class BadSelection(FaxhookError):
    """The request names neither ids nor a filter, or both, or a cursor that is none (422)."""

    code = "bad_selection"


def status_of(error: FaxhookError) -> int:
    """Return the HTTP status that says *error*."""
    return _STATUS.get(type(error), 422)


_STATUS: Final[Mapping[type[FaxhookError], int]] = {
    UnknownLetter: 404,
    NothingMatches: 404,
    UnknownJob: 404,
    TakenByAnother: 409,
    BadSelection: 422,
}
