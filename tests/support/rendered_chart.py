"""The chart, rendered for several sets of values, and its resources by kind and name."""

import json
from functools import cache

import pytest

from deploy.kubernetes.render import rendered

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
def _rendered_as_json(values):
    return json.dumps([each for some in rendered(json.loads(values)).values() for each in some])


def resources(values=None):
    return json.loads(_rendered_as_json(json.dumps(values or {})))


def one(kind, name, values=None):
    (found,) = [each for each in resources(values) if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pod(service, values=None):
    return one("Deployment", f"faxhook-{service}", values)["spec"]["template"]["spec"]


def is_core(resource):
    return "." not in resource["apiVersion"].partition("/")[0] or ".k8s.io/" in resource["apiVersion"]
