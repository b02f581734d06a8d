"""What tests of deploy/local.py share."""

import os
import subprocess
import sys
from pathlib import Path

from deploy.services import control
from deploy.services.processes import descendants, processes
from deploy.services.state import State

SCRIPT = Path(control.__file__).parents[1] / "local.py"
NO_BROKER = {"AMQP_URL": "amqp://somebody:else@broker.test/"}
"""An environment that gives a broker: up then takes one second instead of ten."""


def without_stores():
    """Return our environment without stores that were given to the tests."""
    return {name: value for name, value in os.environ.items() if name not in {"AMQP_URL", "DATABASE_URL"}}


def silent(line):
    pass


def run(*arguments, environ=None):
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | (environ or {})
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def ours(data):
    """All processes that bear the mark of *data*, and what they started."""
    marker = State(data.resolve()).marker
    marked = [process for process in processes() if marker in " ".join(process.argv)]
    return {process.pid: process for root in marked for process in [root, *descendants(root)]}


def pids(data):
    return {row.name: row.pid for row in control.status(data, environ={})}


def read_env(data):
    return dict(line.split("=", 1) for line in (data / "env").read_text().splitlines())
