"""The tables of metrics and log lines are those of the code: run `make docs` when the first of these fails."""

import pytest

from dispatcher.channels.outcome import NotTold, NotTried, Told
from dispatcher.measures import CAUSES, ENDPOINT_ERRORS, OUR_ERRORS
from dispatcher.measures import MEASURES as DISPATCHER_MEASURES
from dispatcher.metrics import Metrics as DispatcherMetrics
from dispatcher.metrics import label_of
from docs.generate.metrics import (
    COMMON_FIELDS,
    LOGS_PAGE,
    METRICS_PAGE,
    log_calls,
    logs_page,
    measures,
    metrics_page,
)
from ingress.metrics import MEASURES as INGRESS_MEASURES
from ingress.metrics import STATUS_OF
from ingress.metrics import Metrics as IngressMetrics
from shared.domain import Provider
from shared.errors import Refused
from shared.log import EVENTS, FIELDS
from shared.metrics import BUILD_INFO, OTHER

CALLS = list(log_calls())


def test_the_page_of_metrics_is_that_of_the_code():
    text = METRICS_PAGE.read_text(encoding="utf-8")
    assert text == metrics_page(text)


def test_the_page_of_log_lines_is_that_of_the_code():
    text = LOGS_PAGE.read_text(encoding="utf-8")
    assert text == logs_page(text)


# ---- log lines -------------------------------------------------------------------------------------------------------


def test_every_line_is_listed_and_logged_somewhere():
    assert {call.event for call in CALLS} == set(EVENTS)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.place)
def test_a_line_names_its_fields_in_the_open_and_each_is_explained(call):
    assert call.is_plain, f"{call.place}: fields of a log line are given one by one, by name"
    assert set(call.fields) <= set(FIELDS)


def test_no_field_is_explained_that_no_line_carries():
    carried = {field for call in CALLS for field in call.fields}
    assert set(FIELDS) - carried == set(COMMON_FIELDS)


def test_what_happens_to_a_callback_an_event_and_a_delivery_can_be_searched_by_its_id():
    for call in CALLS:
        fields = set(call.fields)
        if call.event in {"callback.accepted", "event.accepted", "event.repeated", "attempt.made"}:
            assert {"event_id", "fax_id", "provider", "type"} <= fields
        if call.event in {"callback.accepted", "callback.quarantined", "attempt.made"}:
            assert {"http_status", "seconds"} <= fields
        if call.event.startswith("delivery."):
            assert {"delivery_id", "attempt"} <= fields


# ---- metrics ---------------------------------------------------------------------------------------------------------


def families(metrics):
    return {family.name: family for family in metrics.registry.collect() if not family.name.startswith("process_")}


@pytest.mark.parametrize(
    ("make", "listed"), [(IngressMetrics, INGRESS_MEASURES), (DispatcherMetrics, DISPATCHER_MEASURES)]
)
def test_every_metric_that_a_service_has_is_in_its_table_and_the_other_way_round(make, listed):
    found = families(make())
    assert {measure.name.removesuffix("_total") for measure in listed} == set(found)
    for measure in listed:
        family = found[measure.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (measure.kind, measure.meaning)


@pytest.mark.parametrize("metrics", [IngressMetrics(), DispatcherMetrics()])
def test_no_label_has_a_value_that_its_table_does_not_list(metrics):
    if isinstance(metrics, IngressMetrics):
        for code in STATUS_OF:
            for provider in Provider:
                metrics.answered(provider, code, 0.1, 1)
        metrics.not_found()
        metrics.malformed()
    else:
        for error in (*OUR_ERRORS, *ENDPOINT_ERRORS, "http_418", "http_503", "http_999", "smtp_550", "proxy_502", "x"):
            metrics.count_attempt(NotTold(error=error), 0.1)
            metrics.count_attempt(NotTried(error=error), 0.1)
            metrics.count_dead(error)
        metrics.count_attempt(Told(), 0.1)
    labels = {each.name.removesuffix("_total"): each.labels for found in measures().values() for each in found}
    for name, family in families(metrics).items():
        for sample in family.samples:
            for label, value in sample.labels.items():
                assert name == BUILD_INFO.name or label == "le" or value in labels[name][label], (name, label, value)


def test_every_refusal_is_counted_under_its_own_status():
    def kinds(kind):
        return {kind} | {each for sub in kind.__subclasses__() for each in kinds(sub)}

    for refusal in kinds(Refused) - {Refused}:
        assert STATUS_OF[refusal.code] == refusal.status


def test_the_number_of_series_is_bounded_by_the_tables():
    for found in measures().values():
        for measure in found:
            assert all(len(values) <= 50 for values in measure.labels.values())


def test_an_unknown_error_has_the_label_other():
    assert {
        label_of(error) for error in ("", "http_", "http_4", "http_4a4", "http_4040", "endpoint-7", "http_199")
    } == {OTHER}
    assert all(label_of(cause) == cause for cause in CAUSES)
