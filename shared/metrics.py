"""Metrics as data: what each is called, counts, and is to be watched for, in one place for the code and the README.

Every label has a fixed, short list of values, so that nothing that comes from outside can make the number of series
grow. Endpoints are no label: there may be one for every fax. Which endpoint it is stands in the log line.
"""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, Literal

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily

SHORT_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)
"""For what has to be done while a provider waits."""

LONG_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
"""For what may wait for an application."""

OTHER: Final = "other"
"""The label's value for whatever its list does not name."""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One metric.

    Attributes:
        labels: With all values that each can have; empty: this process's version or the like, constant.
        watch: What to alert on, for people; empty: it is there to look at.
        buckets: Of a histogram, in its unit.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: dict[str, tuple[str, ...]] = {}
    watch: str = ""
    buckets: tuple[float, ...] = ()

    def counter(self, registry: CollectorRegistry) -> Counter:
        """Return it, at zero."""
        return Counter(self.name, self.meaning, [*self.labels], registry=registry)

    def gauge(self, registry: CollectorRegistry) -> Gauge:
        """Return it, at zero."""
        return Gauge(self.name, self.meaning, [*self.labels], registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """Return it, empty."""
        return Histogram(self.name, self.meaning, [*self.labels], buckets=self.buckets, registry=registry)

    def family(self) -> GaugeMetricFamily:
        """Return it for a collector that fills it at each scrape."""
        return GaugeMetricFamily(self.name, self.meaning, labels=[*self.labels])


class Children(dict[tuple[str, ...], Any]):
    """A metric's children by their labels' values, made once: looking one up in the library costs more than counting.

    >>> made = Children(Counter("x_total", "", ["a"], registry=CollectorRegistry()))
    >>> made["b",].inc()
    """

    def __init__(self, metric: Any) -> None:
        super().__init__()
        self._metric = metric

    def __missing__(self, values: tuple[str, ...]) -> Any:
        child = self[values] = self._metric.labels(*values)
        return child


BUILD_INFO: Final = Measure(
    name="faxhook_build_info",
    kind="gauge",
    meaning="1; what runs here",
    labels={"service": (), "version": (), "python": ()},
    watch="two versions at once for longer than a rollout takes",
)
READY: Final = Measure(
    name="faxhook_ready",
    kind="gauge",
    meaning="1 if `/readyz` says 200",
    watch="0 for minutes",
)
BROKER_CONNECTED: Final = Measure(
    name="faxhook_broker_connected",
    kind="gauge",
    meaning="1 if a publish has a chance: the publisher's channel is open and the broker takes messages",
    watch="0 for a minute",
)
UNCONFIRMED: Final = Measure(
    name="faxhook_unconfirmed_messages",
    kind="gauge",
    meaning="published messages without the broker's confirm; at 2,000 nothing more is published",
    watch="in the hundreds for a minute: the broker's disk is slow",
)
SHARED: Final = (BUILD_INFO, READY, BROKER_CONNECTED, UNCONFIRMED)
"""Both services have them."""


def new_registry(service: str) -> CollectorRegistry:
    """Return a registry with what every process has: `process_*`, and what runs here."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    try:
        our_version = version("faxhook")
    except PackageNotFoundError:  # run from a folder
        our_version = "unknown"
    BUILD_INFO.gauge(registry).labels(service, our_version, platform.python_version()).set(1)
    return registry
