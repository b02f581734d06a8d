"""Broker and ledger put together: what is missing, left over, due next, and how old the oldest message is."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dispatcher.ops.queues.bodies import Queue, Queues
from dispatcher.ops.queues.broker import ApiQueue
from dispatcher.ops.queues.picture import picture
from dispatcher.ops.queues.waiting import Waiting
from shared.amqp.channel import QueueDepth
from shared.broker import topology

NOW = datetime(2026, 10, 3, 8, 0, tzinfo=UTC)
BACKOFF = (300.0, 600.0, 600.0)
EMPTY = {queue.name: QueueDepth(0, 0) for queue in topology(BACKOFF).queues}


def drawn(**known: Any) -> Queues:
    facts = {
        "depths": EMPTY,
        "api": None,
        "waiting": Waiting(),
        "last_empty": lambda _: None,
        "troubles": (),
        "now": NOW,
    }
    return picture(backoff_seconds=BACKOFF, **{**facts, **known})


def the(found: Queues, name: str) -> Queue:
    return next(queue for queue in found.items if queue.name == name)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def test_every_queue_of_the_topology_is_there_and_all_is_well() -> None:
    found = drawn()
    assert [queue.name for queue in found.items] == [queue.name for queue in topology(BACKOFF).queues]
    assert {queue.standing for queue in found.items} == {"present"}
    assert found.troubles == ()


def test_a_missing_queue_is_shown_as_missing_and_says_what_to_do() -> None:
    found = drawn(depths={name: depth for name, depth in EMPTY.items() if name != "retry.10m"})
    assert the(found, "retry.10m").standing == "missing"
    assert "faxhook topology" in found.troubles[0]


def test_a_broker_that_is_away_is_not_a_broker_without_queues() -> None:
    found = drawn(depths=None)
    assert {queue.standing for queue in found.items} == {"unknown"}


def test_a_queue_of_a_table_of_before_is_shown_as_left_over_with_what_it_holds() -> None:
    api = {name: ApiQueue(name, messages_ready=3) for name in ("retry.7m", "somebody.elses")}
    found = drawn(api=api)
    assert (the(found, "retry.7m").standing, the(found, "retry.7m").messages) == ("left_over", 3)
    assert "somebody.elses" not in {queue.name for queue in found.items}


def test_a_delay_queue_says_when_its_next_message_is_due_and_so_how_old_its_oldest_is() -> None:
    waiting = Waiting(retries={1: ago(-100), 2: ago(-500), 3: ago(-400), 9: ago(-450)})
    found = drawn(depths={**EMPTY, "retry.5m": QueueDepth(1, 0), "retry.10m": QueueDepth(3, 0)}, waiting=waiting)
    assert (the(found, "retry.5m").next_due_at, the(found, "retry.5m").oldest_seconds) == (ago(-100), 200.0)
    assert (the(found, "retry.10m").next_due_at, the(found, "retry.10m").oldest_seconds) == (ago(-400), 200.0)


def test_an_empty_queue_has_no_oldest_message_and_nothing_due() -> None:
    found = drawn(waiting=Waiting(retries={1: ago(-100)}, overdue_since=ago(50)), last_empty=lambda _: ago(3))
    assert {(queue.oldest_seconds, queue.next_due_at) for queue in found.items} == {(None, None)}


def test_the_oldest_message_came_after_the_queue_was_last_seen_empty_and_after_the_last_one_taken() -> None:
    depths = {**EMPTY, "work.events": QueueDepth(5, 1), "dead.callbacks": QueueDepth(1, 0)}
    seen = {"work.events": ago(30), "dead.callbacks": ago(600)}
    found = drawn(depths=depths, waiting=Waiting(latest_taken=ago(7)), last_empty=seen.get)
    assert the(found, "work.events").oldest_seconds == 7.0
    assert the(found, "dead.callbacks").oldest_seconds == 600.0
    found = drawn(depths=depths, waiting=Waiting(latest_taken=ago(7_000)), last_empty=seen.get)
    assert the(found, "work.events").oldest_seconds == 30.0


def test_what_is_held_back_is_due_in_the_queues_that_are_long_enough() -> None:
    depths = {**EMPTY, "defer.15s": QueueDepth(1, 0), "defer.1m": QueueDepth(1, 0)}
    found = drawn(depths=depths, waiting=Waiting(held_back=ago(-40)))
    assert the(found, "defer.15s").next_due_at is None
    assert the(found, "defer.1m").next_due_at == ago(-40)


def test_rates_come_from_the_management_api_alone() -> None:
    assert the(drawn(), "work.events").in_per_second is None
    found = drawn(api={"work.events": ApiQueue("work.events", messages_unacknowledged=4, messages_dlx=1)})
    queue = the(found, "work.events")
    assert (queue.in_per_second, queue.out_per_second, queue.unacked, queue.dead_lettering) == (0.0, 0.0, 4, 1)
