"""Guessing tokens waits longer each time, mistyping does not wait, and the memory is bounded."""

from dispatcher.ops.console.access.throttle import (
    FORGOTTEN_SECONDS,
    FREE_TRIES,
    LONGEST_WAIT_SECONDS,
    MOST_ADDRESSES,
    Throttle,
)

START = 1_000_000.0


def test_mistyping_costs_nothing_and_guessing_waits_longer_each_time() -> None:
    throttle = Throttle()
    waits = []
    for _ in range(FREE_TRIES + 8):
        waits.append(throttle.wait_seconds("a", START))
        throttle.failed("a", START)
    assert waits[:FREE_TRIES] == [0.0] * FREE_TRIES
    assert waits[FREE_TRIES : FREE_TRIES + 4] == [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == LONGEST_WAIT_SECONDS
    assert throttle.wait_seconds("b", START) == 0.0
    assert throttle.wait_seconds("a", START + LONGEST_WAIT_SECONDS) == 0.0
    throttle.succeeded("a")
    assert throttle.wait_seconds("a", START) == 0.0


def test_what_was_wrong_is_forgotten_in_time_and_memory_is_bounded() -> None:
    throttle = Throttle()
    for _ in range(FREE_TRIES + 3):
        throttle.failed("a", START)
    throttle.failed("a", START + FORGOTTEN_SECONDS + 1)
    assert throttle.wait_seconds("a", START + FORGOTTEN_SECONDS + 1) == 0.0
    for number in range(MOST_ADDRESSES + 10):
        throttle.failed(str(number), START)
    assert len(throttle._tries) == MOST_ADDRESSES
