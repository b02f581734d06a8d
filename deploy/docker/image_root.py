"""Make the root file system of an image: Python, the C libraries that it and the service load, certificates, no more.

Run in a build stage, as root, by the base image's own Python. Standard library only.
"""

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

USER_ID: Final = 65532

CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")

KEPT: Final = (CERTIFICATES, Path("/etc/ssl/openssl.cnf"), Path("/etc/ld.so.cache"), Path("/etc/debian_version"))
"""Copied where the base has them; the certificates it must have. `ld.so.cache` finds what lies in /usr/local/lib."""

UNUSED_MODULES: Final = (
    *("ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "turtledemo", "site-packages"),
    *("dist-packages", "config-*", "_tkinter*", "_test*", "_ctypes_test*", "*.opt-?.pyc"),
)
"""Of the standard library's folder: what no service imports, bytecode for -O, and the base image's own pip."""

ACCOUNTS: Final = {
    "etc/passwd": f"root:x:0:0:root:/:/sbin/nologin\nfaxhook:x:{USER_ID}:{USER_ID}:faxhook:/app:/sbin/nologin\n",
    "etc/group": f"root:x:0:\nfaxhook:x:{USER_ID}:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


class MissingInBase(Exception):
    """The base image lacks what every image needs."""


def make_root(image: Path, app: Path) -> None:
    """Fill the new folder *image*, and move the environment *app* into it.

    Raises:
        MissingInBase: The base has no certificates, or not a library that is loaded.
    """
    if not CERTIFICATES.exists():
        raise MissingInBase(f"the base image has no {CERTIFICATES}: install its package ca-certificates there")
    image.mkdir()
    for name in ("lib", "lib64", "bin"):  # /lib is usr/lib in Debian since 2019
        if (link := Path("/", name)).is_symlink():
            (image / name).symlink_to(link.readlink())
    for name, text in ACCOUNTS.items():
        _file(image / name).write_text(text)
    (image / "tmp").mkdir(mode=0o1777)
    (image / "tmp").chmod(0o1777)
    programs = [Path(sys.executable), Path(sys.executable).resolve()]
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, _file(image / library.relative_to("/")), ignore=shutil.ignore_patterns(*UNUSED_MODULES))
    modules = (image / library.relative_to("/")).glob("lib-dynload/*.so")
    loaded = {*_loaded_by([programs[-1], *app.rglob("*.so*")]), *_loaded_by(modules, may_miss=True)}
    for path in {*programs, *loaded, *(path for path in KEPT if path.exists())}:
        _copy(path, image)
    _file(image / "var/lib/dpkg/status").write_text(_packages(loaded))
    shutil.move(app, image / app.relative_to("/"))


def _file(path: Path) -> Path:
    """Return *path*; its folder is there then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _copy(path: Path, image: Path) -> None:
    """Copy the file *path*, or what the link *path* leads to, to the same place in *image*."""
    place = path.parent.resolve() / path.name
    shutil.copy2(place, _file(image / place.relative_to("/")))


def _loaded_by(files: Iterable[Path], *, may_miss: bool = False) -> Iterator[Path]:
    """Yield the C libraries that *files* load, directly and by each other, the loader itself included.

    A standard module *may_miss* one: it cannot be imported in the base image either.

    Raises:
        MissingInBase: The base has not a library that is loaded.
    """
    for file in files:
        # ldd exits 1 for what loads nothing.
        listing = subprocess.run(["ldd", str(file)], capture_output=True, text=True, check=False)
        for line in listing.stdout.splitlines():
            # e.g. "libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x…)", "/lib64/ld-linux-x86-64.so.2 (0x…)"
            name, _, place = line.strip().rpartition("=> ")
            if place == "not found" and not may_miss:
                raise MissingInBase(f"{file.name} loads {name.strip()}, which the base image has not")
            path = Path(place.partition(" (")[0])
            if path.is_absolute() and not path.is_relative_to("/app"):
                yield path


def _packages(libraries: Iterable[Path]) -> str:
    """Return the records of the Debian packages that *libraries* come from: scanners read them."""
    owners = set()
    for path in libraries:
        # By name: a package lists /lib/…, the linker found /usr/lib/…, or the other way round.
        found = subprocess.run(["dpkg-query", "-S", f"*/{path.name}"], capture_output=True, text=True, check=False)
        owners |= {line.partition(": ")[0] for line in found.stdout.splitlines()}
    if not owners:
        return ""
    records = subprocess.run(["dpkg-query", "-s", *sorted(owners)], capture_output=True, text=True, check=True)
    return records.stdout
