"""The trees that are measured: this one, and the one of an earlier revision with the libraries that it was locked to."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LOCKS = ("requirements-ingress.lock", "requirements-dispatcher.lock")
"""What the services of a tree run with."""


@dataclass(frozen=True)
class Tree:
    """A folder with the services' code, and how Python is started in it.

    Attributes:
        name: The column of the table.
        launch: Before the name of the module: Python, and what it is to do.
    """

    name: str
    folder: Path
    launch: tuple[str, ...]

    def command(self, module: str) -> tuple[str, ...]:
        """Return what starts a service of the tree."""
        return (*self.launch, module)

    def program(self, *arguments: str) -> tuple[str, ...]:
        """Return what runs its command line, `faxhook`."""
        return (self.launch[0], "-c", "from shared.programs import faxhook; faxhook()", *arguments)


NOW = Tree("now", REPOSITORY, (sys.executable, "-m"))


@contextmanager
def tree_before(revision: str | None) -> Iterator[list[Tree]]:
    """Check out *revision* into a temporary folder, with an environment of its own unless the locks are equal.

    Yields:
        The tree, or nothing if *revision* is None.

    Raises:
        SystemExit: There is no such revision, or its libraries cannot be installed.
    """
    if revision is None:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="faxhook-before-") as name:
        folder = Path(name) / "tree"
        _run("git", "-C", str(REPOSITORY), "worktree", "add", "--quiet", "--detach", str(folder), revision)
        try:
            python = sys.executable if _has_our_locks(folder) else _environment_of(folder, Path(name) / "venv")
            yield [Tree("before", folder, (python, "-m"))]
        finally:
            _run("git", "-C", str(REPOSITORY), "worktree", "remove", "--force", str(folder))


def _has_our_locks(folder: Path) -> bool:
    return all((folder / lock).read_bytes() == (REPOSITORY / lock).read_bytes() for lock in LOCKS)


def _environment_of(folder: Path, environment: Path) -> str:
    """Make *environment* with what the locks of *folder* pin; return its Python."""
    make_environment(environment, *(argument for lock in LOCKS for argument in ("-r", str(folder / lock))))
    return str(environment / "bin/python")


def make_environment(environment: Path, *requirements: str) -> None:
    """Make a virtual environment that holds *requirements*, which are arguments of `uv pip install`."""
    uv = str(Path(sys.executable).with_name("uv"))
    _run(uv, "venv", "--quiet", "--python", sys.executable, str(environment))
    _run(uv, "pip", "install", "--quiet", "--python", str(environment / "bin/python"), *requirements)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command[:4])} … failed: {done.stderr.strip()[-2000:]}")
