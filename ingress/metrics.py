"""The ingress's metrics. One registry for each process, made at start, so that importing opens nothing."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics import Gauge

from shared.domain import Provider

ACCEPTED = "accepted"
QUARANTINED = "quarantined"


class Metrics:
    """What the ingress counts. `code` is `accepted`, `quarantined` or the code of a refusal."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._callbacks = Counter(
            "faxhook_callbacks_total", "Callbacks by provider and answer", ["provider", "code"], registry=self.registry
        )
        seconds = Histogram(
            "faxhook_callback_seconds",
            "From the request's headers to its answer",
            ["provider"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10),
            registry=self.registry,
        )
        self._accepted = {provider: self._callbacks.labels(provider, ACCEPTED) for provider in Provider}
        self._seconds = {provider: seconds.labels(provider) for provider in Provider}
        self.media_missing = Counter(
            "faxhook_media_missing_total", "Events that went out without their document", registry=self.registry
        )
        self.admitted_bytes = Gauge("faxhook_admitted_bytes", "Body bytes held at this moment", registry=self.registry)
        self.unconfirmed = Gauge(
            "faxhook_unconfirmed_messages", "Published messages without the broker's confirm", registry=self.registry
        )

    def answered(self, provider: Provider, code: str, seconds: float) -> None:
        """Count one answered callback."""
        if code == ACCEPTED:
            self._accepted[provider].inc()
        else:
            self._callbacks.labels(provider, code).inc()
        self._seconds[provider].observe(seconds)

    def render(self) -> bytes:
        """Return the exposition text."""
        return generate_latest(self.registry)
