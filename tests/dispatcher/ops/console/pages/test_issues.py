"""Issues are what does not recover by itself: unread queues, disabled endpoints, waiting deliveries, dead letters."""

from typing import Any

from dispatcher.ops.console.pages.issues import find_issues
from dispatcher.ops.endpoints.reading.health import EndpointHealth
from dispatcher.ops.queues.bodies import Queue, Queues
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


def test_an_endpoint_is_an_issue_if_deliveries_wait_for_it_or_it_answered_410() -> None:
    assert found(queues(), health()) == []
    assert found(queues(), health(owed=2)) == ["example.com is failing; 2 deliveries are waiting"]
    assert found(queues(), health(verdict="gone")) == ["example.com answered 410 and was disabled"]


def test_why_the_dispatcher_cannot_work_comes_first() -> None:
    issues = find_issues(["the schema is older."], queues(troubles=("work.events is missing",)), {}, NAMES, [])
    assert [issue.what for issue in issues] == ["The schema is older", "work.events is missing"]
