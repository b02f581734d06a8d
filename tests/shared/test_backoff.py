"""The table of waits is read as its grammar says, and a wait is a floor, never a ceiling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.backoff import DEFAULT_BACKOFF, parse_backoff, wait_name, wait_seconds


def test_the_default_is_the_fax_table_of_sixteen_retries_over_73_hours_and_5_minutes() -> None:
    waits = parse_backoff(DEFAULT_BACKOFF)
    assert waits == (300, 600, 1200, 1800, *[21600] * 12)
    assert sum(waits) == 73 * 3600 + 5 * 60


@pytest.mark.parametrize(
    "text",
    ["", "5", "m", "5m,", "5 m", "-5m", "5m*", "5d", "5m;6m", "0s", "31m*101", "1000h", "5m*0", "\u0665m", "1e3s"],
)
def test_a_table_that_makes_no_sense_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_backoff(text)


@given(st.lists(st.tuples(st.integers(1, 50), st.sampled_from("smh"), st.integers(1, 5)), min_size=1, max_size=10))
def test_every_table_reads_back_in_order_with_its_repetitions(items: list[tuple[int, str, int]]) -> None:
    waits = parse_backoff(",".join(f"{number}{unit}*{times}" for number, unit, times in items))
    unit_seconds = {"s": 1, "m": 60, "h": 3600}
    assert waits == tuple(number * unit_seconds[unit] for number, unit, times in items for _ in range(times))


@given(st.integers(1, 100_000_000).map(lambda milliseconds: milliseconds / 1000))
def test_a_waits_name_says_exactly_that_wait_so_that_two_waits_never_share_a_queue(seconds: float) -> None:
    assert parse_backoff(wait_name(seconds)) == (pytest.approx(seconds, abs=1e-6),)


@given(
    waits=st.lists(st.integers(1, 1000), min_size=1, max_size=20),
    failed=st.integers(1, 25),
    after=st.none() | st.integers(0, 2000),
)
def test_the_wait_is_one_of_the_table_never_shorter_than_its_place_and_none_past_the_end(
    waits: list[int], failed: int, after: int | None
) -> None:
    wait = wait_seconds(waits, failed, after)
    if failed > len(waits):
        assert wait is None
        return
    assert wait in waits
    assert wait >= waits[failed - 1]
    if after is not None and wait < after:
        assert wait == max(waits)
