"""A batch waits for more only while items come densely and it is small; what comes singly never waits."""

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.policy.linger import ENOUGH, LINGER_SECONDS, Linger


def coming(per_second: float, count: int) -> tuple[Linger, float]:
    """Return what has seen *count* items come one by one, and the moment when the next one comes."""
    linger = Linger()
    for number in range(count):
        linger.took(1, number / per_second)
    return linger, count / per_second


def test_the_first_item_does_not_wait() -> None:
    assert Linger().wait_seconds(1, 0.0) == 0.0


@given(st.lists(st.floats(0.01, 10.0), max_size=100))
def test_items_that_come_singly_never_wait(gaps: list[float]) -> None:
    linger, now = Linger(), 0.0
    for gap in gaps:
        now += gap
        assert linger.wait_seconds(1, now) == 0.0
        linger.took(1, now)


@given(st.floats(250.0, 20_000.0), st.integers(1, ENOUGH - 1))
def test_small_batches_of_what_comes_densely_wait(per_second: float, waiting: int) -> None:
    linger, now = coming(per_second, int(per_second))
    assert linger.wait_seconds(waiting, now) == LINGER_SECONDS


@given(st.floats(250.0, 20_000.0), st.integers(ENOUGH, 400))
def test_large_batches_never_wait(per_second: float, waiting: int) -> None:
    linger, now = coming(per_second, int(per_second))
    assert linger.wait_seconds(waiting, now) == 0.0


def test_after_a_silence_nothing_waits() -> None:
    linger, now = coming(1_000.0, 1_000)
    assert linger.wait_seconds(1, now + 1.0) == 0.0


def test_a_burst_is_not_a_dense_stream() -> None:
    linger = Linger()
    linger.took(400, 0.0)
    assert linger.wait_seconds(1, 0.5) == 0.0


def test_the_wait_is_short_beside_what_a_delivery_takes() -> None:
    assert LINGER_SECONDS <= 0.005
