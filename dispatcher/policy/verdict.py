"""Verdicts: what becomes of a delivery after an attempt's outcome. Pure."""

from collections.abc import Sequence
from typing import Final, assert_never

import msgspec

from dispatcher.channels.outcome import NotTold, NotTried, Outcome, Told
from shared.backoff import wait_seconds

GONE: Final = "gone"
"""The cause of a dead letter whose endpoint answered 410: it asks never to be told again."""


class Settle(msgspec.Struct, frozen=True):
    """Told: nothing more to do."""


class RetryAfter(msgspec.Struct, frozen=True):
    """Try again after so many seconds; a wait of the table."""

    wait_seconds: float


class GiveUp(msgspec.Struct, frozen=True):
    """Given up: a dead letter with this cause."""

    cause: str


class Requeue(msgspec.Struct, frozen=True):
    """Nothing happened; somebody tries the same attempt again."""


Verdict = Settle | RetryAfter | GiveUp | Requeue


def judge(outcome: Outcome, attempt: int, backoff: Sequence[float]) -> Verdict:
    """Return what becomes of a delivery after the *attempt* (from 1, by its budget) with this outcome.

    >>> judge(NotTold(error="timeout"), 1, [300.0])
    RetryAfter(wait_seconds=300.0)
    >>> judge(NotTold(error="timeout"), 2, [300.0])
    GiveUp(cause='timeout')
    """
    match outcome:
        case Told():
            return Settle()
        case NotTried():
            return Requeue()
        case NotTold() if outcome.is_gone:
            return GiveUp(GONE)
        case NotTold():
            wait = wait_seconds(backoff, attempt, outcome.retry_after_seconds)
            return GiveUp(outcome.error) if wait is None else RetryAfter(wait)
        case _:
            assert_never(outcome)
