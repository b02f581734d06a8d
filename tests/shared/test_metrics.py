"""Our metrics render as the Prometheus library's own do."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from shared.metrics import SHORT_SECONDS, Measure

LABELS = {"who": ("a", "b")}
SECONDS = Measure(name="x_seconds", kind="histogram", meaning="how long", labels=LABELS, buckets=SHORT_SECONDS)
COUNT = Measure(name="x_total", kind="counter", meaning="how many", labels=LABELS)
VALUES = st.floats(0, 20) | st.sampled_from(SHORT_SECONDS)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), VALUES)))
def test_counters_and_histograms_are_told_as_the_library_tells_its_own(observed):
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    seconds, counts = SECONDS.histograms(ours), COUNT.counters(ours)
    their_seconds = Histogram("x_seconds", "how long", ["who"], buckets=SHORT_SECONDS, registry=theirs)
    their_counts = Counter("x_total", "how many", ["who"], registry=theirs)
    for who, value in observed:
        seconds[who,].observe(value)
        counts[who,].inc(value)
        their_seconds.labels(who).observe(value)
        their_counts.labels(who).inc(value)
    lines = [line for line in generate_latest(theirs).decode().splitlines() if "_created" not in line]
    assert generate_latest(ours).decode().splitlines() == lines


def test_a_metric_without_labels_is_there_from_the_start():
    registry = CollectorRegistry()
    Measure(name="y_total", kind="counter", meaning="").counters(registry)
    assert b"\ny_total 0.0\n" in generate_latest(registry)
