"""A part that stalls ends the process; one that makes progress, is excused, or has no work does not."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.watchdog import Stalled, StallTimer, Watch, watch

FAST = 0.005


async def test_work_that_waits_while_nothing_is_done_ends_it_with_a_sentence() -> None:
    with pytest.raises(Stalled, match=r"^nothing was done for 0 s though there was work: letters, 3 waiting$"):
        await watch([Watch("well", 1.0, lambda: (0, None)), Watch("letters", 4 * FAST, lambda: (3, "same"))], FAST)


@pytest.mark.parametrize("case", ["nothing waits", "something is done", "excused"])
async def test_a_part_that_has_not_stalled_goes_on(case: str) -> None:
    looks = 0

    def look() -> tuple[int, int]:
        nonlocal looks
        looks += 1
        return int(case != "nothing waits"), looks if case == "something is done" else 0

    watching = asyncio.create_task(watch([Watch("x", 3 * FAST, look, lambda: case == "excused")], FAST))
    while looks < 20 and not watching.done():
        await asyncio.sleep(FAST)  # as often as it looks itself
    assert not watching.done()
    watching.cancel()


steps = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.booleans()), max_size=40)


@given(steps)
def test_it_counts_the_looks_since_the_last_one_at_which_something_was_done(
    looks: list[tuple[int, int, bool]],
) -> None:
    timer, last, expected = StallTimer(), None, 0.0
    for waiting, done, is_excused in looks:
        expected = 0.0 if waiting == 0 or done != last or is_excused else expected + 1.0
        last = done
        assert timer.step((waiting, done), 1.0, is_excused=is_excused) == expected
