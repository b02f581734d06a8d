"""`make bench-check` fails where the services take twice the CPU, and says which bounds are exceeded."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from check import BOUNDS, LOWER_PER_SECOND, SIZES, WIDER, check, exceeded, measure
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
    of_services = [what for what in BOUNDS if "everything counted" not in what]  # the stores take no more than before
    assert [what for what in above if what in of_services] == of_services, run.report


def report_of(factor: float, pace: float = 500.0) -> Report:
    rows = [Row(what, "", None, "times", {"now": Figure.of([bound * factor])}) for what, bound in BOUNDS.items()]
    return Report({}, [*rows, Row("pace", "", None, "/s", {"bare": Figure.of([pace])})])


def test_at_a_bound_nothing_is_exceeded_and_above_it_everything_is_named() -> None:
    assert exceeded(report_of(1.0)) == []
    assert exceeded(report_of(1.01)) == list(BOUNDS)


def test_a_bounded_row_that_was_not_measured_is_an_error() -> None:
    with pytest.raises(KeyError):
        exceeded(Report({}, report_of(1.0).rows[1:]))


class Measured:
    """Measurements that come one after the other: (cost as a share of each bound, pace that the bare handler kept)."""

    def __init__(self, *reports: tuple[float, float]) -> None:
        self.reports = list(reports)
        self.paces: list[float] = []

    def __call__(self, sizes: Sizes) -> Report:
        self.paces.append(sizes.per_second)
        return report_of(*self.reports.pop(0))


@pytest.mark.parametrize(
    ("reports", "is_above", "factor"),
    [
        ([(0.9, 499.0)], False, 1.0),
        ([(1.1, 499.0), (0.9, 499.0)], False, 1.0),
        ([(1.1, 499.0), (1.1, 499.0)], True, 1.0),
        ([(9.0, 450.0), (0.9, 199.0)], False, 1.0),
        ([(0.9, 450.0), (1.1, 199.0), (1.1, 150.0)], True, 1.0),
        ([(9.0, 450.0), (WIDER, 150.0)], False, WIDER),
        ([(0.9, 450.0), (WIDER * 1.01, 150.0), (WIDER * 1.01, 150.0)], True, WIDER),
        ([(0.9, 450.0), (WIDER * 1.01, 150.0), (0.9, 150.0)], False, WIDER),
    ],
)
def test_every_machine_is_judged_a_busy_one_at_a_lower_pace_or_by_wider_bounds(
    reports: list[tuple[float, float]], is_above: bool, factor: float
) -> None:
    measured = Measured(*reports)
    assert check(measured) == (list(BOUNDS) if is_above else [], factor)
    assert not measured.reports
    assert measured.paces[0] == SIZES.per_second
    assert set(measured.paces[1:]) <= {SIZES.per_second if reports[0][1] > 475 else LOWER_PER_SECOND}


def test_a_bound_that_is_exceeded_once_and_another_the_next_time_is_disturbance() -> None:
    """Each of the two measurements exceeds another bound."""
    reports = [report_of(0.9), report_of(0.9)]
    for report, at in zip(reports, (0, 1), strict=True):
        row = report.rows[at]
        row.figures["now"] = Figure.of([2 * BOUNDS[row.what]])
    assert check(lambda _sizes: reports.pop(0)) == ([], 1.0)
