"""The chart's broker and jobs: a quorum with TLS, and for each job the rights on the store that it works on."""

import pytest
from rendered_chart import ELSEWHERE, one, resources


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
