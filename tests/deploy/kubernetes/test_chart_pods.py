"""The chart's containers are locked down, have time to drain, and scale by the work that waits."""

import pytest
from rendered_chart import every_values, one, pod, resources

from dispatcher.settings import DispatcherSettings
from docs.generate.metrics import measures
from ingress.settings import IngressSettings
from shared.broker import WORK_DELIVERIES, WORK_EVENTS
from shared.settings import describe


@every_values
def test_every_container_is_locked_down_and_its_secrets_are_files(values):
    for row in resources(values):
        if row["kind"] in {"Deployment", "Job"}:
            spec = row["spec"]["template"]["spec"]
            assert spec["automountServiceAccountToken"] is False
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert spec["securityContext"]["runAsUser"] == 65532
            (container,) = spec["containers"]
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "envFrom" not in container
            assert all("valueFrom" not in each for each in container["env"])
            files_of = {each["name"] for each in container["env"] if each["name"].endswith("_FILE")}
            (secret,) = [each["secret"] for each in spec["volumes"] if each["name"] == "secrets"]
            assert files_of == {f"{item['key']}_FILE" for item in secret["items"]}
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted == {volume["name"] for volume in spec["volumes"]}


@every_values
@pytest.mark.parametrize(("service", "settings"), [("ingress", IngressSettings), ("dispatcher", DispatcherSettings)])
def test_every_variable_is_a_setting_of_its_service(values, service, settings):
    known = {name for name, _, _ in describe(settings)}
    named = {each["name"].removesuffix("_FILE") for each in pod(service, values)["containers"][0]["env"]}
    assert named <= known
    required = {name for name, default, _ in describe(settings) if default == "required"}
    assert required <= named


@pytest.mark.parametrize(("timeout", "grace"), [(60, 150), (15, 60), (1, 32), (59, 148)])
def test_a_dispatcher_has_twice_the_longest_timeout_to_drain(timeout, grace):
    assert (
        pod("dispatcher", {"dispatcher": {"longestTimeoutSeconds": timeout}})["terminationGracePeriodSeconds"] == grace
    )


def test_an_ingress_waits_for_the_load_balancer_and_drains():
    spec = pod("ingress")
    assert spec["terminationGracePeriodSeconds"] == 30
    assert spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == [
        "python",
        "-c",
        "import time; time.sleep(5)",
    ]


@pytest.mark.parametrize("service", ["ingress", "dispatcher"])
def test_an_upgrade_and_a_drained_node_leave_one_running(service):
    deployment = one("Deployment", f"faxhook-{service}")["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "replicas" not in deployment
    budget = one("PodDisruptionBudget", f"faxhook-{service}")["spec"]
    assert budget["minAvailable"] == 1
    labels = deployment["template"]["metadata"]["labels"]
    spread = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    for selector in (budget["selector"], deployment["selector"], *(each["labelSelector"] for each in spread)):
        assert selector["matchLabels"].items() <= labels.items()


def test_dispatchers_scale_by_work_queues_and_by_what_is_due():
    *queues, due = one("ScaledObject", "faxhook-dispatcher")["spec"]["triggers"]
    assert [each["metadata"]["queueName"] for each in queues] == [WORK_EVENTS, WORK_DELIVERIES]
    for each in queues:
        assert each["metadata"]["protocol"] == "http"
        assert each["metadata"]["excludeUnacknowledged"] == "false"
        assert "useRegex" not in each["metadata"]
    assert due["metadata"]["query"] == 'max(faxhook_due_deliveries{namespace="faxhook"})'
    assert "faxhook_due_deliveries" in {each.name for some in measures().values() for each in some}
    assert one("Deployment", "faxhook-dispatcher", {"keda": {"enabled": False}})["spec"]["replicas"] == 2
