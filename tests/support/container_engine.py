"""A Docker engine of our own, and a base image by debootstrap: what the images are built and run with, without a registry."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PACKAGES = ("docker.io", "debootstrap")
PROGRAMS = ("/usr/sbin/dockerd", "/usr/bin/docker", "/usr/sbin/debootstrap")
"""Debian's own: another client in the PATH may want a builder that is not installed."""

NEW_SECONDS = 60


class Engine:
    """Debian's engine with data, socket and processes of its own; *environment* makes its client talk to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PATH": f"/usr/bin:{os.environ['PATH']}",
            "DOCKER_HOST": f"unix://{folder}/socket",
            "DOCKER_BUILDKIT": "1",
            "DOCKER_CONFIG": str(folder / "config"),
        }

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `docker` with *arguments*."""
        done = subprocess.run(
            ["docker", *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
        return done

    def docker(self, *arguments: str) -> str:
        """Run `docker` with *arguments*; return what it printed."""
        return self.run(*arguments).stdout.strip()


def require_engine() -> None:
    """Skip where no engine can be had, and fail in CI: a green run there must mean that the images were built."""
    missing = [program for program in PROGRAMS if not Path(program).exists()]
    reason = f"needs root and Debian's {' and '.join(PACKAGES)}; missing: {', '.join(missing) or 'root'}"
    if missing or os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@contextmanager
def private_engine() -> Iterator[Engine]:
    """Run `dockerd` until the body ends. It has no networks: containers share the host's or have none."""
    require_engine()
    _remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix="faxhook-engine-"))  # short: a socket's path has 107 bytes at most
    # In memory: unpacking Debian's packages waits for the disk after each file otherwise.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6g,mode=700", "faxhook-engine", folder], check=True)
    places = ("--data-root", "data", "--exec-root", "exec", "--pidfile", "pid")
    own = [str(folder / word) if not word.startswith("--") else word for word in places]
    no_network = ("--bridge=none", "--iptables=false", "--ip6tables=false")
    dockerd = ["/usr/sbin/dockerd", *own, *no_network, "--host", f"unix://{folder}/socket"]
    with (folder / "log").open("wb") as log:
        # By setpriv it ends even if the tests are killed.
        daemon = subprocess.Popen(["setpriv", "--pdeathsig=TERM", *dockerd], stdout=log, stderr=log)
    engine = Engine(folder)
    try:
        _wait_until_up(engine, daemon)
        yield engine
        for container in engine.docker("ps", "--quiet").split():
            engine.docker("rm", "--force", container)
    finally:
        daemon.terminate()
        daemon.wait(60)
        # Recursive: the network of the host stays mounted in it, once a container has used that.
        subprocess.run(["umount", "--recursive", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers() -> None:
    """Free the memory that a run of the tests held when it was killed."""
    for folder in Path(tempfile.gettempdir()).glob("faxhook-engine-*"):
        is_new = time.time() - folder.stat().st_mtime < NEW_SECONDS  # it may be starting
        pid = folder / "pid"
        if not is_new and not (pid.exists() and Path("/proc", pid.read_text().strip()).exists()):
            subprocess.run(["umount", "--recursive", folder], check=False, capture_output=True)
            shutil.rmtree(folder, ignore_errors=True)


def _wait_until_up(engine: Engine, daemon: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while engine.run("info", check=False).returncode != 0:
        log = (engine.folder / "log").read_text()[-2000:]
        assert daemon.poll() is None, f"dockerd ended: {log}"
        assert time.monotonic() < deadline, f"dockerd did not come up: {log}"
        time.sleep(0.1)  # the poll itself


def import_base(engine: Engine, name: str, packages: Sequence[str] = ("python3", "ca-certificates")) -> None:
    """Make a minimal Debian with *packages*, and import it into *engine* as the image *name*."""
    folder = engine.folder / "base"
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    target = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Suite: {codename}"]
    mirrors = subprocess.run(target, capture_output=True, text=True, check=True).stdout.split()
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", codename, str(folder), *mirrors[:1]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    for kept in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(folder / kept)
    with subprocess.Popen(["tar", "-C", str(folder), "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(
            ["docker", "import", "-", name], env=engine.environment, stdin=tar.stdout, capture_output=True, check=True
        )
    shutil.rmtree(folder)


def build_images(engine: Engine, repository: Path) -> None:
    """Build both images as `make images WHEELS=1` does."""
    done = subprocess.run(
        [sys.executable, str(repository / "deploy/images.py"), "--wheels"],
        env=engine.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
