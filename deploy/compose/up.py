"""Run everything on one machine by Docker Compose; `make up` and `make down` call it.

    python deploy/compose/up.py up [--base IMAGE] [--wheels]
    python deploy/compose/up.py down [--volumes]

`up` builds the images, makes the secrets once, starts everything and waits until it is healthy. `down` stops it, and
with `--volumes` removes the data, too.

Secrets and settings are in `.local/compose`; `providers.env` there is for the operator to edit. Variables of the
compose file (INGRESS_PORT, OPS_PORT, PUBLIC_URL, SMTP_URL, …) are taken from the environment.

Exit codes: 0 done · 69 Docker, Compose or an image is not to be had · 70 a build or a start failed ·
78 a port is wrong.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))  # run as a script

from deploy.compose.prepared import prepare
from deploy.demo.ports import given_ports
from deploy.images import build, default_base, fetch_wheels
from deploy.services.container import docker, has_engine
from deploy.services.processes import LocalError, StartFailed, Unavailable
from shared.errors import Misconfigured
from shared.runtime.output import drop_what_cannot_be_written

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent
COMPOSE_FILE: Final = Path(__file__).resolve().parent / "compose.yaml"
FOLDER: Final = REPOSITORY / ".local/compose"
WAIT_SECONDS: Final = 300
PORTS: Final = {
    "INGRESS_PORT": 8080,
    "OPS_PORT": 8081,
    "GRAFANA_PORT": 3000,
    "PROMETHEUS_PORT": 9090,
    "MAIL_PORT": 8025,
}
"""Of this machine, with the defaults of the compose file."""


def compose_command() -> list[str]:
    """Return the command of Compose: Docker's plugin, else the one of our virtual environment or of the PATH.

    Raises:
        Unavailable: It does not exist.
    """
    if docker("compose", "version") is not None:
        return ["docker", "compose"]
    own = Path(sys.executable).parent / "docker-compose"
    program = str(own) if own.exists() else shutil.which("docker-compose")
    if program is None:
        raise Unavailable("Docker Compose is missing: install Docker's compose plugin, version 2.20 or newer.")
    return [program]


def compose(*arguments: str) -> None:
    """Run Compose on our file.

    Raises:
        Unavailable: No engine answers, or there is no Compose.
        StartFailed: It failed; its output was shown.
    """
    if not has_engine():
        raise Unavailable("No Docker engine answers: start one, or set DOCKER_HOST to one.")
    command = [*compose_command(), "--file", str(COMPOSE_FILE), *arguments]
    environment = {**os.environ, "FAXHOOK_DIR": str(FOLDER)}
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        raise StartFailed(
            f"Compose could not {arguments[0]}; see above; `docker logs` of the container that it names says more."
        )


def up(ports: Mapping[str, int]) -> None:
    """Start everything and wait until all of it is healthy; say on which *ports* it is."""
    compose("up", "--detach", "--wait", "--wait-timeout", str(WAIT_SECONDS))
    at = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    print(f"""
faxhook is up.

  callbacks to  {at["INGRESS_PORT"]}  (the providers' secrets: {FOLDER / "providers.env"}; edit, then `make up` again)
  console       {at["OPS_PORT"]}/  (OPS_TOKEN: {FOLDER / "secrets/ops_token"})
  dashboard     {at["GRAFANA_PORT"]}  (user admin, password: {FOLDER / "secrets/grafana_password"})
  mail          {at["MAIL_PORT"]}  (caught, none is sent)
  command line  docker exec -it faxhook-dispatcher-1 faxhook

`make down` stops it; the data stay.""")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="up.py", description="faxhook by Docker Compose.")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="build, start, wait until healthy")
    start.add_argument("--base", default=default_base(), help="of the images; default: %(default)s")
    start.add_argument("--wheels", action="store_true", help="download the libraries outside of the build")
    commands.add_parser("down", help="stop").add_argument("--volumes", action="store_true", help="remove the data, too")
    options = parser.parse_args(arguments)
    drop_what_cannot_be_written()
    try:
        if options.command == "up":
            ports = given_ports(os.environ, PORTS)
            if options.wheels:
                fetch_wheels()
            build(options.base, "latest", has_network=not options.wheels)
            prepare(FOLDER)
            up(ports)
        else:
            compose("down", *(["--volumes"] if options.volumes else []))
    except (LocalError, Misconfigured) as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
