"""A reading takes the event loop for a fraction of a millisecond at a time, and has a minute for 100,000 faxes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.lists.pace import AT_ONCE, FAXES_PER_SECOND, MOST_LAG_SECONDS, MOST_REST_SECONDS, STEP_SECONDS, Pace

PAGE = 250


class Clock:
    """A clock that goes on by work and by sleep; *steps* holds how long each stretch of work without a rest was."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = [0.0]

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds
        self.steps[-1] += seconds

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0.0
        self.now += seconds
        self.steps.append(0.0)


async def read(clock: Clock, pages: int, work_seconds: float) -> None:
    pace = Pace(clock.sleep, clock)
    for _ in range(pages):
        async for _ in pace.faxes(range(PAGE)):
            clock.work(work_seconds)


async def test_live_traffic_gets_its_turn_after_each_step_and_most_of_the_time() -> None:
    clock = Clock()
    work_seconds = 20e-6  # what reading a fax takes
    await read(clock, 4, work_seconds)
    assert max(clock.steps) <= STEP_SECONDS + work_seconds + 1e-9
    assert sum(clock.steps) / clock.now < 0.1


@given(st.floats(1e-6, 0.002))
async def test_a_list_of_100_000_has_a_minute_unless_reading_itself_takes_it(work_seconds: float) -> None:
    clock = Clock()
    await read(clock, 4, work_seconds)
    seconds = clock.now / (4 * PAGE) * 100_000
    assert seconds <= max(100_000 / FAXES_PER_SECOND, 100_000 * work_seconds) * 1.01 < 60.0 or work_seconds > 0.0005
    assert max(clock.steps) <= STEP_SECONDS + work_seconds + 1e-9


async def test_what_is_known_has_the_same_pace_and_what_its_statements_take_is_made_up_for() -> None:
    clock = Clock()
    pace = Pace(clock.sleep, clock)
    for _ in range(100):
        clock.work(0.004)  # a statement
        await pace.passed(AT_ONCE)
    assert clock.now == pytest.approx(100 * AT_ONCE / FAXES_PER_SECOND)
    clock.work(10.0)  # the provider took its time
    began = clock.now
    for _ in range(100):
        await pace.passed(AT_ONCE)
    assert clock.now - began == pytest.approx(99 * AT_ONCE / FAXES_PER_SECOND - MOST_LAG_SECONDS)


async def test_after_a_statement_the_ledger_has_twice_as_long_for_live_traffic_within_a_bound() -> None:
    clock = Clock()
    pace = Pace(clock.sleep, clock)

    async def statement(seconds: float) -> str:
        clock.work(seconds)
        return "rows"

    assert await pace.statement(statement(0.002)) == "rows"
    assert (pace.statement_seconds, clock.now) == (0.002, pytest.approx(0.006))
    await pace.statement(statement(1.0))
    assert clock.now == pytest.approx(0.006 + 1.0 + MOST_REST_SECONDS)
