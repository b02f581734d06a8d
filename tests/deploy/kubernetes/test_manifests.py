"""Kustomize builds the plain manifests, and an overlay that patches them, into resources that Kubernetes takes strictly."""

import os
import subprocess
import sys
from pathlib import Path

import custom_resources
import kubernetes_validate
import pytest
import yaml

from deploy.kubernetes.render import MANIFESTS, rendered

KUBECTL = Path(sys.executable).parent / "kubectl"
DIGEST = "sha256:" + "a" * 64

OVERLAY = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [{base}]
images:
  - {{name: faxhook-ingress, newName: registry.example.com/ingress, digest: {digest}}}
  - {{name: faxhook-dispatcher, newName: registry.example.com/dispatcher, digest: {digest}}}
patches:
  - target: {{kind: Ingress, name: faxhook-ingress}}
    patch: '[{{"op": "replace", "path": "/spec/rules/0/host", "value": "fax.example.org"}}]'
  - patch: |
      apiVersion: autoscaling/v2
      kind: HorizontalPodAutoscaler
      metadata: {{name: faxhook-ingress}}
      spec: {{minReplicas: 5}}
"""


def built(folder: Path) -> list[dict]:
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return list(yaml.safe_load_all(done.stdout))


def names(rows: list[dict]) -> set[tuple[str, str]]:
    return {(row["kind"], row["metadata"]["name"]) for row in rows}


@pytest.fixture(scope="module")
def plain() -> list[dict]:
    return built(MANIFESTS)


def test_the_manifests_are_built_with_all_that_the_chart_renders(plain):
    rendered_rows = [row for rows in rendered().values() for row in rows]
    assert names(plain) == names(rendered_rows)
    assert {row["metadata"]["namespace"] for row in plain} == {"faxhook"}


def test_an_overlay_changes_what_it_names_and_nothing_else(plain, tmp_path):
    base = os.path.relpath(MANIFESTS, tmp_path)
    (tmp_path / "kustomization.yaml").write_text(OVERLAY.format(base=base, digest=DIGEST))
    rows = built(tmp_path)
    before = {(row["kind"], row["metadata"]["name"]): row for row in plain}
    changed = {
        (row["kind"], row["metadata"]["name"]) for row in rows if row != before[row["kind"], row["metadata"]["name"]]
    }
    assert {kind for kind, _ in changed} == {"Deployment", "Job", "Ingress", "HorizontalPodAutoscaler"}
    for row in rows:
        if "." in row["apiVersion"].partition("/")[0] and ".k8s.io/" not in row["apiVersion"]:
            custom_resources.validate(row)
        else:
            kubernetes_validate.validate(row, "1.37", strict=True)
    text = yaml.safe_dump_all(rows)
    assert text.count(f"@{DIGEST}") == 4  # two services, two jobs
    assert "fax.example.org" in text


def test_a_patch_of_what_is_not_there_is_refused_by_its_name(tmp_path):
    base = os.path.relpath(MANIFESTS, tmp_path)
    text = OVERLAY.format(base=base, digest=DIGEST).replace(
        "name: faxhook-ingress}\n      spec", "name: faxhok}\n      spec"
    )
    (tmp_path / "kustomization.yaml").write_text(text)
    done = subprocess.run([KUBECTL, "kustomize", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "faxhok" in done.stderr
