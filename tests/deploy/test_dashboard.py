"""The Grafana dashboard asks for metrics and labels that there are, shows each metric, and no panel lies on another."""

import itertools
import json
import re
from pathlib import Path

import pytest
import yaml
from promql import MEASURES, check_query, family, promtool

DASHBOARD = json.loads((Path(__file__).parents[2] / "deploy/grafana/faxhook.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
NOT_SHOWN = {"faxhook_callback_bytes_total", "faxhook_media_missing_total", "faxhook_requests_under_way"}
"""No panel of their own; `faxhook_sweeps_total` has its alert."""


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_names_metrics_labels_and_values_that_there_are(query):
    check_query(query)
    assert re.search(r"faxhook_|rabbitmq_detailed_queue_", query)


def test_prometheus_can_parse_every_query(tmp_path):
    rules = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(QUERIES)
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(QUERIES)} rules found" in promtool("check", "rules", "rules.yml", folder=tmp_path)


def test_every_metric_is_shown_or_left_out_on_purpose():
    shown = {family(name) for query in QUERIES for name in re.findall(r"faxhook_\w+", query)}
    assert set(MEASURES) - shown == NOT_SHOWN | {"faxhook_sweeps_total"}


def test_a_panel_says_what_it_shows_and_asks_the_chosen_prometheus():
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        sources = {panel["datasource"]["uid"], *(target["datasource"]["uid"] for target in panel["targets"])}
        assert sources == {"${datasource}"}
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_no_panel_lies_on_another():
    for one, other in itertools.combinations([panel["gridPos"] for panel in DASHBOARD["panels"]], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
        assert one["x"] + one["w"] <= 24
