"""The dispatcher's metrics. One registry for each process, made at start."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from dispatcher.outcome import NotTold, NotTried, Outcome, Told

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """What the dispatcher counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = Counter("faxhook_events_total", "Events by fate", ["fate"], registry=self.registry)
        self.events_accepted = self.events.labels("accepted")
        self.events_repeated = self.events.labels("repeated")
        self.events_dead = self.events.labels("dead")
        self.attempts = Counter("faxhook_attempts_total", "Attempts by outcome", ["outcome"], registry=self.registry)
        self.attempts_told = self.attempts.labels("told")
        self.attempts_not_told = self.attempts.labels("not_told")
        self.attempts_not_tried = self.attempts.labels("not_tried")
        self.attempt_seconds = Histogram(
            "faxhook_attempt_seconds", "One attempt, answer included", buckets=_SECONDS, registry=self.registry
        )
        self.told_seconds = Histogram(
            "faxhook_told_seconds",
            "From a callback's receipt to its webhook's 2xx, first attempts only",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.dead = Counter("faxhook_dead_deliveries_total", "Deliveries given up", ["cause"], registry=self.registry)
        self.swept = Counter("faxhook_swept_deliveries_total", "Put back by the sweeper", registry=self.registry)
        self.leased = Gauge("faxhook_leased_deliveries", "Deliveries this process holds", registry=self.registry)

    def attempted(self, outcome: Outcome, seconds: float) -> None:
        """Count one attempt."""
        self.attempt_seconds.observe(seconds)
        match outcome:
            case Told():
                self.attempts_told.inc()
            case NotTold():
                self.attempts_not_told.inc()
            case NotTried():
                self.attempts_not_tried.inc()

    def render(self) -> bytes:
        """Return the exposition text."""
        return generate_latest(self.registry)
