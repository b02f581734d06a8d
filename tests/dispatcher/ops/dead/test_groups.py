"""Groups of dead letters: what belongs together is counted once, with or without a time of death."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from dispatcher.ops.dead.groups import gather
from dispatcher.ops.dead.letters import DeadLetter
from dispatcher.ops.dead.store import CodeCount
from shared.ids import uuid7

AT = datetime(2026, 10, 3, 8, 0, tzinfo=UTC)
ENDPOINT, OTHER = uuid7(), uuid7()


def counted(code: str, endpoint_id: UUID, count: int, minutes: int | None) -> CodeCount:
    at = None if minutes is None else AT + timedelta(minutes=minutes)
    return CodeCount(code=code, endpoint_id=endpoint_id, count=count, oldest=at, newest=at, latest_id=uuid7())


def a_letter(letter_id: str, minutes: int | None = None) -> DeadLetter:
    at = None if minutes is None else AT + timedelta(minutes=minutes)
    return DeadLetter(
        id=letter_id, kind="event", cause="unreadable", group="unreadable", reason="it cannot be read", died_at=at
    )


def test_codes_of_one_cause_are_one_group_whose_example_is_the_latest() -> None:
    counts = [counted("http_503", ENDPOINT, 2, 5), counted("http_500", OTHER, 3, 9)]
    (gathered,) = gather(counts, [])
    latest = a_letter("the latest", 9)
    group = gathered.group({counts[0].latest_id: a_letter("older", 5), counts[1].latest_id: latest})
    assert group is not None
    assert (group.count, group.codes, group.endpoints) == (5, {"http_500": 3, "http_503": 2}, 2)
    assert (group.oldest, group.newest) == (AT + timedelta(minutes=5), AT + timedelta(minutes=9))
    assert group.example == latest


def test_what_died_at_an_unknown_time_is_counted_and_comes_last() -> None:
    counts = [counted("timeout", ENDPOINT, 1, None), counted("timeout", OTHER, 1, None)]
    (gathered,) = gather(counts, [])
    group = gathered.group({each.latest_id: a_letter(str(each.latest_id)) for each in counts})
    assert group is not None
    assert (group.count, group.oldest, group.newest) == (2, None, None)
    (mixed,) = gather([], [a_letter("unknown"), a_letter("known", 1)])
    group = mixed.group({})
    assert group is not None
    assert (group.example.id, group.oldest, group.newest) == (
        "known",
        AT + timedelta(minutes=1),
        AT + timedelta(minutes=1),
    )


def test_a_group_whose_only_letter_was_replayed_meanwhile_is_no_more() -> None:
    (gathered,) = gather([counted("timeout", ENDPOINT, 1, 1)], [])
    assert gathered.group({}) is None
