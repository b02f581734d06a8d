"""Verdicts: what becomes of a delivery, before an attempt or by the outcome of one. Pure."""

from collections.abc import Sequence
from typing import ClassVar, Final, assert_never

import msgspec

from dispatcher.channels.outcome import NotTold, NotTried, Outcome, Told
from dispatcher.policy.delivery import LeasedDelivery
from dispatcher.policy.lifecycle import is_overtaken, overtaking_rank
from dispatcher.policy.routing import has_word
from shared.backoff import DEFER_WAITS_SECONDS, wait_seconds

GONE: Final = "gone"
"""The cause of a dead letter whose endpoint answered 410: it asks for no further webhooks."""


class Settle(msgspec.Struct, frozen=True):
    """The application was told: nothing more to do."""

    word: ClassVar[str] = "told"


class RetryAfter(msgspec.Struct, frozen=True):
    """Try again after so many seconds; a wait of the table."""

    word: ClassVar[str] = "retrying"
    wait_seconds: float


class GiveUp(msgspec.Struct, frozen=True):
    """No further attempt: a dead letter with this cause. *reason* is a sentence for people."""

    word: ClassVar[str] = "dead"
    cause: str
    reason: str


class Skip(msgspec.Struct, frozen=True):
    """Recorded, not told: *reason* is the ledger's word for why."""

    word: ClassVar[str] = "skipped"
    reason: str


class Requeue(msgspec.Struct, frozen=True):
    """Nothing was sent and nothing is counted: the same attempt again, now or after one of the defer waits."""

    word: ClassVar[str] = "requeued"
    wait_seconds: float = DEFER_WAITS_SECONDS[0]


class Park(msgspec.Struct, frozen=True):
    """Nothing was sent and nothing is counted: it waits in the ledger until its endpoint is resumed."""

    word: ClassVar[str] = "parked"


Verdict = Settle | RetryAfter | GiveUp | Skip | Requeue | Park


def refuse(delivery: LeasedDelivery) -> GiveUp | Skip | Park | Requeue | None:
    """Return why no attempt is made at a delivery; None if one is.

    A removed or disabled endpoint wants nothing more, a paused one nothing now, and an event that was overtaken
    meanwhile is old news. The endpoint's format may have been changed to one that has no word for the event.
    """
    if delivery.is_removed:
        return GiveUp("endpoint_removed", "the endpoint was removed")
    if not delivery.endpoint.enabled:
        if delivery.is_gone:
            return GiveUp(GONE, "the endpoint answered 410 before")
        return GiveUp("endpoint_disabled", "the endpoint is disabled")
    if delivery.endpoint.paused:
        return Park()
    if delivery.endpoint.is_damaged:
        return Requeue()  # the claim that reads it again says what is wrong
    return _why_skipped(delivery)


def may_be_overtaken(delivery: LeasedDelivery) -> bool:
    """Is a delivery old news once a later event of its fax is known?"""
    is_wanted = delivery.tells_overtaken or delivery.endpoint.overtaken == "deliver"
    return not is_wanted and overtaking_rank(delivery.event.type) is not None


def _why_skipped(delivery: LeasedDelivery) -> Skip | None:
    endpoint, event = delivery.endpoint, delivery.event
    if may_be_overtaken(delivery) and is_overtaken(event.type, delivery.fax_rank):
        return Skip("overtaken")
    return None if has_word(endpoint.url, endpoint.format, event) else Skip("no_equivalent")


def judge(outcome: Outcome, attempt: int, backoff: Sequence[float], *, spent: int = 0) -> Verdict:
    """Return what becomes of a delivery after its *attempt* (from 1), of which *spent* spend none of the budget.

    >>> judge(NotTold(error="timeout"), 1, [300.0])
    RetryAfter(wait_seconds=300.0)
    >>> judge(NotTold(error="timeout"), 2, [300.0])
    GiveUp(cause='timeout', reason='the last of 2 attempts failed')
    >>> judge(NotTold(error="timeout"), 2, [300.0], spent=1)
    RetryAfter(wait_seconds=300.0)
    """
    match outcome:
        case Told():
            return Settle()
        case NotTried():
            return Requeue()
        case NotTold() if outcome.is_gone:
            return GiveUp(GONE, "it answered 410")
        case NotTold():
            wait = wait_seconds(backoff, attempt - spent, outcome.retry_after_seconds)
            if wait is None:
                return GiveUp(outcome.error, f"the last of {attempt} attempts failed")
            return RetryAfter(wait)
        case _:
            assert_never(outcome)
