"""The chart renders what Kubernetes and the operators take, for several sets of values."""

import json
from pathlib import Path

import custom_resources
import helm_python
import kubernetes_validate
import pytest
import yaml
from rendered_chart import every_values, is_core, one, resources

from deploy.kubernetes.render import CHART, HEADER, MANIFESTS, files

REPOSITORY = CHART.parents[2]
KUBERNETES = ("1.28", "1.37")


@every_values
def test_each_resource_is_taken_strictly(values):
    rows = resources(values)
    assert {"Deployment", "Service", "Job", "PodDisruptionBudget"} <= {row["kind"] for row in rows}
    for row in rows:
        if is_core(row):
            for version in KUBERNETES:
                kubernetes_validate.validate(row, version, strict=True)
        else:
            custom_resources.validate(row)
    names = [(row["kind"], row["metadata"]["name"]) for row in rows]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("kind", "name", "path"),
    [
        ("ScaledObject", "faxhook-dispatcher", ("spec", "minReplicaCnt")),
        ("PodMonitor", "faxhook-ingress", ("spec", "selectr")),
        ("RabbitmqCluster", "faxhook-rabbitmq", ("spec", "tls", "secret")),
        ("Cluster", "faxhook-ledger", ("spec", "storage", "storageClassName")),
        ("Deployment", "faxhook-ingress", ("spec", "template", "spec", "securityContxt")),
    ],
)
def test_a_field_that_an_operator_does_not_know_is_noticed(kind, name, path):
    row = one(kind, name)
    inner = row
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = 1
    with pytest.raises(Exception):  # noqa: B017, PT011 - each validator has its own
        kubernetes_validate.validate(row, KUBERNETES[-1], strict=True) if is_core(row) else custom_resources.validate(
            row
        )


def test_the_chart_lints():
    found = helm_python.lint(str(CHART))
    assert found["errors"] == []
    assert [each for each in found["messages"] if each["severity"] > 1] == []


def test_the_plain_manifests_are_current():
    wanted = files()
    assert {path.name: path.read_text(encoding="utf-8") for path in MANIFESTS.iterdir()} == wanted, (
        "run `make manifests`"
    )
    assert all(text.startswith(HEADER) for text in wanted.values())


def test_the_rules_and_the_dashboard_are_those_of_the_repository():
    rules = yaml.safe_load((REPOSITORY / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
    assert one("PrometheusRule", "faxhook")["spec"] == rules
    dashboard = one("ConfigMap", "faxhook-dashboard")["data"]["faxhook.json"]
    assert json.loads(dashboard) == json.loads((REPOSITORY / "deploy/grafana/faxhook.json").read_text(encoding="utf-8"))


def test_the_chart_has_the_version_of_the_project():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert f'version = "{chart["appVersion"]}"' in (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert Path(CHART / "files" / "alerts.yml").is_symlink()
