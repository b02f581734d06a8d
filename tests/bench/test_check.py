"""`make bench-check` fails where the services take twice the CPU, and says which bounds are exceeded."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from check import BOUNDS, SIZES, exceeded, is_too_busy, measure
from cores import choose_cores
from rows import Figure, Report, Row
from run import HERE, Run, Sizes
from stack import Stores
from trees import REPOSITORY, Tree

FACTOR = "2.0"


@pytest.fixture
def cores_given_back() -> Iterator[None]:
    """The bench pins its own process; the tests after it are to have every core again."""
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.alone
@pytest.mark.usefixtures("cores_given_back")
async def test_services_that_cost_twice_as_much_exceed_the_bounds(amqp_url: str, database_url: str) -> None:
    twice = Tree("twice", REPOSITORY, (sys.executable, str(HERE / "expensive.py"), FACTOR))
    sizes = replace(SIZES, rounds=3)  # shorter phases measure how the bare handler opens its connections
    run = Run([twice], Stores(amqp_url, database_url), choose_cores(), sizes, Report({}))
    await measure(run)
    above = exceeded(run.report, "twice")
    assert above == [what for what in BOUNDS if "everything counted" not in what], (
        run.report
    )  # no store is counted here


def report_of(factor: float, pace: float = 500.0) -> Report:
    rows = [Row(what, "", None, "times", {"now": Figure.of([bound * factor])}) for what, bound in BOUNDS.items()]
    return Report({}, [*rows, Row("pace", "", None, "/s", {"bare": Figure.of([pace])})])


def test_at_a_bound_nothing_is_exceeded_and_above_it_everything_is_named() -> None:
    assert exceeded(report_of(1.0)) == []
    assert exceeded(report_of(1.01)) == list(BOUNDS)


def test_a_bounded_row_that_was_not_measured_is_an_error() -> None:
    with pytest.raises(KeyError):
        exceeded(Report({}, report_of(1.0).rows[1:]))


def test_a_bare_handler_that_does_not_keep_its_pace_means_that_nothing_is_judged() -> None:
    sizes = Sizes(per_second=500.0)
    assert is_too_busy(report_of(1.0, pace=450.0), sizes)
    assert not is_too_busy(report_of(9.0, pace=499.0), sizes)
