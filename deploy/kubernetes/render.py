"""Write the plain manifests of the chart, for users of Kustomize; `make manifests` calls it.

    python -m deploy.kubernetes.render

They are what `helm template faxhook deploy/kubernetes/chart --namespace faxhook` gives for the default values.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml

CHART: Final = Path(__file__).parent / "chart"
MANIFESTS: Final = Path(__file__).parent / "manifests"
NAME: Final = "faxhook"
HEADER: Final = (
    "# Written by `make manifests` from deploy/kubernetes/chart; patch it with Kustomize instead of editing it.\n"
)


def rendered(values: Mapping[str, Any] | None = None, namespace: str = NAME) -> dict[str, list[dict[str, Any]]]:
    """Return the resources of the chart by the file of their template, e.g. `ingress.yaml`.

    Raises:
        helm_python.HelmError: A value is missing or wrong; the message names it.
    """
    with helm_python.Chart.load(str(CHART)) as chart:
        texts = chart.render(dict(values or {}), name=NAME, namespace=namespace)
    found = {Path(name).name: list(filter(None, yaml.safe_load_all(text))) for name, text in texts.items()}
    return {name: resources for name, resources in sorted(found.items()) if resources and name.endswith(".yaml")}


def files() -> dict[str, str]:
    """Return the text of each file of the manifests by its name."""
    texts = {name: HEADER + _text(resources) for name, resources in rendered().items()}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAME,
        "resources": sorted(texts),
    }
    return texts | {"kustomization.yaml": HEADER + _text([kustomization])}


def _text(resources: list[dict[str, Any]]) -> str:
    return str(yaml.safe_dump_all(resources, sort_keys=False, width=120, allow_unicode=True))


def main() -> int:
    """Run the command line."""
    MANIFESTS.mkdir(exist_ok=True)
    wanted = files()
    for old in MANIFESTS.glob("*.yaml"):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (MANIFESTS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
