"""The dispatcher's metrics. One registry for each process, made at start."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import product
from typing import Any, Final, Protocol

import msgspec
from prometheus_client import generate_latest

from dispatcher.channels.outcome import NotTold, NotTried, Outcome, Told
from dispatcher.measures import (
    ALERT_KINDS,
    ALERT_MESSAGES,
    ATTEMPT_SECONDS,
    ATTEMPTS,
    CAUSES,
    CONSUMING,
    DEAD,
    DEFERRED,
    DUE,
    EVENTS,
    LEASED,
    MISSED,
    OPEN_ALERTS,
    OPEN_CIRCUITS,
    OUR_ERRORS,
    OVERDUE_SECONDS,
    OWED,
    READINGS,
    STALLED,
    SWEEPS,
    SWEPT,
    TAKEN_SECONDS,
    TOLD_SECONDS,
    UNOWED,
    UNRECORDED,
    WRONG_ACCOUNTS,
)
from shared.metrics import BROKER_CONNECTED, OTHER, READY, UNCONFIRMED, new_registry


@lru_cache(maxsize=1024)
def label_of(error: str) -> str:
    """Return the label for an error's code: itself if it is a known one, else its class, else `other`.

    >>> [label_of(error) for error in ("timeout", "http_404", "http_418", "smtp_550", "anything")]
    ['timeout', 'http_404', 'http_4xx', 'smtp_5xx', 'other']
    """
    if error in _KNOWN:
        return error
    family, _, number = error.rpartition("_")
    label = f"{family}_{number[:1]}xx"
    return label if label in _KNOWN and len(number) == _STATUS_DIGITS and number.isdecimal() else OTHER


_KNOWN: Final = frozenset((*CAUSES, *OUR_ERRORS))
_STATUS_DIGITS: Final = 3


class Consuming(Protocol):
    """A consumer, as the metrics see it."""

    queue: str

    @property
    def is_consuming(self) -> bool:
        """Does the broker push it messages?"""


class LedgerSample(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger owes at one moment."""

    owed: int
    due: int
    oldest_overdue_seconds: float


class Metrics:
    """What the dispatcher counts."""

    def __init__(self) -> None:
        self.registry = new_registry("dispatcher")
        events = EVENTS.counters(self.registry)
        self.events_accepted = events["accepted",]
        self.events_repeated = events["repeated",]
        self.events_dead = events["dead",]
        self.unowed = UNOWED.counters(self.registry)[()]
        self.taken_seconds = TAKEN_SECONDS.histograms(self.registry)[()]
        self._attempts = ATTEMPTS.counters(self.registry)
        self._told = self._attempts["told", "none"]
        seconds = ATTEMPT_SECONDS.histograms(self.registry)
        self._told_seconds, self._not_told_seconds, self._not_tried_seconds = (
            seconds[outcome,] for outcome in ATTEMPT_SECONDS.labels["outcome"]
        )
        self.told_seconds = TOLD_SECONDS.histograms(self.registry)[()]
        self._dead = DEAD.counters(self.registry)
        for cause in CAUSES:
            self._dead[cause,].inc(0)  # there from the start: a rate needs a zero before
        self.deferred = DEFERRED.counters(self.registry)[()]
        sweeps = SWEEPS.counters(self.registry)
        self.sweeps_done = sweeps["done",]
        self.sweeps_failed = sweeps["failed",]
        self.swept = SWEPT.counters(self.registry)[()]
        self.leased = LEASED.gauge(self.registry)
        self._gauges = {
            each.name: each.gauge(self.registry)
            for each in (READY, BROKER_CONNECTED, UNCONFIRMED, UNRECORDED, OPEN_CIRCUITS)
        }
        self._consuming = CONSUMING.gauge(self.registry)
        self._readings = READINGS.counters(self.registry)
        self._missed = MISSED.counters(self.registry)
        self._wrong_accounts = WRONG_ACCOUNTS.counters(self.registry)
        for provider, verdict in product(*WRONG_ACCOUNTS.labels.values()):
            self._wrong_accounts[provider, verdict].inc(0)  # there from the start, as above
        self._alert_messages = ALERT_MESSAGES.counters(self.registry)
        for outcome in ALERT_MESSAGES.labels["outcome"]:
            self._alert_messages[outcome,].inc(0)  # there from the start: a rate needs a zero before
        self.open_alerts: Mapping[str, int] | None = None
        self._stalled = STALLED.counters(self.registry)
        for cells, measure in ((self._readings, READINGS), (self._missed, MISSED), (self._stalled, STALLED)):
            for labels in product(*measure.labels.values()):
                cells[labels].inc(0)  # there from the start, as above
        self.sample: LedgerSample | None = None
        self.registry.register(_LedgerCollector(self))

    def count_accepted(self, seconds: float, *, is_owed: bool) -> None:
        """Count an event that was taken in *seconds* after its callback's receipt."""
        self.events_accepted.inc()
        self.taken_seconds.observe(max(0.0, seconds))
        if not is_owed:
            self.unowed.inc()

    def count_reading(self, provider: str, outcome: str, missed: int) -> None:
        """Count a reading of a provider's list, and the events that it found missing."""
        self._readings[provider, outcome].inc()
        self.count_missed(provider, missed)

    def count_missed(self, provider: str, count: int) -> None:
        """Count events that no callback told and the provider did; a provider without a list has no such events."""
        if count:
            self._missed[provider,].inc(count)

    def count_stalled(self, provider: str) -> None:
        """Count a fax that stalled."""
        self._stalled[provider,].inc()

    def count_wrong_account(self, provider: str, verdict: str) -> None:
        """Count the account of a day that a person must look at."""
        self._wrong_accounts[provider, verdict].inc()

    def count_alert_message(self, outcome: str) -> None:
        """Count a try to tell the operator: `sent` or `failed`."""
        self._alert_messages[outcome,].inc()

    def count_attempt(self, outcome: Outcome, seconds: float) -> None:
        """Count one attempt."""
        match outcome:
            case Told():
                self._told.inc()
                self._told_seconds.observe(seconds)
            case NotTold(error=error):
                self._attempts["not_told", label_of(error)].inc()
                self._not_told_seconds.observe(seconds)
            case NotTried(error=error):
                self._attempts["not_tried", label_of(error)].inc()
                self._not_tried_seconds.observe(seconds)

    def count_dead(self, cause: str) -> None:
        """Count a delivery that was given up."""
        label = label_of(cause)
        self._dead[label if label in CAUSES else OTHER,].inc()

    def bind_gauges(self, values: dict[str, Callable[[], float]], consumers: Iterable[Consuming]) -> None:
        """Read these gauges by name, and what *consumers* consume, at every scrape."""
        for name, value in values.items():
            self._gauges[name].set_function(value)
        for consumer in consumers:
            self._consuming.labels(consumer.queue).set_function(partial(getattr, consumer, "is_consuming"))

    def render(self) -> bytes:
        """Return the exposition text."""
        return generate_latest(self.registry)


class _LedgerCollector:
    """Tells the last sample of the ledger; a process that takes no samples tells nothing, so that a sum counts once."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Any]:
        sample = self._metrics.sample
        values = (None,) * 3 if sample is None else (sample.owed, sample.due, sample.oldest_overdue_seconds)
        for measure, value in zip((OWED, DUE, OVERDUE_SECONDS), values, strict=True):
            family = measure.family()
            if value is not None:
                family.add_metric([], float(value))
            yield family
        family = OPEN_ALERTS.family()
        for kind in ALERT_KINDS if self._metrics.open_alerts is not None else ():
            family.add_metric([kind], float((self._metrics.open_alerts or {}).get(kind, 0)))
        yield family
