"""`make bench-check`: fails where a callback or a delivery costs about twice what it did; about a minute, at most three.

    python tests/bench/check.py

The bounds are ratios inside one run, medians of five rounds in turns, about 1.4 times what was measured. Where one
is exceeded, all is measured once more: it fails only if the same bound is exceeded both times. The pace is one that the
handlers keep even at twice their cost; where the bare handler does not keep it, other work has the machine, the ratios mean
nothing, and that is said instead. After a step that makes the services faster, take the bounds down here.
"""

import sys
import time
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
TIMES = 2
KEPT = 0.95
"""Of the pace, by the bare handler."""


async def measure(run: Run) -> None:
    """Measure what is bounded: the ingress beside the bare handler, and the whole way as fast as the lanes allow."""
    pin_self(run.cores.load)
    await ingress_cost.measure(run)
    await whole_way.measure(run, is_check=True)


def exceeded(report: Report, column: str = "now") -> list[str]:
    """Return the names of the rows whose median is above its bound.

    Raises:
        KeyError: A bounded row was not measured.
    """
    medians = {row.what: row.figures[column].median for row in report.rows if column in row.figures}
    return [what for what, bound in BOUNDS.items() if medians[what] > bound]


def is_too_busy(report: Report, sizes: Sizes) -> bool:
    """Return whether other work kept the bare handler from its pace."""
    paces = [row.figures["bare"].median for row in report.rows if row.unit == "/s" and "bare" in row.figures]
    return min(paces) < KEPT * sizes.per_second


def main() -> int:
    """Return 0 if all bounds hold or nothing could be judged, 1 if one was exceeded each time."""
    began, above = time.monotonic(), set(BOUNDS)
    with private_stores() as stores:
        for _ in range(TIMES):
            report = Report({"what": "make bench-check"})
            uvloop.run(measure(Run([NOW], stores, choose_cores(), SIZES, report)))
            sys.stdout.write(table(report) + "\n")
            if is_too_busy(report, SIZES):
                sys.stdout.write("bench-check: NOT JUDGED: the machine is too busy for the bare handler's pace\n")
                return 0
            above &= set(exceeded(report))
            if not above:
                break
    for what in sorted(above):
        sys.stdout.write(f"above its bound of {BOUNDS[what]}, {TIMES} times: {what}\n")
    sys.stdout.write(f"bench-check: {'above' if above else 'within'} the bounds, {time.monotonic() - began:.0f} s\n")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
