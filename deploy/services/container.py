"""A private RabbitMQ in a container, where a Docker engine answers and no rabbitmq-server is installed."""

import os
import shutil
import subprocess
from collections.abc import Callable
from threading import Event
from typing import Final, NoReturn

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
from deploy.services.processes import LOOPBACK, StartFailed, wait_until
from deploy.services.state import State

IMAGE: Final = "rabbitmq:4-management"
ASK_SECONDS: Final = 10.0
PULL_SECONDS: Final = 600.0


def docker(*arguments: str, seconds: float = 60.0, extra: dict[str, str] | None = None) -> str | None:
    """Run docker; return what it printed, None if it failed, hung, or is not there."""
    program = shutil.which("docker")
    if program is None:
        return None
    try:
        result = subprocess.run(
            [program, *arguments],
            env=dict(os.environ) | (extra or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def has_engine() -> bool:
    """Does a Docker engine answer?"""
    return bool(docker("info", "--format", "{{.ServerVersion}}", seconds=ASK_SECONDS))


def has_image(say: Callable[[str], None]) -> bool:
    """Is the image here, or can it be pulled? Calls *say* before it pulls."""
    if docker("image", "inspect", IMAGE, seconds=ASK_SECONDS) is not None:
        return True
    say(f"RabbitMQ is not installed, but Docker answers: pulling the image {IMAGE} ...")
    return docker("pull", "--quiet", IMAGE, seconds=PULL_SECONDS) is not None


class Container:
    """The RabbitMQ of one data folder, as a container of ours; its data is a volume by the same name."""

    name = "RabbitMQ"
    variable = VARIABLE
    kind = "container"

    def __init__(self, state: State) -> None:
        self._state = state
        self.container = state.marker.replace("faxhook-", "faxhook-local-")

    @property
    def port(self) -> int:
        """The port that it listens on; 0 if it never did."""
        return self._state.port("amqp")

    def urls(self) -> dict[str, str]:
        """The lines of the env file."""
        return broker_urls(self._state)

    def pid(self) -> int | None:
        """Return the container's process, as its engine sees it."""
        pid = docker("inspect", "--format", "{{.State.Pid}}", self.container, seconds=ASK_SECONDS)
        return int(pid) if pid and pid.isdigit() and pid != "0" else None

    def answers(self) -> bool:
        """Does it let us in, over AMQP and HTTP?"""
        return broker_answers(self._state)

    def version(self) -> str:
        """Its version, asked of it."""
        return broker_version(self._state)

    def start(self, stop: Event) -> None:
        """Start it and wait until it answers.

        Raises:
            StartFailed: It did not come up; it does not run then.
            Interrupted: *stop* was set; it does not run then.
        """
        self.stop()  # the ports belong to a container for life: it is created again, the volume stays
        self._state.choose_ports("amqp", "api")
        try:
            self._run()
            if not wait_until(self.answers, START_SECONDS, stop):
                self._fail("did not answer")
        except BaseException:
            self.stop()
            raise

    def _run(self) -> None:
        erl_arguments = " ".join(f"-rabbit {name} {value}" for name, value in ERL_SETTINGS.items())
        started = docker(
            *("run", "--detach", "--name", self.container, "--volume", f"{self.container}:/var/lib/rabbitmq"),
            *("--hostname", "faxhook"),  # the data's folder is named by it
            *("--publish", f"{LOOPBACK}:{self._state.port('amqp')}:5672"),
            *("--publish", f"{LOOPBACK}:{self._state.port('api')}:15672"),
            *("--env", f"RABBITMQ_DEFAULT_USER={USER}", "--env", f"RABBITMQ_DEFAULT_VHOST={VHOST}"),
            *("--env", "RABBITMQ_DEFAULT_PASS"),  # its value from our environment: arguments are public
            *("--env", f"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 -rabbit disk_free_limit 50000000 {erl_arguments}"),
            IMAGE,
            extra={"RABBITMQ_DEFAULT_PASS": self._state.password},
        )
        if started is None:
            self._fail("was not started")

    def _fail(self, how: str) -> NoReturn:
        log = docker("logs", "--tail", "15", self.container) or "  (it has none)"
        raise StartFailed(f"RabbitMQ {how} as container {self.container}. Its log:\n{log}")

    def stop(self) -> bool:
        """End it; return whether there was something to end. The volume stays."""
        if docker("inspect", self.container, seconds=ASK_SECONDS) is None:
            return False
        docker("stop", "--time", "30", self.container)
        docker("rm", "--force", self.container)
        return True

    def remove(self) -> None:
        """Remove its data."""
        docker("volume", "rm", "--force", self.container)
