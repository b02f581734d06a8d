"""Every file is Python, without a warning, for each newer Python of this machine, and imports nothing that it left out.

The suite itself runs under one Python; CONTRIBUTING says how it runs under another.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
FOLDERS = ("ingress", "dispatcher", "shared", "deploy", "docs")

LOOK = """
import importlib.util, json, sys
wanted = json.load(sys.stdin)
found = [name for name in wanted["modules"] if importlib.util.find_spec(name) is None]
for path in wanted["files"]:
    try:
        with open(path, encoding="utf-8") as file:
            compile(file.read(), path, "exec", dont_inherit=True)
    except (SyntaxError, Warning) as error:
        found.append(f"{path}: {error}")
sys.exit("\\n".join(found) or None)
"""


def source_files() -> list[Path]:
    return [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")]


def modules_of_the_library() -> list[str]:
    """Return what the sources import of the standard library."""
    found: set[str] = set()
    for path in source_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return sorted(name for name in found if name.partition(".")[0] in sys.stdlib_module_names)


NEWER = [f"3.{minor}" for minor in range(sys.version_info.minor + 1, 21)]


def command_of(version: str) -> tuple[str, dict[str, str]] | None:
    """Return the program and the environment that run this Python; None if it is not on this machine."""
    environment = {**os.environ, "PYENV_VERSION": version}  # where programs stand for several, it names the one
    program = shutil.which(f"python{version}")
    if program is None:
        return None
    said = subprocess.run([program, "-V"], env=environment, capture_output=True, check=False)
    return (program, environment) if said.returncode == 0 else None


def test_each_newer_python_reads_every_file_and_has_what_it_imports() -> None:
    commands = [command for version in NEWER if (command := command_of(version)) is not None]
    if not commands:
        pytest.skip("there is no newer Python on this machine")
    wanted = json.dumps({"modules": modules_of_the_library(), "files": [str(path) for path in source_files()]})
    for program, environment in commands:
        look = [program, "-I", "-B", "-W", "error", "-c", LOOK]
        looked = subprocess.run(look, env=environment, input=wanted, capture_output=True, text=True, check=False)
        assert looked.returncode == 0, f"{program}: {looked.stderr}"
