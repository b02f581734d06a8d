"""Fill the build stages of the images: called by the Dockerfile, inside a stage, by the base image's own Python.

    tools                what the build needs, into /tools
    libraries SERVICE    what the lock files of the service and of the extra $EXTRA pin, into /app
    service SERVICE      the service itself and its list of components into /app, the root file system into /image

Uses the wheels of deploy/docker/wheels and no index if that folder is there: `images.py build --wheels` fills it.
Standard library only: in the first stage nothing else is installed.
"""

import os
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NoReturn

from deploy.docker.image_root import MissingInBase, make_root

SOURCE: Final = Path("/src")
WHEELS: Final = SOURCE / "deploy/docker/wheels"
TOOLS: Final = Path("/tools")
APP: Final = Path("/app")
BUILT: Final = Path("/built")
IMAGE: Final = Path("/image")
DATA: Final = Path("/home/faxhook")
"""An empty folder: the Dockerfile gives it to the image's user."""

UNUSED: Final = {"ingress": ["shared/sql"], "dispatcher": []}
"""Of `shared`: the ledger's schema is the dispatcher's."""

PROGRAMS: Final = {"ingress": {"faxhook-ingress"}, "dispatcher": {"faxhook-dispatcher", "faxhook"}}


def install_tools() -> None:
    """Make /tools: pip, hatchling and cyclonedx-bom."""
    venv.create(TOOLS, symlinks=True)
    _pip(_own_pip(), TOOLS, "install", "--require-hashes", "-r", str(SOURCE / "requirements-image.lock"))


def install_libraries(service: str, extra: str = "") -> None:
    """Make /app, which holds what the lock files of *service* and of *extra* pin, and no pip."""
    venv.create(APP, symlinks=True)
    locks = [f"requirements-{each}.lock" for each in (service, extra) if each]
    options = [word for lock in locks for word in ("-r", str(SOURCE / lock))]
    _pip([str(TOOLS / "bin/python"), "-m", "pip"], APP, "install", "--require-hashes", *options)


def install_service(service: str) -> None:
    """Install *service* and `shared` into /app, write their list of components, and make /image."""
    for unused in UNUSED[service]:
        subprocess.run(["rm", "-r", str(SOURCE / unused)], check=True)
    pip = [str(TOOLS / "bin/python"), "-m", "pip"]
    _pip(pip, TOOLS, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(BUILT), str(SOURCE))
    _pip(pip, APP, "install", "--no-deps", *map(str, BUILT.iterdir()))
    for script in (APP / "bin").iterdir():
        if not script.name.startswith("python") and script.name not in PROGRAMS[service]:
            script.unlink()
    components = ["environment", "--output-reproducible", "--output-file", str(APP / "sbom.cdx.json")]
    subprocess.run([str(TOOLS / "bin/cyclonedx-py"), *components, str(APP / "bin/python")], check=True)
    make_root(IMAGE, APP)
    DATA.mkdir()


def _own_pip() -> list[str]:
    """Return the command of the base image's pip, else of the one among the wheels."""
    if find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    wheel = next(WHEELS.glob("pip-*.whl"), None)
    if wheel is None:
        _fail(
            "the base image has no pip, and there are no wheels in deploy/docker/wheels: "
            "`make images WHEELS=1` fetches them"
        )
    return [sys.executable, f"{wheel}/pip"]


def _pip(pip: list[str], target: Path, *arguments: str) -> None:
    """Run *pip* on the environment *target*."""
    given = ["--no-index", "--find-links", str(WHEELS)] if WHEELS.is_dir() else []
    options = ["--no-cache-dir", "--only-binary", ":all:", *given]
    environment = dict(os.environ) | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    command = [*pip, "--quiet", "--python", str(target / "bin/python"), *arguments[:1], *options, *arguments[1:]]
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        _fail(
            f"pip could not install {arguments[-1]}, see above. Where the package index cannot be reached from a "
            "build, `make images WHEELS=1` fetches the wheels outside"
        )


def _fail(sentence: str) -> NoReturn:
    sys.exit(f"install.py: {sentence}.")


def main(arguments: list[str]) -> None:
    """Run the command line."""
    match arguments:
        case ["tools"]:
            install_tools()
        case ["libraries", service] if service in PROGRAMS:
            install_libraries(service, os.environ.get("EXTRA", ""))
        case ["service", service] if service in PROGRAMS:
            try:
                install_service(service)
            except MissingInBase as error:
                _fail(str(error))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
