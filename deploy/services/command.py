"""The command deploy/local.py."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from deploy.services.control import DEFAULT_DATA, ENV_NAME, down, now_running, reset, status, tell, up
from deploy.services.processes import Interrupted, LocalError, StartFailed
from shared.runtime.output import drop_what_cannot_be_written

NOT_ALL_RUN: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    drop_what_cannot_be_written()  # a start is not cut short because no one reads on
    parser = argparse.ArgumentParser(prog="local.py", description="Private RabbitMQ and PostgreSQL for a laptop.")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, metavar="DIR", help="default: %(default)s")
    commands = parser.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", type=Path, default=argparse.SUPPRESS, metavar="DIR", help="the folder for everything")
    for name, sentence in _COMMANDS.items():
        command = commands.add_parser(name, help=sentence, description=sentence, parents=[common])
        if name.endswith("vhost"):
            command.add_argument("name", metavar="NAME")
    try:
        return _run(parser.parse_args(arguments))
    except LocalError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"{error}. Does the folder belong to another user?", file=sys.stderr)
        return StartFailed.exit_code
    except KeyboardInterrupt:
        print("Interrupted; what was being started is ended again.", file=sys.stderr)
        return Interrupted.exit_code


_COMMANDS: Final = {
    "up": "start what is not given by the environment, and write the env file",
    "down": "end what `up` started",
    "status": "say how each service is; exit 3 if not all run",
    "reset": "end the services and remove their data",
    "add-vhost": "create a vhost and print its AMQP URL",
    "delete-vhost": "delete a vhost with all that is in it",
}


def _run(options: argparse.Namespace) -> int:
    data: Path = options.data
    match options.command:
        case "up":
            up(data)
            tell(f"Their URLs are in {data.resolve() / ENV_NAME}")
        case "down":
            down(data)
        case "reset":
            reset(data)
        case "add-vhost":
            tell(now_running(data).add_vhost(options.name))
        case "delete-vhost":
            now_running(data).delete_vhost(options.name)
        case _:
            return _print_status(data)
    return 0


def _print_status(data: Path) -> int:
    statuses = status(data)
    for row in statuses:
        words = [row.condition, row.url, f"pid {row.pid}" if row.pid else "", f"data {data.resolve()}"]
        tell(f"{row.name}: " + ", ".join(word for word in words if word))
    return 0 if all(row.condition in {"running", "given"} for row in statuses) else NOT_ALL_RUN


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
