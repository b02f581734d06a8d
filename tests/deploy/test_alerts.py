"""The example alerts name metrics and labels that there are."""

import re
from pathlib import Path

import pytest
import yaml

from docs.generate.metrics import measures

REPOSITORY = Path(__file__).parent.parent.parent
ALERTS = REPOSITORY / "deploy" / "prometheus" / "alerts.yml"
MEASURES = {each.name: each for found in measures().values() for each in found}
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
NAMES = {rule["alert"] for rule in RULES}
METRIC = re.compile(r"\b(faxhook_\w+)(?:\{([^}]*)\})?")


def family(name):
    return name if name in MEASURES else re.sub(r"_(bucket|sum|count)$", "", name)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_names_metrics_labels_and_values_that_there_are_and_says_what_to_do(rule):
    used = METRIC.findall(rule["expr"])
    assert used
    for name, selector in used:
        measure = MEASURES[family(name)]
        assert (measure.kind == "histogram") == (family(name) != name)
        for label, value in re.findall(r'(\w+)!?="([^"]*)"', selector):
            assert value in measure.labels[label], (name, label)
    for label in re.findall(r"by \((\w+)\)", rule["expr"]):
        assert label == "le" or all(label in MEASURES[family(name)].labels for name, _ in used)
    assert rule["expr"].count("(") == rule["expr"].count(")")
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert {"summary", "description"} <= set(rule["annotations"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_the_metrics_that_an_alert_s_words_name_are_there_too(rule):
    words = " ".join(rule["annotations"].values())
    assert all(name in MEASURES for name in re.findall(r"faxhook_\w+", words))


def test_a_counter_is_only_asked_for_its_rate():
    for rule in RULES:
        for name, _ in METRIC.findall(rule["expr"]):
            if MEASURES[family(name)].kind != "gauge":
                assert re.search(rf"(rate|increase)\({name}", rule["expr"]), rule["alert"]


def test_the_alerts_have_names_of_their_own():
    assert len(NAMES) == len(RULES)
