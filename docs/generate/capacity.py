"""Computes how much of everything a rate of callbacks takes, and writes the tables of `docs/capacity.md`: `make docs`.

The costs are those that tests/bench/capacity.py measured; what is computed from them is a plan, not a measurement. What
large ledgers do is as `make bench-full` measured it.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "capacity.md"
PLAN: Final = ("<!-- plan: written by `make docs` -->", "<!-- /plan -->")
LEDGERS: Final = ("<!-- ledgers: written by `make docs` -->", "<!-- /ledgers -->")
SPLIT: Final = ("<!-- split: written by `make docs` -->", "<!-- /split -->")

RATES: Final = (10, 1_000, 100_000)
"""Callbacks a second, at the peak."""

BUSY: Final = 0.6
"""Of a core at the peak, at most: above it waits grow faster than the rate."""

MOST_PER_CELL: Final = 3_000
"""Callbacks a second at the peak for one installation: twice what was run, and 30 days of it are 3.7 TB of ledger."""

DAY_SECONDS: Final = 86_400
PEAK_TO_MEAN: Final = 4.0
"""A day's mean is taken as a quarter of its peak: faxes are sent in office hours."""


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """Of one event that is owed to one endpoint: seconds of CPU, and bytes.

    Attributes:
        ledger_bytes: With its payload, while it is kept.
        kept_bytes: For ever, without.
    """

    ingress_seconds: float
    dispatcher_seconds: float
    ledger_seconds: float
    broker_seconds: float
    wal_bytes: float
    ledger_bytes: float
    kept_bytes: float


MEASURED: Final = Costs(
    ingress_seconds=173e-6,
    dispatcher_seconds=333e-6,
    ledger_seconds=81e-6,
    broker_seconds=126e-6,
    wal_bytes=2_812,
    ledger_bytes=1_883,
    kept_bytes=607,
)
"""`python tests/bench/capacity.py` on 2026-11-29, two cores, PostgreSQL 18.6, RabbitMQ 3.10.8, CPython 3.11."""


class LargeLedger(msgspec.Struct, frozen=True, kw_only=True):
    """What `make bench-full ONLY=ledger FAXES=…` measured: median, least and most of five rounds.

    Attributes:
        cost_ratio: CPU of an event, everything counted, as a multiple of that with 5,000 faxes in turns.
        event_seconds, postgres_seconds: Of that CPU, with this ledger.
        small_event_seconds, small_postgres_seconds: With 5,000 faxes.
        failed_page_seconds: "What failed yesterday, and why", over HTTP.
        number_page_seconds: "All of a number, this month".
        endpoint_page_seconds: "The deliveries of an endpoint".
        sweep_seconds: One look of the sweeper.
        prune_seconds: Retention, for each event.
    """

    faxes: int
    size_bytes: float
    cost_ratio: tuple[float, float, float]
    event_seconds: float
    postgres_seconds: float
    small_event_seconds: float
    small_postgres_seconds: float
    failed_page_seconds: float
    number_page_seconds: float
    endpoint_page_seconds: float
    sweep_seconds: float
    prune_seconds: float


MEASURED_LEDGERS: Final = (
    LargeLedger(
        faxes=2_000_000,
        size_bytes=3_318e6,
        cost_ratio=(0.95, 0.89, 1.14),
        event_seconds=924e-6,
        postgres_seconds=199e-6,
        small_event_seconds=913e-6,
        small_postgres_seconds=207e-6,
        failed_page_seconds=8.6e-3,
        number_page_seconds=15.0e-3,
        endpoint_page_seconds=10.5e-3,
        sweep_seconds=0.27e-3,
        prune_seconds=88e-6,
    ),
    LargeLedger(
        faxes=5_000_000,
        size_bytes=8_149e6,
        cost_ratio=(0.95, 0.62, 1.61),
        event_seconds=988e-6,
        postgres_seconds=206e-6,
        small_event_seconds=1_247e-6,
        small_postgres_seconds=252e-6,
        failed_page_seconds=10.1e-3,
        number_page_seconds=12.9e-3,
        endpoint_page_seconds=19.3e-3,
        sweep_seconds=0.17e-3,
        prune_seconds=96e-6,
    ),
)
"""On 2026-11-29 and, the larger one, 2026-11-30: machines with other work on them. The store's cache was 128 MB, the
system's own was not limited."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a rate takes. A pod uses one core; cores are those that are busy at the peak, bytes those of a mean day."""

    callbacks_per_second: int
    cells: int
    ingress_pods: int
    dispatcher_pods: int
    broker_nodes: int
    broker_cores: float
    ledger_cores: float
    wal_bytes_per_second: float
    ledger_bytes: float
    kept_bytes_per_year: float


def plan(callbacks_per_second: int, retention_days: int = 30, costs: Costs = MEASURED) -> Plan:
    """Return what *callbacks_per_second* at the peak take, each owed to one endpoint, one pod of each kind away."""
    cells = math.ceil(callbacks_per_second / MOST_PER_CELL)
    events_per_day = callbacks_per_second / PEAK_TO_MEAN * DAY_SECONDS
    return Plan(
        callbacks_per_second=callbacks_per_second,
        cells=cells,
        ingress_pods=_pods(callbacks_per_second, costs.ingress_seconds, cells),
        dispatcher_pods=_pods(callbacks_per_second, costs.dispatcher_seconds, cells),
        broker_nodes=3 * cells,
        broker_cores=callbacks_per_second * costs.broker_seconds,
        ledger_cores=callbacks_per_second * costs.ledger_seconds,
        wal_bytes_per_second=callbacks_per_second * costs.wal_bytes,
        ledger_bytes=events_per_day * retention_days * costs.ledger_bytes,
        kept_bytes_per_year=events_per_day * 365 * costs.kept_bytes,
    )


def _pods(callbacks_per_second: float, seconds: float, cells: int) -> int:
    """Return how many pods keep at most `BUSY` of their core, in each cell one more than that needs.

    >>> _pods(10, 173e-6, 1), _pods(1_000, 333e-6, 1), _pods(6_000, 333e-6, 2)
    (2, 2, 6)
    """
    needed = math.ceil(callbacks_per_second / cells * seconds / BUSY)
    return cells * (needed + 1)


def queue_of(provider: str, fax_id: str, queues: int) -> int:
    """Return which of `work.events.0` … would hold the events of a fax: always the same, so that their order stays.

    >>> queue_of("phaxio", "1", 8) == queue_of("phaxio", "1", 8) in range(8)
    True
    """
    digest = hashlib.blake2b(f"{provider}\0{fax_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % queues


def split(faxes: Iterable[tuple[str, int]], queues: int) -> float:
    """Return how much the fullest queue gets of *faxes* (id, events of it), as a multiple of the mean."""
    load: Counter[int] = Counter()
    for fax_id, events in faxes:
        load[queue_of("telnyx", fax_id, queues)] += events
    return max(load.values()) / (sum(load.values()) / queues)


def plan_table() -> str:
    """Return the plan for each of `RATES`."""
    rows: Sequence[tuple[str, ...]] = [
        ("callbacks a second at the peak", *(f"{each:,}" for each in RATES)),
        ("---", *("---" for _ in RATES)),
        *(_row(name, [plan(each) for each in RATES]) for name in ROWS),
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


ROWS: Final[Mapping[str, Callable[[Plan], str]]] = {
    "installations, each with its own broker and ledger": lambda each: f"{each.cells}",
    "ingress pods of 1 core": lambda each: f"{each.ingress_pods}",
    "dispatcher pods of 1 core": lambda each: f"{each.dispatcher_pods}",
    "broker nodes": lambda each: f"{each.broker_nodes}",
    "cores that the leaders' work keeps busy, all nodes": lambda each: f"{_short(each.broker_cores)}",
    "cores that PostgreSQL keeps busy, all primaries": lambda each: f"{_short(each.ledger_cores)}",
    "WAL, MB/s, all primaries": lambda each: f"{_short(each.wal_bytes_per_second / 1e6)}",
    "ledger with 30 days of payloads, GB": lambda each: f"{each.ledger_bytes / 1e9:,.0f}",
    "more for ever each year, GB": lambda each: f"{each.kept_bytes_per_year / 1e9:,.0f}",
}


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1g}"  # noqa: PLR2004 - two digits are enough


def _row(name: str, plans: Sequence[Plan]) -> tuple[str, ...]:
    return (name, *(ROWS[name](each) for each in plans))


def ledger_table() -> str:
    """Return what was measured with large ledgers."""
    rows: list[tuple[str, ...]] = [
        ("faxes in the ledger", *(f"{each.faxes:,}" for each in MEASURED_LEDGERS)),
        ("---", *("---" for _ in MEASURED_LEDGERS)),
        *((name, *(shown(each) for each in MEASURED_LEDGERS)) for name, shown in LEDGER_ROWS.items()),
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


LEDGER_ROWS: Final[Mapping[str, Callable[[LargeLedger], str]]] = {
    "size, GB": lambda each: f"{each.size_bytes / 1e9:.1f}",
    "CPU of an event ÷ with 5,000 faxes": lambda each: "{:.2f} ({:.2f} to {:.2f})".format(*each.cost_ratio),
    "CPU of an event, µs (with 5,000 faxes)": lambda each: _both(each.event_seconds, each.small_event_seconds),
    "of it PostgreSQL, µs": lambda each: _both(each.postgres_seconds, each.small_postgres_seconds),
    "what failed yesterday, and why, ms": lambda each: f"{each.failed_page_seconds * 1e3:.0f}",
    "all of a number, this month, ms": lambda each: f"{each.number_page_seconds * 1e3:.0f}",
    "the deliveries of an endpoint, ms": lambda each: f"{each.endpoint_page_seconds * 1e3:.0f}",
    "a look of the sweeper, ms": lambda each: f"{each.sweep_seconds * 1e3:.1f}",
    "retention, µs for each event": lambda each: f"{each.prune_seconds * 1e6:.0f}",
}


def _both(large_seconds: float, small_seconds: float) -> str:
    return f"{large_seconds * 1e6:,.0f} ({small_seconds * 1e6:,.0f})"


def split_table() -> str:
    """Return how evenly a million events of 200,000 faxes, and of 1,000 very busy ones, go to several queues."""
    many = [(f"fax-{number}", 5) for number in range(200_000)]
    few = [(f"busy-{number}", 1_000) for number in range(1_000)]
    lines = ["| queues | 200,000 faxes of 5 events | 1,000 faxes of 1,000 events |", "|---|---|---|"]
    lines += [f"| {queues} | {split(many, queues):.2f} | {split(few, queues):.2f} |" for queues in (2, 8, 34)]
    return "\n".join(lines) + "\n"


def page_with_tables(text: str) -> str:
    """Return the page's *text* with its tables written again."""
    for (begin, end), table in ((PLAN, plan_table()), (LEDGERS, ledger_table()), (SPLIT, split_table())):
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{table}{end}{rest.partition(end)[2]}"
    return text


def main() -> None:
    """Write the page."""
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
