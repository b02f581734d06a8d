"""Issues are what does not recover by itself: unread queues, disabled endpoints, dead letters; the worst first."""

from typing import Any, cast

from dispatcher.ops.console.pages.issues import find_issues
from dispatcher.ops.dead.letters import DeadGroup, DeadLetter
from dispatcher.ops.endpoints.reading.health import EndpointHealth
from dispatcher.ops.queues.bodies import Queue, Queues
from dispatcher.ops.queues.picture import left_over_queues, missing_queues
from shared.domain import utc_now
from shared.ids import uuid7

ENDPOINT = uuid7()
NAMES = {ENDPOINT: "example.com"}


def queues(*items: Queue, troubles: tuple[str, ...] = ()) -> Queues:
    return Queues(items=items, at=utc_now(), owed=0, overdue=0, troubles=troubles)


def work(**fields: Any) -> Queue:
    return Queue(
        **{"name": "work.events", "kind": "work", "standing": "present", "messages": 3, "consumers": 1, **fields}
    )


def health(**fields: Any) -> EndpointHealth:
    absent = dict.fromkeys(("last_told_at", "last_failed_at", "last_error", "failing_since", "next_due_at", "circuit"))
    counts = dict.fromkeys(("told", "failed", "owed", "due", "dead"), 0)
    facts = {"endpoint_id": ENDPOINT, "verdict": "failing", "sentence": "failing since 5 min ago", **absent, **counts}
    return EndpointHealth(**{**facts, **fields})


def found(of: Queues, *healths: EndpointHealth) -> list[str]:
    return [issue.what for issue in find_issues([], of, {each.endpoint_id: each for each in healths}, NAMES, [])]


def test_a_queue_that_is_read_in_time_is_not_an_issue() -> None:
    assert (
        found(queues(work(oldest_seconds=2.0), Queue(name="retry.6h", kind="retry", standing="present", messages=9)))
        == []
    )


def test_a_queue_without_a_consumer_or_with_an_old_message_is_an_issue() -> None:
    assert found(queues(work(consumers=0))) == ["work.events has no consumer; 3 messages in it"]
    assert found(queues(work(oldest_seconds=90.0))) == ["A message has been waiting in work.events for 1 min 30 s"]


def test_an_endpoint_is_an_issue_if_it_answered_410_and_not_if_it_is_retried_on_schedule() -> None:
    assert found(queues(), health()) == []
    assert found(queues(), health(owed=2, due=2, failed=40)) == []
    assert found(queues(), health(verdict="gone")) == ["example.com answered 410 and was disabled"]


def test_why_the_dispatcher_cannot_work_comes_first() -> None:
    issues = find_issues(["the schema is older."], queues(troubles=("work.events is missing",)), {}, NAMES, [])
    assert [issue.what for issue in issues] == ["The schema is older", "work.events is missing"]


def left_over(name: str, messages: int) -> Queue:
    return Queue(name=name, kind="retry", standing="left_over", messages=messages)


def group(count: int, title: str = "TLS") -> DeadGroup:
    return DeadGroup(
        kind="delivery",
        cause="tls",
        title=title,
        hint="",
        count=count,
        endpoint_id=None,
        endpoints=0,
        oldest=None,
        newest=None,
        codes={},
        example=cast("DeadLetter", None),  # no issue shows it
    )


def test_left_over_queues_come_after_dead_letters_and_only_once_they_are_empty() -> None:
    items = (left_over("retry.7m", 0), left_over("retry.9m", 3))
    issues = find_issues([], queues(*items, troubles=tuple(left_over_queues(items))), {}, NAMES, [group(173)])
    assert [issue.what for issue in issues] == [
        "173 deliveries are dead: TLS",
        "Left over from another BACKOFF, no longer used: retry.7m",
    ]
    busy = queues(items[1], troubles=tuple(left_over_queues(items[1:])))
    assert find_issues([], busy, {}, NAMES, []) == []


def test_the_most_harmful_comes_first_and_among_equals_the_largest() -> None:
    missing = Queue(name="retry.5m", kind="retry", standing="missing", messages=None)
    of = queues(
        missing, work(consumers=0), troubles=("RABBITMQ_API_URL answered 401: no rates", *missing_queues([missing]))
    )
    healths = {ENDPOINT: health(verdict="gone")}
    issues = find_issues([], of, healths, NAMES, [group(2, "a"), group(1_000, "b")])
    assert [issue.what for issue in issues] == [
        "work.events has no consumer; 3 messages in it",
        "The broker lacks retry.5m: run `faxhook topology`",
        "example.com answered 410 and was disabled",
        "1,000 deliveries are dead: b",
        "2 deliveries are dead: a",
        "RABBITMQ_API_URL answered 401: no rates",
    ]
