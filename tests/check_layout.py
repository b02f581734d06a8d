"""No file outside tests over 300 lines, no package of the services over ten modules: `make check` runs it."""

import sys
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

MOST_LINES = 300
MOST_MODULES = 10
"""In a package, beside its subpackages and its `__init__`."""

WIDER = {"dispatcher/ops/dead": 12, "dispatcher/ops/console": 12, "shared": 18}
"""`shared` is the list of what both services agree on, a module for each subject."""


def source_files() -> list[Path]:
    """Return the Python files of services, deployment and documents, relative to the repository."""
    folders = ("ingress", "dispatcher", "shared", "deploy", "docs")
    return [path.relative_to(REPOSITORY) for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]


def problems() -> list[str]:
    """Return what is too long or too wide, a sentence each."""
    found = []
    modules: Counter[str] = Counter()
    for path in source_files():
        lines = len((REPOSITORY / path).read_text(encoding="utf-8").splitlines())
        if lines > MOST_LINES:
            found.append(f"{path} has {lines} lines: split it by reasons to change")
        if path.parts[0] in {"ingress", "dispatcher", "shared"} and path.name != "__init__.py":
            modules[path.parent.as_posix()] += 1
    for package, count in modules.items():
        if "migrations" not in package and count > WIDER.get(package, MOST_MODULES):
            found.append(f"{package} has {count} modules: give it subpackages")
    return found


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or None)
