"""A private RabbitMQ node, run by the programs of an installed rabbitmq-server, without the system's own broker.

It shares nothing with that: own epmd, cookie, user, data, ports, all on loopback. Where there is no rabbitmq-server,
`install` and `container` get one.
"""

import os
import re
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from deploy.services.broker import (
    ERL_SETTINGS,
    START_SECONDS,
    USER,
    VARIABLE,
    VHOST,
    broker_answers,
    broker_urls,
    broker_version,
)
from deploy.services.processes import (
    LOOPBACK,
    Process,
    StartFailed,
    Unavailable,
    end,
    find,
    is_alive,
    start,
    tail,
    wait_until,
)
from deploy.services.state import State, write_private

STOP_SECONDS: Final = 30.0
"""It takes 6 s, 5 of them a timeout: on SIGTERM the management plugin and the node wait for each other (3.10)."""

NODE: Final = "faxhook@localhost"
"""Its data's folder is named by it. Unique enough: each node has an epmd of its own."""

PROGRAM_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/opt/homebrew/sbin", "/usr/local/bin", "/usr/bin", "/bin")
"""Where to look beside the PATH: an ordinary user's has no sbin."""

OWN_FOLDERS: Final = (
    ("/usr/lib/rabbitmq/lib", "rabbitmq_server-*/sbin"),  # Debian, Ubuntu, RPM
    ("/opt/homebrew/opt/rabbitmq", "sbin"),
    ("/usr/local/opt/rabbitmq", "sbin"),
    ("/home/linuxbrew/.linuxbrew/opt/rabbitmq", "sbin"),
)
"""The server's own scripts. Those in the PATH may be wrappers that change user and folder."""


@dataclass(frozen=True)
class Installation:
    """An installed rabbitmq-server.

    Attributes:
        scripts: The folder of its own scripts, not of a distribution's wrappers.
        version: For instance (3, 10, 8).
    """

    scripts: Path
    version: tuple[int, ...]


def find_installation() -> Installation | None:
    """Return the newest rabbitmq-server on this machine, or None. Nothing is run to find out."""
    scripts = [path for root, pattern in OWN_FOLDERS for path in Path(root).glob(pattern)]
    in_path = shutil.which("rabbitmq-server", path=search_path())
    if in_path:
        scripts.append(Path(in_path).resolve().parent)
    found = []
    for folder in scripts:
        versions = [path.name for path in folder.parent.glob("plugins/rabbit-[0-9]*")]
        if versions and (folder / "rabbitmq-server").exists() and (folder / "rabbitmq-env").exists():
            numbers = re.findall(r"\d+", versions[0].removesuffix(".ez"))
            found.append(Installation(folder, tuple(map(int, numbers[:3]))))
    return max(found, key=lambda installation: installation.version, default=None)


def search_path() -> str:
    """Return the PATH and, after it, where servers are installed."""
    return os.pathsep.join([os.environ.get("PATH", ""), *PROGRAM_FOLDERS])


class Node:
    """The RabbitMQ of one data folder, as a process of ours."""

    name = "RabbitMQ"
    variable = VARIABLE
    kind = "node"

    def __init__(self, state: State, installation: Installation | None) -> None:
        self._state = state
        self._installation = installation
        self._epmd_name = f"{state.marker}-epmd"
        self.home = state.data / "rabbitmq"
        self._was_ready = self.home / "was-ready"
        self.log = state.logs / "rabbitmq.log"

    @property
    def port(self) -> int:
        """The port that it listens on; 0 if it never did."""
        return self._state.port("amqp")

    def urls(self) -> dict[str, str]:
        """The lines of the env file."""
        return broker_urls(self._state)

    def find(self) -> Process | None:
        """Return the running node's process."""
        return find(lambda process: process.has_argument(self._state.marker) and process.runs("beam.smp"))

    def pid(self) -> int | None:
        """Return the running node's pid."""
        process = self.find()
        return process.pid if process else None

    def answers(self) -> bool:
        """Does it let us in, over AMQP and HTTP?"""
        is_ready = broker_answers(self._state)
        if is_ready and self.home.exists():
            self._was_ready.touch()  # here, because the `up` that started it may be gone
        return is_ready

    def version(self) -> str:
        """Its version, asked of it."""
        return broker_version(self._state)

    def start(self, stop: Event) -> None:
        """Start it and wait until it answers.

        Raises:
            StartFailed: It did not come up; it does not run then.
            Interrupted: *stop* was set; it does not run then.
        """
        if self._installation is None:
            raise Unavailable("RabbitMQ is not installed any more. Install rabbitmq-server again.")
        home = self._state.make_folder(self.home)
        if not self._was_ready.exists():  # user and vhost are made at the first start only: one cut short has none
            shutil.rmtree(home / "mnesia", ignore_errors=True)
        self._end_epmd()
        self._state.choose_ports("amqp", "api", "distribution", "epmd")
        self._configure()
        environment = self._environment()
        epmd = start(
            [self._epmd_name, "-port", str(self._state.port("epmd")), "-address", LOOPBACK],
            executable=_find_epmd(),
            env=environment,
            log=self._state.logs / "epmd.log",
            cwd=home,
        )
        node: Process | None = None
        try:
            program = str(self._installation.scripts / "rabbitmq-server")
            node = start([program], env=environment, log=self.log, cwd=home)
            self._await_ready(node, stop)
        except BaseException:
            for process in filter(None, (self.find(), node, epmd)):
                end(process, signal.SIGKILL, 5)
            self._remove_plain_path()
            raise

    def _await_ready(self, process: Process, stop: Event) -> None:
        is_settled = wait_until(lambda: self.answers() or not is_alive(process), START_SECONDS, stop)
        if not is_alive(process):
            raise StartFailed(f"RabbitMQ ended while it was starting.{tail(self.log)}")
        if not is_settled:
            raise StartFailed(f"RabbitMQ did not answer within {START_SECONDS:.0f} s.{tail(self.log)}")

    def stop(self) -> bool:
        """End it and its epmd; return whether there was something to end."""
        process = self.find()
        if process is not None:
            end(process, signal.SIGTERM, STOP_SECONDS)
        self._remove_plain_path()
        return self._end_epmd() or process is not None

    def _end_epmd(self) -> bool:
        epmd = find(lambda process: process.has_argument(self._epmd_name))
        if epmd is not None:
            end(epmd, signal.SIGTERM, 5)
        return epmd is not None

    def _configure(self) -> None:
        settings = {
            "default_user": USER,  # instead of guest, which does not exist then
            "default_pass": self._state.password,
            "default_vhost": VHOST,
            "default_user_tags.administrator": "true",
            "loopback_users": "none",
            "management.tcp.ip": LOOPBACK,
            "management.tcp.port": self._state.port("api"),
            "disk_free_limit.absolute": "50MB",
        }
        erl_settings = ", ".join(f"{{{name}, {value}}}" for name, value in ERL_SETTINGS.items())
        for name, text in {
            "rabbitmq.conf": "".join(f"{name} = {value}\n" for name, value in settings.items()),
            "advanced.config": f"[{{rabbit, [{erl_settings}]}}].\n",
            "enabled_plugins": "[rabbitmq_management].\n",
            # Names are looked up in this file only: a laptop without a network must not wait for its DNS.
            "inetrc": '{host, {127,0,0,1}, ["localhost"]}.\n{lookup, [file]}.\n',
        }.items():
            write_private(self.home / name, text)

    @property
    def _plain_path(self) -> Path:
        """A path to our folder without a character that a shell interprets: 3.10 runs df on it unquoted.

        With an apostrophe in it the node would not start; a `$(…)` would be run.
        """
        if re.fullmatch(r"[A-Za-z0-9/._-]+", str(self.home)):
            return self.home
        folder = Path("/var/lib") if os.geteuid() == 0 else Path.home() / ".cache"
        return (folder if folder.is_dir() else Path(tempfile.gettempdir())) / f"{self._state.marker}-node"

    def _make_plain_path(self) -> Path:
        path = self._plain_path
        if path != self.home:
            self._remove_plain_path()
            path.symlink_to(self.home)  # fails if something else is there
        return path

    def _remove_plain_path(self) -> None:
        path = self._plain_path
        if path != self.home and path.is_symlink() and path.readlink() == self.home:
            path.unlink()

    def _environment(self) -> dict[str, str]:
        home = self._make_plain_path()
        state = self._state
        variables = {
            "HOME": str(home),  # for the cookie
            "LANG": "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8",
            "ERL_EPMD_PORT": str(state.port("epmd")),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_INETRC": str(home / "inetrc"),
            "ERL_CRASH_DUMP": str(home / "erl_crash.dump"),
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(state.port("amqp")),
            "RABBITMQ_DIST_PORT": str(state.port("distribution")),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_LOGS": "-",  # to our file, so that the earliest troubles are in the same log
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                # One scheduler: several would spin for each other and take the services' CPU. The last argument
                # means nothing to Erlang; it is how we find the process again.
                f"+S 1:1 -kernel inet_dist_use_interface {{127,0,0,1}} -faxhook {state.marker}"
            ),
            "detached": "true",  # the script becomes the node, instead of waiting beside it
            "PATH": search_path(),
        }
        # Where Erlang needs them to start at all (Nix, custom builds). RABBITMQ_* and ERL_* of ours stay out.
        passed = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
        return passed | variables


def _find_epmd() -> str:
    epmd = shutil.which("epmd", path=search_path())
    if epmd:
        return epmd
    erl = shutil.which("erl", path=search_path())
    if erl and (Path(erl).resolve().parent / "epmd").exists():
        return str(Path(erl).resolve().parent / "epmd")
    raise Unavailable("RabbitMQ is installed, but Erlang's epmd is not found. Install Erlang, or put epmd in the PATH.")
