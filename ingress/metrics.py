"""The ingress's metrics. One registry for each process, made at start, so that importing opens nothing."""

from collections.abc import Callable
from typing import Final

from prometheus_client import generate_latest

from shared.domain import Provider
from shared.errors import Refused, Unavailable
from shared.metrics import BROKER_CONNECTED, READY, SHARED, SHORT_SECONDS, UNCONFIRMED, Measure, new_registry

ACCEPTED: Final = "accepted"
QUARANTINED: Final = "quarantined"
CRASHED: Final = "crashed"
NO_PROVIDER: Final = "none"
"""Of a request that is not a callback of a configured provider."""

OK: Final = 200
UNAUTHENTICATED: Final = 401
STATUS_OF: Final[dict[str, int]] = {
    ACCEPTED: OK,
    QUARANTINED: OK,
    **{kind.code: kind.status for kind in Refused.__subclasses__()},
    CRASHED: Unavailable.status,
}
"""Every code that a callback can be answered with, and its HTTP status."""

_PROVIDERS: Final = tuple(str(provider) for provider in Provider)

CALLBACKS: Final = Measure(
    name="faxhook_callbacks_total",
    kind="counter",
    meaning="requests by provider and answer; provider `none`: no path of ours, or of a provider that is off",
    labels={
        "provider": (*_PROVIDERS, NO_PROVIDER),
        "code": tuple(STATUS_OF),
        "http_status": tuple(map(str, sorted(set(STATUS_OF.values())))),
    },
    alert="503 over a hundredth: nothing is kept; `quarantined` at all: dead letters; 401 rising: a wrong secret",
)
SECONDS: Final = Measure(
    name="faxhook_callback_seconds",
    kind="histogram",
    meaning="from a request's headers to its answer",
    labels={"provider": _PROVIDERS},
    buckets=SHORT_SECONDS,
    alert="p99 over 1 s: providers give up after 2",
)
BYTES: Final = Measure(
    name="faxhook_callback_bytes_total",
    kind="counter",
    meaning="bodies of callbacks that were kept, in bytes",
    labels={"provider": _PROVIDERS},
)
KEPT_SECONDS: Final = Measure(
    name="faxhook_kept_seconds",
    kind="histogram",
    meaning="until a store had confirmed: the broker an event, the media store a document",
    labels={"store": ("broker", "media")},
    buckets=SHORT_SECONDS,
    alert="p99 over 0.5 s: at 1.7 s the answer is 503",
)
MEDIA_MISSING: Final = Measure(
    name="faxhook_media_missing_total",
    kind="counter",
    meaning="events that went out without the document that an Asterisk named",
    alert="any: the spool folder is not what the Asterisk writes to",
)
UNDER_WAY: Final = Measure(name="faxhook_requests_under_way", kind="gauge", meaning="requests without their answer")
ADMITTED: Final = Measure(
    name="faxhook_admitted_bytes", kind="gauge", meaning="memory that bodies take now, in bytes", alert="near the limit"
)
ADMITTED_LIMIT: Final = Measure(
    name="faxhook_admitted_bytes_limit", kind="gauge", meaning="`MAX_ADMITTED_BYTES`; past it the answer is 503"
)

MEASURES: Final = (
    CALLBACKS,
    SECONDS,
    BYTES,
    KEPT_SECONDS,
    MEDIA_MISSING,
    UNDER_WAY,
    ADMITTED,
    ADMITTED_LIMIT,
    *SHARED,
)


class Metrics:
    """What the ingress counts."""

    def __init__(self) -> None:
        self.registry = new_registry("ingress")
        self._answers = CALLBACKS.counters(self.registry)
        for provider in CALLBACKS.labels["provider"]:
            for code, status in STATUS_OF.items():
                self._answers[provider, code, str(status)].inc(0)  # from the start: a rate needs a zero first
        self._accepted = {provider: self._answers[provider, ACCEPTED, str(OK)] for provider in Provider}
        seconds = SECONDS.histograms(self.registry)
        self._seconds = {provider: seconds[provider,] for provider in Provider}
        sizes = BYTES.counters(self.registry)
        self._bytes = {provider: sizes[provider,] for provider in Provider}
        kept = KEPT_SECONDS.histograms(self.registry)
        self.event_kept_seconds = kept["broker",]
        self.media_kept_seconds = kept["media",]
        self.media_missing = MEDIA_MISSING.counters(self.registry)[()]
        self._gauges = {
            each.name: each.gauge(self.registry)
            for each in (UNDER_WAY, ADMITTED, ADMITTED_LIMIT, READY, BROKER_CONNECTED, UNCONFIRMED)
        }

    def answered(self, provider: Provider, code: str, seconds: float, size: int = 0) -> None:
        """Count one answered callback; *size* of its body in bytes, if it was kept."""
        if code == ACCEPTED:
            self._accepted[provider].inc()
        else:
            self._answers[provider, code, str(STATUS_OF[code])].inc()
        self._seconds[provider].observe(seconds)
        if size:
            self._bytes[provider].inc(size)

    def unauthenticated(self, provider: Provider) -> int:
        """Return how many callbacks of *provider* were answered 401 since the start."""
        codes = (code for code, status in STATUS_OF.items() if status == UNAUTHENTICATED)
        return int(sum(self._answers[provider, code, str(UNAUTHENTICATED)].value for code in codes))

    def not_found(self) -> None:
        """Count a request to a path that does not exist."""
        self._answers[NO_PROVIDER, "not_found", "404"].inc()

    def malformed(self) -> None:
        """Count a request that is not HTTP."""
        self._answers[NO_PROVIDER, "malformed", "400"].inc()

    def bind_gauges(self, values: dict[str, Callable[[], float]]) -> None:
        """Read these gauges, by name, at each scrape."""
        for name, value in values.items():
            self._gauges[name].set_function(value)

    def render(self) -> bytes:
        """Return the exposition text."""
        return generate_latest(self.registry)
