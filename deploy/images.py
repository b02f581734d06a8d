"""Build the images `faxhook-ingress` and `faxhook-dispatcher`; `make images` calls it.

    python deploy/images.py [--base IMAGE] [--tag TAG] [--extra otel] [--wheels]

`--wheels` first downloads the pinned libraries into deploy/docker/wheels with this machine's pip and its settings, and
the build uses those and has no network: no index address or password gets near an image. This machine must have the
base image's system and processor: Linux with glibc.

Exit codes: 0 done · 69 no engine answers, or the base image or a wheel is not to be had · 70 the build failed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script

from deploy.services.container import docker, has_engine
from deploy.services.processes import LocalError, StartFailed, Unavailable
from shared.runtime.output import drop_what_cannot_be_written

REPOSITORY: Final = Path(__file__).resolve().parent.parent
DOCKERFILE: Final = REPOSITORY / "deploy/docker/Dockerfile"
WHEELS: Final = REPOSITORY / "deploy/docker/wheels"
LOCKS: Final = ("requirements-image.lock", "requirements-ingress.lock", "requirements-dispatcher.lock")
SERVICES: Final = ("ingress", "dispatcher")
EXTRAS: Final = ("otel",)
PULL_SECONDS: Final = 600.0

PYTHON_VERSION: Final = "3.11"
"""Of the base image; the Python that runs this may be newer."""


def default_base() -> str:
    """Return the base image that the Dockerfile names."""
    found = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, "the Dockerfile names its base by ARG BASE=…"
    return found[1]


def build(base: str, tag: str, extra: str = "", *, has_network: bool = True) -> None:
    """Build both images on *base*, named `faxhook-<service>:<tag>`; without a network all wheels must be there.

    *extra*, if not empty, is one of `EXTRAS`: its libraries are in both images, too.

    Raises:
        Unavailable: No engine answers, or *base* is neither there nor can it be pulled.
        StartFailed: A build failed; its output was shown.
    """
    if not has_engine():
        raise Unavailable("No Docker engine answers: start one, or set DOCKER_HOST to one.")
    has_base = docker("image", "inspect", base) is not None or docker("pull", "--quiet", base, seconds=PULL_SECONDS)
    if not has_base:
        raise Unavailable(
            f"The base image {base} is not here and cannot be pulled: `docker pull {base}` says why. Name another with "
            "`make images BASE=…`, or import one under that name (`docker import`)."
        )
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    arguments = {"BASE": base, "VERSION": project["version"], "REVISION": _revision(), "EXTRA": extra}
    for service in SERVICES:
        options = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        image = f"faxhook-{service}:{tag}"
        options += [] if has_network else ["--network", "none"]
        command = ["docker", "build", "--file", str(DOCKERFILE), "--target", service, "--tag", image, *options]
        if subprocess.run([*command, str(REPOSITORY)], check=False).returncode != 0:
            raise StartFailed(f"The image {image} was not built; the build says why above.")
        print(f"{image} is built, {_megabytes(image):.0f} MB")


def fetch_wheels(extra: str = "") -> None:
    """Download what the lock files, that of *extra* too, pin into deploy/docker/wheels; nothing else stays there.

    Raises:
        Unavailable: pip failed; its output was shown.
    """
    shutil.rmtree(WHEELS, ignore_errors=True)
    for lock in (*LOCKS, *([f"requirements-{extra}.lock"] if extra else [])):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
        wanted = ["--only-binary", ":all:", "--python-version", PYTHON_VERSION, "--requirement", str(REPOSITORY / lock)]
        command = [*pip, *wanted, "--dest", str(WHEELS)]
        if subprocess.run(command, check=False).returncode != 0:
            shutil.rmtree(WHEELS, ignore_errors=True)  # a half-filled folder would fail every later build
            raise Unavailable(f"pip could not download what {lock} pins; it says why above.")


def _revision() -> str:
    """Return the commit that is built; `unknown` outside a clone."""
    git = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    try:
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _megabytes(image: str) -> float:
    """Return the size of *image* with all of its layers."""
    return int(docker("image", "inspect", "--format", "{{.Size}}", image) or 0) / 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="images.py", description="Build the images of faxhook.")
    parser.add_argument("--base", default=default_base(), help="with Python 3.11; default: %(default)s")
    parser.add_argument("--tag", default="latest", help="default: %(default)s")
    parser.add_argument("--extra", choices=EXTRAS, default="", help="libraries that are in the images beside: traces")
    parser.add_argument("--wheels", action="store_true", help="download the libraries outside of the build")
    options = parser.parse_args(arguments)
    drop_what_cannot_be_written()
    try:
        if options.wheels:
            fetch_wheels(options.extra)
        build(options.base, options.tag, options.extra, has_network=not options.wheels)
    except LocalError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
