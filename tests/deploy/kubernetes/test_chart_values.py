"""A wrong value is a sentence that names it; every value is documented and in the schema."""

import json

import helm_python
import pytest
import yaml

from deploy.kubernetes.render import CHART, rendered
from shared.backoff import parse_backoff

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
