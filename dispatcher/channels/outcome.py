"""What a channel reports (outcome), and what becomes of the delivery (verdict). Pure."""

from collections.abc import Sequence
from typing import Final, assert_never

import msgspec

from shared.backoff import wait_seconds

GONE: Final = "gone"
"""The cause of a dead letter whose endpoint answered 410: it asks never to be told again."""

ANSWER_KEPT_BYTES = 2 * 1024
"""Of what the application answered, for the person who looks later."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The application has it."""

    url: str | None = None
    http_status: int | None = None
    answer: bytes = b""


class NotTold(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint failed us; this spends its budget.

    Attributes:
        error: A stable code: `timeout`, `refused`, `tls`, `host_not_found`, `http_503`, …
    """

    error: str
    url: str | None = None
    http_status: int | None = None
    answer: bytes = b""
    retry_after_seconds: float | None = None

    @property
    def is_gone(self) -> bool:
        """Did the endpoint answer 410?"""
        return self.http_status == 410  # noqa: PLR2004 - HTTP


class NotTried(msgspec.Struct, frozen=True, kw_only=True):
    """Our own trouble: nothing reached the endpoint, and nothing is counted."""

    error: str


Outcome = Told | NotTold | NotTried


class Settle(msgspec.Struct, frozen=True):
    """Told: nothing more to do."""


class RetryAfter(msgspec.Struct, frozen=True):
    """Try again after so many seconds; a wait of the table."""

    wait_seconds: float


class Bury(msgspec.Struct, frozen=True):
    """Given up: a dead letter with this cause."""

    cause: str


class Requeue(msgspec.Struct, frozen=True):
    """Nothing happened; somebody tries the same attempt again."""


Verdict = Settle | RetryAfter | Bury | Requeue


def judge(outcome: Outcome, attempt: int, backoff: Sequence[float]) -> Verdict:
    """Return what becomes of a delivery after the *attempt* (from 1, by its budget) with this outcome.

    >>> judge(NotTold(error="timeout"), 1, [300.0])
    RetryAfter(wait_seconds=300.0)
    >>> judge(NotTold(error="timeout"), 2, [300.0])
    Bury(cause='timeout')
    """
    match outcome:
        case Told():
            return Settle()
        case NotTried():
            return Requeue()
        case NotTold() if outcome.is_gone:
            return Bury(GONE)
        case NotTold():
            wait = wait_seconds(backoff, attempt, outcome.retry_after_seconds)
            return Bury(outcome.error) if wait is None else RetryAfter(wait)
        case _:
            assert_never(outcome)
