"""The chart opens the ways that the services need, and no other."""

import json

from rendered_chart import ELSEWHERE, every_values, resources


@every_values
def test_the_outside_reaches_the_providers_routes_only(values):
    for row in resources(values):
        if row["kind"] == "Ingress":
            paths = [path for rule in row["spec"]["rules"] for path in rule["http"]["paths"]]
            assert {path["path"] for path in paths} == {
                "/phaxio-callback",
                "/phaxio-inbound",
                "/telnyx-webhook",
                "/sinch-inbound",
            }
            assert all(path["pathType"] == "Exact" for path in paths)
            assert {path["backend"]["service"]["name"] for path in paths} == {"faxhook-ingress"}
        if row["kind"] == "Service":
            assert row["spec"].get("type", "ClusterIP") == "ClusterIP"


def test_only_the_dispatcher_goes_out_and_to_public_addresses():
    going = {}
    for row in resources():
        if row["kind"] == "NetworkPolicy":
            blocks = [to["ipBlock"] for rule in row["spec"].get("egress", []) for to in rule["to"] if "ipBlock" in to]
            going[row["metadata"]["name"]] = blocks
    assert {name for name, blocks in going.items() if blocks} == {"faxhook-dispatcher"}
    everywhere = next(block for block in going["faxhook-dispatcher"] if block["cidr"] == "0.0.0.0/0")
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8"} <= set(
        everywhere["except"]
    )


def test_the_ingress_reaches_the_broker_and_not_the_ledger():
    policies = {
        row["metadata"]["name"]: json.dumps(row["spec"]) for row in resources() if row["kind"] == "NetworkPolicy"
    }
    assert "faxhook-rabbitmq" in policies["faxhook-ingress"]
    assert "cnpg.io/cluster" not in policies["faxhook-ingress"]
    assert '"ingress"' not in policies["faxhook-ledger"].replace('"ingress": [', "")
    assert '"from": []' not in "".join(policies.values())


def test_both_services_and_no_job_reach_the_collector_of_traces():
    values = {"networkPolicy": {"tracingTo": ELSEWHERE}}
    policies = {row["metadata"]["name"]: row["spec"] for row in resources(values) if row["kind"] == "NetworkPolicy"}
    reaching = {name for name, spec in policies.items() if {"to": ELSEWHERE} in spec.get("egress", [])}
    assert reaching == {"faxhook-ingress", "faxhook-dispatcher"}


def test_what_has_no_rule_to_be_reached_from_is_reached_from_nowhere():
    values = {"networkPolicy": {"proxyFrom": [], "monitoringFrom": []}}
    policies = {row["metadata"]["name"]: row["spec"] for row in resources(values) if row["kind"] == "NetworkPolicy"}
    assert policies["faxhook-ingress"]["ingress"] == []
    assert policies["faxhook-dispatcher"]["ingress"] == []
