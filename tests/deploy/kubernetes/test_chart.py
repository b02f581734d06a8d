"""The chart renders what Kubernetes and the operators take, for several sets of values; a wrong value is a sentence."""

import json
from functools import cache
from pathlib import Path

import custom_resources
import helm_python
import kubernetes_validate
import pytest
import yaml

from deploy.kubernetes.render import CHART, HEADER, MANIFESTS, files, rendered
from dispatcher.settings import DispatcherSettings
from docs.generate.metrics import measures
from ingress.settings import IngressSettings
from shared.backoff import parse_backoff
from shared.broker import WORK_DELIVERIES, WORK_EVENTS
from shared.settings import describe

REPOSITORY = CHART.parents[2]
KUBERNETES = ("1.28", "1.37")
ELSEWHERE = [{"ipBlock": {"cidr": "10.9.8.7/32"}}]
VALUES = {
    "default": {},
    "stores of your own, S3, no operator": {
        "images": {
            "ingress": "registry.example.com:5000/faxhook-ingress@sha256:" + "a" * 64,
            "pullSecrets": [{"name": "pull"}],
        },
        "media": {"url": "s3://faxes/documents"},
        "rabbitmq": {"create": False},
        "postgresql": {"create": False},
        "caSecret": "",
        "keda": {"enabled": False},
        "monitoring": {"podMonitors": False, "rules": False, "dashboard": False},
        "networkPolicy": {"brokerTo": ELSEWHERE, "databaseTo": ELSEWHERE, "mediaTo": ELSEWHERE},
    },
    "every provider, everything narrow": {
        "publicUrl": "https://hooks.example.com",
        "ingress": {
            "secret": {
                "name": "providers",
                "variables": [
                    "AMQP_URL",
                    "PHAXIO_CALLBACK_TOKEN",
                    "TELNYX_PUBLIC_KEY",
                    "SINCH_INBOUND_HMAC_SECRET",
                    "ASTERISK_INBOUND_SECRET",
                ],
            },
            "settings": {"MAX_BODY_BYTES": "1048576", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://10.9.8.7:4318"},
        },
        "dispatcher": {
            "secret": {
                "name": "told",
                "variables": ["AMQP_URL", "OPS_AMQP_URL", "DATABASE_URL", "SECRETS_KEY", "SMTP_URL"],
            },
            "settings": {"MAIL_FROM": "fax@example.com", "EGRESS_ALLOW_NETWORKS": "10.1.0.0/16"},
            "longestTimeoutSeconds": 15,
        },
        "topologySpread": {"whenUnsatisfiable": "DoNotSchedule"},
        "serviceAccountName": "faxhook",
        "rabbitmq": {
            "replicas": 5,
            "storageClassName": "fast",
            "partitionHandling": "",
            "image": "rabbitmq:4.3-management",
        },
        "postgresql": {
            "backup": {"barmanObjectStore": {"destinationPath": "s3://ledger/"}},
            "storageClassName": "fast",
        },
        "media": {"claim": {"existing": "faxes"}},
        "networkPolicy": {"operationsFrom": ELSEWHERE, "asteriskFrom": ELSEWHERE, "dispatcherTo": ELSEWHERE}
        | {"tracingTo": ELSEWHERE},
        "monitoring": {"labels": {"release": "prometheus"}},
        "exposure": {"annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "32m"}},
    },
    "small, one node": {
        "postgresql": {"instances": 1},
        "exposure": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "ingress": {"autoscaling": {"minReplicas": 1, "maxReplicas": 1}},
        "dispatcher": {"minReplicas": 1, "maxReplicas": 1},
    },
}
every_values = pytest.mark.parametrize("values", VALUES.values(), ids=list(VALUES))


@cache
def _rendered(values):
    return json.dumps([each for some in rendered(json.loads(values)).values() for each in some])


def resources(values=None):
    return json.loads(_rendered(json.dumps(values or {})))


def one(kind, name, values=None):
    (found,) = [each for each in resources(values) if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pod(service, values=None):
    return one("Deployment", f"faxhook-{service}", values)["spec"]["template"]["spec"]


def is_core(resource):
    return "." not in resource["apiVersion"].partition("/")[0] or ".k8s.io/" in resource["apiVersion"]


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


def test_the_broker_is_a_quorum_with_tls_and_loads_its_definitions():
    spec = one("RabbitmqCluster", "faxhook-rabbitmq")["spec"]
    assert spec["replicas"] == 3
    assert spec["tls"] == {"secretName": "faxhook-rabbitmq-tls", "disableNonTLSListeners": True}
    assert "load_definitions = /etc/faxhook/definitions.json\n" in spec["rabbitmq"]["additionalConfig"]
    pod_spec = spec["override"]["statefulSet"]["spec"]["template"]["spec"]
    assert pod_spec["volumes"][0]["secret"]["secretName"] == "faxhook-rabbitmq-definitions"


def test_each_job_has_the_owner_s_url_of_the_store_that_it_works_on_and_of_no_other():
    for row in resources():
        if row["kind"] == "Job":
            spec = row["spec"]["template"]["spec"]
            (container,) = spec["containers"]
            (url,) = [each["name"] for each in container["env"] if each["name"].endswith("_URL_FILE")]
            assert url == {"migrate": "DATABASE_URL_FILE", "topology": "AMQP_URL_FILE"}[container["name"]]
            mounted = next(volume for volume in spec["volumes"] if volume["name"] == "secrets")
            assert [item["key"] for item in mounted["secret"]["items"]] == [url.removesuffix("_FILE")]


@pytest.mark.parametrize(
    ("role", "granted"), [({}, "faxhook_app"), ({"applicationRole": {"name": "other"}}, "other"), (None, None)]
)
def test_the_job_migrate_and_it_alone_grants_the_application_role_its_rights(role, granted):
    own = {"create": False, "applicationRole": {"name": ""}} if role is None else role
    values = {"postgresql": own, "networkPolicy": {"databaseTo": ELSEWHERE}}
    pods = {row["metadata"]["name"]: row for row in resources(values) if row["kind"] in {"Job", "Deployment"}}
    found = {}
    for name, row in pods.items():
        (container,) = row["spec"]["template"]["spec"]["containers"]
        for variable in container["env"]:
            if variable["name"] == "DATABASE_APPLICATION_ROLE":
                found[name.rpartition("-")[0]] = variable["value"]
    assert found == ({} if granted is None else {"faxhook-migrate": granted})


def test_each_version_and_each_backoff_has_jobs_of_its_own():
    def jobs(values):
        return {row["metadata"]["name"] for row in resources(values) if row["kind"] == "Job"}

    assert len(jobs({})) == 2
    assert not jobs({}) & jobs({"backoff": "1m,2m"})
    assert not jobs({}) & jobs({"images": {"dispatcher": "faxhook-dispatcher:2"}})
    assert jobs({}) == jobs({"ingress": {"autoscaling": {"maxReplicas": 4}}})


def test_the_rules_and_the_dashboard_are_those_of_the_repository():
    rules = yaml.safe_load((REPOSITORY / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
    assert one("PrometheusRule", "faxhook")["spec"] == rules
    dashboard = one("ConfigMap", "faxhook-dashboard")["data"]["faxhook.json"]
    assert json.loads(dashboard) == json.loads((REPOSITORY / "deploy/grafana/faxhook.json").read_text(encoding="utf-8"))


WRONG = {
    "ingress.secret.variables lacks AMQP_URL": {"ingress": {"secret": {"variables": ["TELNYX_PUBLIC_KEY"]}}},
    "dispatcher.secret.variables lacks SECRETS_KEY": {
        "dispatcher": {"secret": {"variables": ["AMQP_URL", "DATABASE_URL"]}}
    },
    "jobs.secret.name is empty": {"jobs": {"secret": {"name": ""}}},
    "the ingress must not know the ledger": {"ingress": {"secret": {"variables": ["AMQP_URL", "DATABASE_URL"]}}},
    "dispatcher.settings.OPS_TOKEN may hold a secret": {"dispatcher": {"settings": {"OPS_TOKEN": "hunter2"}}},
    "dispatcher.settings.SMTP_URL may hold a secret": {"dispatcher": {"settings": {"SMTP_URL": "smtp://a:b@c:25"}}},
    'media.url is "/srv/faxes"': {"media": {"url": "/srv/faxes"}},
    'media.url is "file:///tmp"': {"media": {"url": "file:///tmp"}},
    "publicUrl is empty: Phaxio signs it": {
        "ingress": {"secret": {"variables": ["AMQP_URL", "PHAXIO_CALLBACK_TOKEN"]}}
    },
    'publicUrl is "hooks.example.com"': {"publicUrl": "hooks.example.com"},
    "exposure.host is empty": {"exposure": {"host": ""}},
    "exposure.tlsSecret is empty": {"exposure": {"tlsSecret": ""}},
    "ingress.autoscaling.minReplicas is greater": {"ingress": {"autoscaling": {"minReplicas": 20}}},
    "dispatcher.minReplicas is greater": {"dispatcher": {"minReplicas": 20}},
    "rabbitmq.replicas is 4: a quorum needs an odd number": {"rabbitmq": {"replicas": 4}},
    "rabbitmq.tlsSecret is empty": {"rabbitmq": {"tlsSecret": ""}},
    "rabbitmq.definitionsSecret is empty": {"rabbitmq": {"definitionsSecret": ""}},
    "networkPolicy.brokerTo is empty": {"rabbitmq": {"create": False}},
    "networkPolicy.databaseTo is empty": {"postgresql": {"create": False}},
    "networkPolicy.mediaTo is empty": {"media": {"url": "s3://faxes"}},
    "postgresql.applicationRole.name is empty": {"postgresql": {"applicationRole": {"name": ""}}},
    "networkPolicy.tracingTo is empty": {
        "dispatcher": {"settings": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}}
    },
    "ingress.settings.OTEL_EXPORTER_OTLP_HEADERS may hold a secret": {
        "ingress": {"settings": {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=a"}}
    },
    "keda.secret is empty": {"keda": {"secret": ""}},
    # These come from values.schema.json.
    "/backoff": {"backoff": "soon"},
    "/dispatcher/longestTimeoutSeconds": {"dispatcher": {"longestTimeoutSeconds": 90}},
    "additional properties 'replicas' not allowed": {"ingress": {"replicas": 3}},
    "/rabbitmq/replicas": {"rabbitmq": {"replicas": "three"}},
    "/ingress/drainSeconds": {"ingress": {"drainSeconds": 5}},
}


@pytest.mark.parametrize(("sentence", "values"), WRONG.items(), ids=list(WRONG))
def test_a_wrong_value_is_a_sentence_that_names_it(sentence, values):
    with pytest.raises(helm_python.HelmError) as raised:
        rendered(values)
    assert sentence in str(raised.value)


def test_every_value_is_documented_and_in_the_schema():
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

    def compare(values, part, path):
        assert set(part["properties"]) - {"global"} == set(values), path
        for name, value in values.items():
            inner = part["properties"][name]
            if isinstance(value, dict) and "properties" in inner:
                compare(value, inner, f"{path}.{name}")

    compare(yaml.safe_load(text), schema, "")
    assert parse_backoff(yaml.safe_load(text)["backoff"])
    assert text.count("#") > 30


def test_the_chart_has_the_version_of_the_project():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert f'version = "{chart["appVersion"]}"' in (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert Path(CHART / "files" / "alerts.yml").is_symlink()
