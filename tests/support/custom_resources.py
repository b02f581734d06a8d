"""What the chart may say of a custom resource: models of a package, or a schema of the fields that it uses.

The packages hold models of KEDA and of the Prometheus operator. RabbitmqCluster (rabbitmq.com/v1beta1) and Cluster
(postgresql.cnpg.io/v1) are written down here, after the definitions of those operators; a field that is not here is refused.
"""

from importlib import import_module
from typing import Any

import jsonschema

TEXT = {"type": "string"}
NUMBER = {"type": "integer"}
FREE = {"type": "object"}


def closed(required: str = "", **properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has no other *properties*."""
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": required.split()}


def list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


POD = closed(
    topologySpreadConstraints=list_of(FREE),
    containers=list_of(closed("name", name=TEXT, volumeMounts=list_of(FREE))),
    volumes=list_of(FREE),
)
SPECS = {
    ("rabbitmq.com/v1beta1", "RabbitmqCluster"): closed(
        "replicas",
        image=TEXT,
        replicas=NUMBER,
        terminationGracePeriodSeconds=NUMBER,
        persistence=closed("storage", storageClassName=TEXT, storage=TEXT),
        resources=closed(requests=FREE, limits=FREE),
        tls=closed("secretName", secretName=TEXT, caSecretName=TEXT, disableNonTLSListeners={"type": "boolean"}),
        affinity=closed(podAntiAffinity=FREE),
        rabbitmq=closed(additionalConfig=TEXT, advancedConfig=TEXT, additionalPlugins=list_of(TEXT)),
        override=closed(statefulSet=closed(spec=closed(template=closed(spec=POD)))),
    ),
    ("postgresql.cnpg.io/v1", "Cluster"): closed(
        "instances storage",
        instances=NUMBER,
        imageName=TEXT,
        bootstrap=closed(
            initdb=closed(
                "database owner",
                database=TEXT,
                owner=TEXT,
                secret=closed("name", name=TEXT),
                postInitSQL=list_of(TEXT),
                postInitApplicationSQL=list_of(TEXT),
            )
        ),
        managed=closed(
            roles=list_of(
                closed(
                    "name",
                    name=TEXT,
                    ensure={"enum": ["present", "absent"]},
                    login={"type": "boolean"},
                    passwordSecret=closed("name", name=TEXT),
                )
            )
        ),
        postgresql=closed(
            synchronous=closed(
                "method number",
                method={"enum": ["any", "first"]},
                number={"type": "integer", "minimum": 1},
                dataDurability={"enum": ["required", "preferred"]},
            )
        ),
        storage=closed(storageClass=TEXT, size=TEXT),
        resources=closed(requests=FREE, limits=FREE),
        backup=FREE,
        affinity=closed(enablePodAntiAffinity={"type": "boolean"}, topologyKey=TEXT),
    ),
}
MODELS = {
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
}
"""Modules that are imported when they are needed: each takes seconds, and every worker collects every test."""


def validate(resource: dict[str, Any]) -> None:
    """Raise an error if *resource* is not what its operator takes: a field of another type, or one that it does not know."""
    version, kind = resource["apiVersion"], resource["kind"]
    if version in MODELS:
        read = getattr(import_module(MODELS[version]), kind).model_validate(resource)
        # The models ignore what they do not know: it is missing in what they give back.
        assert read.model_dump(by_alias=True, exclude_unset=True, mode="json") == resource
    else:
        jsonschema.validate(resource["spec"], SPECS[version, kind])
