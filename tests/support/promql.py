"""Queries of Prometheus beside the metrics that there are: names, labels, values, and whether a counter is asked for its rate."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from docs.generate.metrics import measures

MEASURES = {each.name: each for found in measures().values() for each in found}
METRIC = re.compile(r"\b(faxhook_\w+)(?:\{([^}]*)\})?")
SCRAPED_LABELS = {"job", "instance", "le"}
"""Prometheus adds the first two, a histogram has the third."""


def family(name: str) -> str:
    return name if name in MEASURES else re.sub(r"_(bucket|sum|count)$", "", name)


def check_query(query: str) -> None:
    """Raise unless *query* names metrics, labels and values that there are, and asks counters for their rate only."""
    used = METRIC.findall(query)
    for name, selector in used:
        measure = MEASURES[family(name)]
        assert (measure.kind == "histogram") == (family(name) != name)
        for label, value in re.findall(r'(\w+)!?="([^"]*)"', selector):
            assert value in measure.labels[label] or not measure.labels[label], (name, label)
        if measure.kind != "gauge":
            assert re.search(rf"(rate|increase)\({name}", query), query
    for labels in re.findall(r"by \(([\w, ]+)\)", query):
        for label in set(labels.replace(",", " ").split()) - SCRAPED_LABELS:
            assert not used or all(label in MEASURES[family(name)].labels for name, _ in used), (query, label)


def promtool(*arguments: str, folder: Path) -> str:
    """Run promtool in *folder*; return its output. Skip where it is not installed, fail in CI."""
    program = shutil.which("promtool")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs promtool: Debian's package prometheus has it")
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
