"""`make bench-check`: fails where a callback or a delivery costs about twice what it did;
about a minute, several where other work has the machine.

    python tests/bench/check.py

The bounds are ratios of CPU inside one run, medians of five rounds in turns, about 1.4 times what was measured. Where
one is exceeded, all is measured once more: it fails only if the same bound is exceeded both times. The pace is one that the
handlers keep even at twice their cost. Where other work keeps the bare handler from it, a lower pace is tried; where it does
not keep that either, the bounds are wider, but they hold. After a step that makes the services faster, take the bounds down
here.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.extend(str((Path(__file__).parent / folder).resolve()) for folder in (".", "../support", "../.."))

import ingress_cost
import uvloop
import whole_way
from cores import choose_cores, pin_self
from rows import Report, table
from run import Run, Sizes
from stack import private_stores
from trees import NOW

BOUNDS = {
    "ingress CPU per HMAC-signed JSON callback ÷ a bare handler": 2.7,
    "ingress CPU per 10-field multipart callback ÷ a bare handler": 2.9,
    "· of it dispatcher ÷ a bare handler's": 9.0,
    "callback in → webhook told, everything counted: CPU ÷ a bare handler's": 18.5,
}
SIZES = Sizes(rounds=5, seconds=1.0, per_second=500.0, events=800)
LOWER_PER_SECOND = 200.0
WIDER = 1.25
"""Of each bound, on a machine that is too busy for the lower pace, too; services that take twice the CPU still exceed it."""

KEPT = 0.95
"""Of the pace, by the bare handler."""


async def measure(run: Run) -> None:
    """Measure what is bounded: the ingress beside the bare handler, and the whole way as fast as the lanes allow."""
    pin_self(run.cores.load)
    await ingress_cost.measure(run)
    await whole_way.measure(run, is_check=True)


def exceeded(report: Report, column: str = "now", *, factor: float = 1.0) -> list[str]:
    """Return the names of the rows whose median is above *factor* times its bound.

    Raises:
        KeyError: A bounded row was not measured.
    """
    medians = {row.what: row.figures[column].median for row in report.rows if column in row.figures}
    return [what for what, bound in BOUNDS.items() if medians[what] > factor * bound]


def is_too_busy(report: Report, sizes: Sizes) -> bool:
    """Return whether other work kept the bare handler from its pace."""
    paces = [row.figures["bare"].median for row in report.rows if row.unit == "/s" and "bare" in row.figures]
    return min(paces) < KEPT * sizes.per_second


def check(measured: Callable[[Sizes], Report]) -> tuple[list[str], float]:
    """Return the names of the bounds that were exceeded twice, and by which factor all of them were widened.

    *measured* measures once, at the pace of the sizes that it is given.
    """
    sizes, factor = SIZES, 1.0
    report = measured(sizes)
    if is_too_busy(report, sizes):
        sizes = replace(sizes, per_second=LOWER_PER_SECOND, seconds=sizes.seconds * sizes.per_second / LOWER_PER_SECOND)
        report = measured(sizes)
        factor = WIDER if is_too_busy(report, sizes) else 1.0
    above = exceeded(report, factor=factor)
    if above:
        again = exceeded(measured(sizes), factor=factor)
        above = [what for what in above if what in again]
    return above, factor


def main() -> int:
    """Return 0 if all bounds hold, 1 if one was exceeded twice."""
    began = time.monotonic()
    with private_stores() as stores:

        def measured(sizes: Sizes) -> Report:
            report = Report({"what": f"make bench-check, at {sizes.per_second:,.0f}/s"})
            uvloop.run(measure(Run([NOW], stores, choose_cores(), sizes, report)))
            sys.stdout.write(table(report) + "\n")
            return report

        above, factor = check(measured)
    words = "the bounds" if factor == 1.0 else f"{factor} times the bounds (this machine is busy with other work)"
    for what in above:
        sys.stdout.write(f"twice above its bound of {factor * BOUNDS[what]:.1f}: {what}\n")
    sys.stdout.write(f"bench-check: {'above' if above else 'within'} {words}, {time.monotonic() - began:.0f} s\n")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
