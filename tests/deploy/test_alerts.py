"""The alerts name metrics and labels that there are, fire when they should and only then, and each has its runbook line."""

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest
from promql import MEASURES, METRIC, check_query, promtool

from dispatcher.metrics import Metrics as DispatcherMetrics
from ingress.metrics import Metrics as IngressMetrics

REPOSITORY = Path(__file__).parents[2]
ALERTS = REPOSITORY / "deploy/prometheus/alerts.yml"
CASES = yaml.safe_load(ALERTS.with_name("alerts_test.yml").read_text())["tests"]
RULES = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
NAMES = {rule["alert"] for rule in RULES}
RUNBOOK = (REPOSITORY / "docs/operating.md").read_text().partition("## Alerts")[2].partition("\n## ")[0]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_names_metrics_labels_and_values_that_there_are_and_says_what_to_do(rule):
    assert METRIC.findall(rule["expr"])
    check_query(rule["expr"])
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert {"summary", "description"} <= set(rule["annotations"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_the_metrics_that_an_alert_s_words_name_are_there_too(rule):
    words = " ".join(rule["annotations"].values())
    assert all(name in MEASURES for name in re.findall(r"faxhook_\w+", words))


def test_the_alerts_have_names_of_their_own():
    assert len(NAMES) == len(RULES)


def test_the_rules_and_their_unit_tests_pass_promtool():
    assert f"{len(RULES)} rules found" in promtool("check", "rules", ALERTS.name, folder=ALERTS.parent)
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml", folder=ALERTS.parent)


def test_a_wrong_expectation_fails_promtool(tmp_path):
    """Without this the unit tests could be ones that cannot fail."""
    (tmp_path / ALERTS.name).write_text(ALERTS.read_text().replace("> 300", "> 3000000"))
    (tmp_path / "alerts_test.yml").write_text(ALERTS.with_name("alerts_test.yml").read_text())
    with pytest.raises(AssertionError, match="FaxhookOverdue"):
        promtool("test", "rules", "alerts_test.yml", folder=tmp_path)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_alert_has_a_unit_test_in_which_it_fires_and_one_in_which_it_does_not(name):
    fires = [case for case in CASES if case["name"].startswith(f"{name} fires")]
    quiet = [case for case in CASES if case["name"].startswith(f"{name} is quiet")]
    assert fires
    assert quiet
    for case in fires:
        (query,) = case["promql_expr_test"]
        assert [sample["labels"] for sample in query["exp_samples"]] == [f'{{alertname="{name}"}}']
    assert not any(query["exp_samples"] for case in quiet for query in case["promql_expr_test"])


@pytest.mark.parametrize(
    "rule",
    [rule for rule in RULES if "increase(" in rule["expr"] or "== 0" in rule["expr"]],
    ids=lambda rule: rule["alert"],
)
def test_what_an_alert_compares_with_zero_or_counts_from_the_first_is_there_from_the_start(rule):
    """Prometheus sees no increase in a series that begins at 1, and nothing equals 0 that is not there."""
    shown = (generate_latest(IngressMetrics().registry) + generate_latest(DispatcherMetrics().registry)).decode()
    for name, selector in re.findall(r"(?:rate|increase)\((faxhook_\w+_total)(?:\{([^}]*)\})?", rule["expr"]):
        wanted = [text for text in selector.split(",") if text and "!=" not in text]
        lines = [line for line in shown.splitlines() if line.startswith(name) and line.endswith(" 0.0")]
        assert any(all(text in line for text in wanted) for line in lines), (name, selector)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_alert_has_its_line_in_the_runbook(rule):
    (line,) = [line for line in RUNBOOK.splitlines() if line.startswith(f"| `{rule['alert']}` |")]
    severity, meaning, steps = [cell.strip() for cell in line.strip("|").split(" | ")[1:]]
    assert severity == rule["labels"]["severity"]
    assert meaning
    assert steps


def test_the_runbook_has_no_line_for_an_alert_that_there_is_not():
    assert set(re.findall(r"^\| `(Faxhook\w+)` \|", RUNBOOK, re.MULTILINE)) == NAMES
