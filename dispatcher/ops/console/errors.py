"""Errors as pages: a title and a sentence for what went wrong. Pure."""

from collections.abc import Mapping
from typing import Final

from dispatcher.ops.api.problems import CRASHED, Problem
from dispatcher.ops.console.words import sentence
from shared.amqp.errors import ConnectionLost

UNCHANGED: Final = "Nothing was changed"

TITLES: Final[Mapping[str, str]] = {
    "bad_endpoint": UNCHANGED,
    "bad_value": "Invalid search",
    "command_id_reused": UNCHANGED,
    "job_not_found": "Not found",
    "not_found": "Not found",
    "request_entity_too_large": UNCHANGED,
    CRASHED: "Internal error",
}
"""By a problem's code."""

SENTENCES: Final[Mapping[str, str]] = {
    "bad_value": "It contains a character that no id has, such as a NUL.",
    "command_id_reused": "This form was sent before. Reload the page, then try again.",
    "request_entity_too_large": "The form is too large.",
    CRASHED: "Our own code failed. The dispatcher's log has the details.",
}
"""Where the page says something else than the problem's detail."""

LEDGER_AWAY: Final = (
    "The ledger does not answer",
    "The database is down or overloaded, and this page is read from it. No event is lost. Try again in a moment.",
)
BROKER_AWAY: Final = (
    "The broker does not answer",
    "RabbitMQ is down, and dead letters are read from it. No event is lost. Try again in a moment.",
)


class PageError(Exception):
    """A page that says what went wrong, in place of the requested one."""

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.title = title
        self.sentence = text


def no_such_page(text: str = "The address may be mistyped. Use the links of the pages.") -> PageError:
    """Return the page for an address that leads nowhere."""
    return PageError(404, "There is no such page", text)


def page_error_of(error: Exception, problem: Problem) -> PageError:
    """Return the page for the *problem* that *error* became."""
    if problem.code == "unavailable":
        return PageError(problem.status, *(BROKER_AWAY if isinstance(error, ConnectionLost) else LEDGER_AWAY))
    begins_with_name = problem.field is not None and problem.detail.startswith(problem.field)
    detail = f"{problem.detail}." if begins_with_name else sentence(problem.detail)  # a field's name stays as it is
    title = TITLES.get(problem.code, "That did not work")
    return PageError(problem.status, title, SENTENCES.get(problem.code, detail))
