"""The sweeper leaves a due delivery alone while its message may still wait behind others."""

from collections import deque

import pytest

from dispatcher.consumers.lag import GRACE_SECONDS, IDLE_SECONDS, SEEN_SECONDS, ConsumerLag


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backlog(clock: Clock) -> ConsumerLag:
    return ConsumerLag(clock)


def test_a_process_that_saw_nothing_cannot_tell_until_its_queue_has_been_empty_for_a_while(
    backlog: ConsumerLag,
) -> None:
    assert backlog.grace_seconds(0.0) is None
    assert backlog.grace_seconds(IDLE_SECONDS - 0.1) is None
    assert backlog.grace_seconds(IDLE_SECONDS) == GRACE_SECONDS


def test_the_grace_reaches_back_to_the_oldest_that_was_claimed_lately_and_grows_while_nothing_comes(
    backlog: ConsumerLag, clock: Clock
) -> None:
    backlog.note_claims([3.0, 600.0, -50.0])
    assert backlog.grace_seconds(0.0) == GRACE_SECONDS + 600.0
    clock.now += 10.0
    backlog.note_claims([1.0])
    assert backlog.grace_seconds(0.0) == GRACE_SECONDS + 610.0
    clock.now += SEEN_SECONDS - 5.0
    assert backlog.grace_seconds(0.0) == GRACE_SECONDS + 1.0 + SEEN_SECONDS - 5.0
    clock.now += 10.0
    assert backlog.grace_seconds(0.0) is None, "it was long ago"


def test_what_was_put_back_before_its_time_is_no_lag(backlog: ConsumerLag) -> None:
    backlog.note_claims([-59.0])
    assert backlog.grace_seconds(0.0) == GRACE_SECONDS
    backlog.note_claims([])
    assert backlog.grace_seconds(0.0) == GRACE_SECONDS


@pytest.mark.parametrize("per_second", [5_000, 400, 100, 10])
@pytest.mark.parametrize("processes", [1, 4])
def test_a_backlog_of_100000_due_at_once_is_never_taken_for_lost_while_it_is_worked_off(
    clock: Clock, per_second: int, processes: int
) -> None:
    due_at = clock.now
    left = 100_000 if per_second >= 100 else 20_000
    seen = [ConsumerLag(clock) for _ in range(processes)]
    turns = deque(seen)
    while left > 0:
        clock.now += 100 / per_second
        left -= 100
        turns[0].note_claims([clock.now - due_at] * 100)
        turns.rotate()
        for backlog in seen:
            # Asked at the worst moment: just before the next batch comes.
            grace = backlog.grace_seconds(0.0)
            assert grace is None or clock.now + 100 / per_second - due_at < grace
    clock.now += SEEN_SECONDS + 1.0
    assert [backlog.grace_seconds(IDLE_SECONDS) for backlog in seen] == [GRACE_SECONDS] * processes
