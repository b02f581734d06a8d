"""A private broker and database that a fault may kill."""

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.services import control
from deploy.services.processes import wait_until
from deploy.services.rabbitmq import Node, find_installation
from deploy.services.state import load

NOTHING_GIVEN: Mapping[str, str] = {
    **os.environ,
    "AMQP_URL": "",
    "DATABASE_URL": "",
    "MEDIA_URL": "",
    "RABBITMQ_API_URL": "",
}
"""An environment that names no store, so that both are started here."""


@dataclass
class OwnStores:
    """A private broker and database that a fault may kill; both keep their data in *data*.

    *environ*: the environment; what it names is not started.
    """

    data: Path
    environ: Mapping[str, str] = field(default_factory=lambda: NOTHING_GIVEN)

    def up(self) -> control.Services:
        """Start those that do not run."""
        return control.up(self.data, environ=self.environ, say=lambda _line: None)

    def pid(self, name: str) -> int:
        """Return the process id of `RabbitMQ` or `PostgreSQL`."""
        (status,) = [each for each in control.status(self.data, environ=self.environ) if each.name == name]
        assert status.pid is not None, f"{name} does not run"
        return status.pid

    def end(self, name: str, number: signal.Signals) -> None:
        """Send a signal that ends it, and wait until its process is gone."""
        pid = self.pid(name)
        os.kill(pid, number)
        assert wait_until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), 30), f"{name} does not end"

    def rabbitmqctl(self, *arguments: str) -> str:
        """Run an administrator's command on the broker; return what it prints."""
        state, installation = load(self.data), find_installation()
        assert state is not None
        assert installation is not None
        # The installation's own program: the one in PATH is a wrapper that changes to another user.
        program = str(installation.scripts / "rabbitmqctl")
        environment = Node(state, installation)._environment()
        done = subprocess.run(
            [program, *arguments], env=environment, check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout

    def remove(self) -> None:
        """End both and remove their data."""
        control.reset(self.data, say=lambda _line: None)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
