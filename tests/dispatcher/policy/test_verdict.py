"""Verdicts: which deliveries are not attempted, and what each outcome means for a delivery."""

import pytest
from delivering import a_delivery
from dispatchers import an_event
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.channels.outcome import NotTold, NotTried, Told
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.verdict import GiveUp, Requeue, RetryAfter, Settle, Skip, judge, refuse
from shared.domain import EventType
from shared.ids import uuid7

TABLE = (300.0, 600.0, 1200.0, 1800.0, *(21600.0,) * 12)


def an_endpoint(**fields: object) -> Endpoint:
    return Endpoint(id=uuid7(), url="http://application.example/", **fields)


@pytest.mark.parametrize(
    ("fields", "endpoint", "cause"),
    [
        ({"is_removed": True}, {}, "endpoint_removed"),
        ({"is_removed": True, "is_gone": True}, {"enabled": False}, "endpoint_removed"),
        ({}, {"enabled": False}, "endpoint_disabled"),
        ({"is_gone": True}, {"enabled": False}, "gone"),
        ({"is_gone": True}, {}, None),
    ],
)
def test_an_endpoint_that_wants_nothing_more_gets_a_dead_letter_with_its_cause(
    fields: dict, endpoint: dict, cause: str | None
) -> None:
    refusal = refuse(a_delivery(1, an_endpoint(**endpoint), **fields))
    assert (refusal and refusal.cause) == cause


@pytest.mark.parametrize(("overtaken", "expected"), [("skip", Skip("overtaken")), ("deliver", None)])
def test_what_was_overtaken_is_skipped_unless_its_endpoint_asks_for_it(overtaken: str, expected: Skip | None) -> None:
    event = an_event(1, EventType.PAGE_SENT)
    delivery = a_delivery(1, an_endpoint(overtaken=overtaken), event, fax_rank=EventType.DELIVERED.rank)
    assert refuse(delivery) == expected
    delivery.fax_rank = event.type.rank
    assert refuse(delivery) is None, "nothing later is known"


@pytest.mark.parametrize(
    ("fields", "event_type", "expected"),
    [
        ({"format": "phaxio-v2"}, EventType.SENDING, Skip("no_equivalent")),
        ({"format": "telnyx-v2"}, EventType.PAGE_SENT, Skip("no_equivalent")),
        ({"format": "standard-v1"}, EventType.SENDING, None),
        ({"format": "phaxio-v2"}, EventType.DELIVERED, None),
        ({"format": "of-a-newer-version"}, EventType.SENDING, None),
    ],
)
def test_what_the_format_has_no_word_for_any_more_is_skipped(
    fields: dict, event_type: EventType, expected: Skip | None
) -> None:
    assert refuse(a_delivery(1, an_endpoint(**fields), an_event(1, event_type))) == expected


def test_told_is_settled_whatever_the_attempt() -> None:
    assert {judge(Told(), attempt, TABLE) for attempt in (1, 17, 100)} == {Settle()}


def test_our_own_trouble_is_requeued_and_spends_nothing() -> None:
    assert isinstance(judge(NotTried(error="proxy_away"), 17, TABLE), Requeue)


def test_a_410_ends_it_at_the_first_attempt() -> None:
    assert judge(NotTold(error="http_410", http_status=410), 1, TABLE) == GiveUp("gone", "it answered 410")


def test_the_table_is_kept_to_its_end() -> None:
    verdicts = [judge(NotTold(error="timeout"), attempt, TABLE) for attempt in range(1, 18)]
    assert verdicts[:16] == [RetryAfter(wait) for wait in TABLE]
    assert verdicts[16] == GiveUp("timeout", "the last of 17 attempts failed")


@given(st.integers(0, 500), st.integers(1, 17))
def test_attempts_before_the_last_replay_spend_none_of_the_budget(spent: int, attempt: int) -> None:
    outcome = NotTold(error="timeout")
    first, replayed = judge(outcome, attempt, TABLE), judge(outcome, spent + attempt, TABLE, spent=spent)
    if isinstance(first, GiveUp):
        assert replayed == GiveUp("timeout", f"the last of {spent + attempt} attempts failed")
    else:
        assert replayed == first


@given(st.integers(1, 16), st.floats(0, 10**6))
def test_a_retry_after_only_makes_the_wait_longer_and_stays_a_wait_of_the_table(attempt: int, asked: float) -> None:
    verdict = judge(NotTold(error="http_503", retry_after_seconds=asked), attempt, TABLE)
    assert isinstance(verdict, RetryAfter)
    assert verdict.wait_seconds in TABLE
    assert verdict.wait_seconds >= TABLE[attempt - 1]
