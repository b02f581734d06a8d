"""One node of a RabbitMQ cluster: the programs of an installed server, or of one in a folder (a Debian by debootstrap)."""

import json
import re
import signal
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cluster_network import Place

from deploy.services.broker import ERL_SETTINGS, USER, VHOST
from deploy.services.processes import free_port, tail, wait_until
from deploy.services.rabbitmq import find_installation, search_path

NET_TICK_SECONDS: Final = 10
"""After so long (± a quarter) without a word a node counts as down, and a minority pauses. RabbitMQ's default is 60."""

STOP_SECONDS: Final = 60.0
MOST_RESTARTS: Final = 5

_ENTER_FOLDER: Final = """
root=$1 data=$2; shift 2
mkdir -p "$root$data" && mount --bind "$data" "$root$data" && mount --rbind /proc "$root/proc" && mount --rbind /dev "$root/dev" \
    && exec chroot "$root" "$@"
"""
"""Bind mounts in a mount namespace of its own: they end with the process."""


@dataclass(frozen=True)
class Release:
    """A rabbitmq-server. *root*: the folder that its Debian lives in; `/` is this machine. *scripts* are inside of it."""

    root: Path
    scripts: Path
    version: tuple[int, ...]

    @property
    def name(self) -> str:
        """For instance `4.0.5`."""
        return ".".join(map(str, self.version))

    def command(self, data: Path, argv: Sequence[str]) -> list[str]:
        """Return what runs *argv* with *data* at the same path inside and outside."""
        if self.root == Path("/"):
            return list(argv)
        mounting = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER_FOLDER, "sh"]
        return [*mounting, str(self.root), str(data), *argv]


def installed_release() -> Release:
    """Return this machine's own rabbitmq-server."""
    found = find_installation()
    assert found is not None, "rabbitmq-server is not installed; `make services` installs it"
    return Release(Path("/"), found.scripts, found.version)


def release_in(root: Path) -> Release:
    """Return the rabbitmq-server of the Debian in *root*."""
    scripts = sorted(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin"))
    assert scripts, f"{root} holds no rabbitmq-server: debootstrap --include=rabbitmq-server trixie {root}"
    version = tuple(map(int, re.findall(r"\d+", scripts[-1].parent.name)))
    return Release(root.resolve(), Path("/") / scripts[-1].relative_to(root), version)


@dataclass(eq=False)
class ClusterNode:
    """Node *number*, named `fax<number>@fax<number>`; its data, log and configuration are in *home*.

    Attributes:
        ports: By what they are for: `amqp`, `api`, `distribution`.
        restarts: How often it ended by itself and was started again.
    """

    number: int
    release: Release
    place: Place
    home: Path
    password: str
    cookie: str
    epmd_port: int
    ports: dict[str, int] = field(default_factory=dict)
    restarts: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        taken = [self.epmd_port]
        for purpose in ("amqp", "api", "distribution"):
            self.ports[purpose] = free_port([*taken, *self.ports.values()])

    @property
    def name(self) -> str:
        """Its Erlang name; the first half too must be unique where nodes share a port mapper."""
        return f"fax{self.number}@fax{self.number}"

    @property
    def amqp_url(self) -> str:
        """The node itself, not through a balancer."""
        return f"amqp://{USER}:{self.password}@{self.place.address}:{self.ports['amqp']}/{VHOST}"

    @property
    def api_url(self) -> str:
        """Its management API, without user and password."""
        return f"http://{self.place.address}:{self.ports['api']}"

    @property
    def admin_url(self) -> str:
        """Its management API, with the user that may do all."""
        return f"http://{USER}:{self.password}@{self.place.address}:{self.ports['api']}"

    @property
    def is_running(self) -> bool:
        """Return whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def configure(self, members: Sequence["ClusterNode"]) -> None:
        """Write its configuration: a blank node joins *members* by itself when it starts."""
        settings = {
            "default_user": USER,
            "default_pass": self.password,
            "default_vhost": VHOST,
            "default_user_tags.administrator": "true",
            "loopback_users": "none",
            "listeners.tcp.1": f"{self.place.address}:{self.ports['amqp']}",
            "management.tcp.ip": self.place.address,
            "management.tcp.port": self.ports["api"],
            "disk_free_limit.absolute": "50MB",
            "cluster_partition_handling": "pause_minority",
            "queue_leader_locator": "balanced",
            "cluster_formation.peer_discovery_backend": "classic_config",
            **{f"cluster_formation.classic_config.nodes.{each.number}": each.name for each in members},
        }
        erl_settings = ", ".join(f"{{{name}, {value}}}" for name, value in ERL_SETTINGS.items())
        for name, text in {
            "rabbitmq.conf": "".join(f"{name} = {value}\n" for name, value in settings.items()),
            "advanced.config": f"[{{rabbit, [{erl_settings}]}}].\n",
            "enabled_plugins": "[rabbitmq_management].\n",
            "inetrc": _host_file({self, *members}),
            ".erlang.cookie": self.cookie,
        }.items():
            path = self.home / name
            path.unlink(missing_ok=True)
            path.write_text(text)
            path.chmod(0o400 if name == ".erlang.cookie" else 0o600)

    def start(self) -> None:
        """Start its process; it is not up yet when this returns."""
        assert not self.is_running
        with (self.home / "node.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(str(self.release.scripts / "rabbitmq-server")),
                env=self._environment() | {"detached": "true"},  # the script becomes the node
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start_again(self) -> None:
        """Start it after it ended by itself, as a platform does: 3.10 does so when nodes start at the same moment."""
        self.restarts += 1
        assert self.restarts <= MOST_RESTARTS, f"{self.name} ends by itself.{self.log_tail()}"
        self.start()

    def end(self, number: signal.Signals) -> None:
        """Send a signal that ends it, and wait until its process is gone."""
        if self._process is not None and self.is_running:
            self._process.send_signal(number)
            assert wait_until(lambda: not self.is_running, STOP_SECONDS), f"{self.name} does not end.{self.log_tail()}"

    def run(self, program: str, *arguments: str) -> str:
        """Run one of the server's command line programs there, e.g. `rabbitmqctl`; return what it prints."""
        command = self._command(str(self.release.scripts / program), *arguments)
        done = subprocess.run(
            command, env=self._environment(), cwd=self.home, capture_output=True, timeout=90, check=False
        )
        assert done.returncode == 0, f"{program} {' '.join(arguments)}: {done.stdout + done.stderr!r}"
        return done.stdout.decode()

    def epmd(self) -> subprocess.Popen[bytes]:
        """Start the port mapper of its place, in the foreground."""
        command = self._command("epmd", "-port", str(self.epmd_port), "-address", self.place.address)
        return subprocess.Popen(command, env=self._environment(), cwd=self.home, stdout=subprocess.DEVNULL)

    def log_tail(self) -> str:
        """Return the end of its log, to end an error with."""
        return tail(self.home / "node.log")

    def _command(self, *argv: str) -> list[str]:
        return [*self.place.enter, *self.release.command(self.home, argv)]

    def _environment(self) -> dict[str, str]:
        interface = self.place.address.replace(".", ",")
        return {
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PATH": search_path(),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_INETRC": str(self.home / "inetrc"),
            "ERL_CRASH_DUMP": "/dev/null",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self.ports["distribution"]),
            "RABBITMQ_MNESIA_BASE": str(self.home / "data"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"+S 1:1 -kernel inet_dist_use_interface {{{interface}}} -kernel net_ticktime {NET_TICK_SECONDS}"
            ),
        }


def _host_file(nodes: Collection[ClusterNode]) -> str:
    """Return Erlang's hosts file: one line for an address, or the last line wins."""
    names = {"127.0.0.1": ["localhost"]}
    for node in nodes:
        names.setdefault(node.place.address, []).append(f"fax{node.number}")
    lines = [f"{{host, {{{address.replace('.', ',')}}}, {json.dumps(those)}}}.\n" for address, those in names.items()]
    return "".join(lines) + "{lookup, [file]}.\n"
