"""Metrics as data: name, meaning and what to alert on, in one place for the code and the documentation.

Every label has a fixed, short list of values, so that no input can make the number of series grow. Endpoints are not a
label: there may be one for every fax. The log line names the endpoint.
"""

import platform
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

SHORT_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)
"""For work that a provider waits for."""

LONG_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
"""For work that waits for an application."""

OTHER: Final = "other"
"""A label's value for everything that its list does not name."""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One metric.

    Attributes:
        labels: With all values that each can have; an empty list: constant in a process, like its version.
        alert: What to alert on, for people; empty: nothing.
        buckets: Of a histogram, in its unit.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: dict[str, tuple[str, ...]] = {}
    alert: str = ""
    buckets: tuple[float, ...] = ()

    def counters(self, registry: CollectorRegistry) -> "Cells[Count]":
        """Return its counters by their labels' values; one without labels exists from the start."""
        return _registered(Cells(self, Count), registry)

    def histograms(self, registry: CollectorRegistry) -> "Cells[Histogram]":
        """Return its histograms, likewise."""
        return _registered(Cells(self, lambda: Histogram(self.buckets)), registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        """Return its gauge, at zero."""
        return Gauge(self.name, self.meaning, [*self.labels], registry=registry)

    def family(self) -> Any:
        """Return its family, for a collector that fills it at each scrape."""
        return _FAMILIES[self.kind](self.name, self.meaning, labels=[*self.labels])


class Count:
    """A counter of one event loop. The library's takes a lock, and ten times as long."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Count *amount*, which is not negative."""
        self.value += amount

    def add_to(self, family: Any, labels: Sequence[str]) -> None:
        """Add the value to the library's *family*."""
        family.add_metric(labels, self.value)


class Histogram:
    """A histogram of one event loop."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """Count *value* in the first bucket that holds it."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def add_to(self, family: Any, labels: Sequence[str]) -> None:
        """Add the value to the library's *family*."""
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        family.add_metric(labels, list(zip(names, accumulate(self._counts), strict=True)), self._total)


Cell = TypeVar("Cell", Count, Histogram)


class Cells(Generic[Cell]):
    """A metric's cells by their labels' values, each made when it is first looked up; a collector of the library's.

    >>> made = Measure(name="x_total", kind="counter", meaning="", labels={"a": ("b",)}).counters(CollectorRegistry())
    >>> made["b",].inc()
    >>> made["b",].value
    1.0
    """

    def __init__(self, measure: Measure, make: Callable[[], Cell]) -> None:
        self._measure = measure
        self._make: Callable[[], Cell] = make
        self._cells: dict[tuple[str, ...], Cell] = {} if measure.labels else {(): make()}

    def __getitem__(self, values: tuple[str, ...]) -> Cell:
        if (cell := self._cells.get(values)) is None:
            cell = self._cells[values] = self._make()
        return cell

    def collect(self) -> Iterator[Any]:
        """Yield the family of all cells."""
        family = self._measure.family()
        for values, cell in self._cells.items():
            cell.add_to(family, values)
        yield family


def _registered(cells: Cells[Cell], registry: CollectorRegistry) -> Cells[Cell]:
    registry.register(cells)
    return cells


_FAMILIES: Final[dict[str, Any]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}

BUILD_INFO: Final = Measure(
    name="faxhook_build_info",
    kind="gauge",
    meaning="1; what runs here",
    labels={"service": (), "version": (), "python": ()},
    alert="two versions at once for longer than a rollout takes",
)
READY: Final = Measure(
    name="faxhook_ready",
    kind="gauge",
    meaning="1 if `/readyz` says 200",
    alert="0 for minutes",
)
BROKER_CONNECTED: Final = Measure(
    name="faxhook_broker_connected",
    kind="gauge",
    meaning="1 if a publish has a chance: the publisher's channel is open and the broker takes messages",
    alert="0 for a minute",
)
UNCONFIRMED: Final = Measure(
    name="faxhook_unconfirmed_messages",
    kind="gauge",
    meaning="published messages without the broker's confirm; at 2,000 nothing more is published",
    alert="in the hundreds for a minute: the broker's disk is slow",
)
SHARED: Final = (BUILD_INFO, READY, BROKER_CONNECTED, UNCONFIRMED)
"""The metrics that both services have."""


def new_registry(service: str) -> CollectorRegistry:
    """Return a registry with what every process has: `process_*` and the build."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    try:
        our_version = version("faxhook")
    except PackageNotFoundError:  # run from a folder
        our_version = "unknown"
    BUILD_INFO.gauge(registry).labels(service, our_version, platform.python_version()).set(1)
    return registry
