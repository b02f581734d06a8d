"""Private services for a laptop and for the tests: RabbitMQ and PostgreSQL, up, down, without touching the system's.

    python deploy/local.py up | down | status | reset [--data DIR]
    python deploy/local.py add-vhost NAME | delete-vhost NAME [--data DIR]

`up` writes the URLs to `.local/env` as `KEY=value` lines, for `set -a; . .local/env` and for Make. Both listen on
loopback only, and stay up until `down`. A second `up` changes nothing; what was killed is started again, its data
kept. AMQP_URL and DATABASE_URL of the environment win: that service is not started, and not written to the file.

Exit codes: 0 done · 3 `status`: not all runs · 69 what is needed cannot be had · 70 a start failed · 130 interrupted.

From Python (a pytest fixture):

    services = local.up(data)
    url = services.add_vhost("test-1")
    local.down(data)

This is not how to run faxhook in production: one broker node survives no loss of its disk.
"""

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final, NoReturn, Protocol
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a script, or imported by its path

from deploy.local_broker import API_VARIABLE, VARIABLE, create_vhost, delete_vhost, vhost_url
from deploy.local_container import Container
from deploy.local_install import Broker, choose_broker, remembered_broker
from deploy.local_postgres import Postgres, is_outside_home_of
from deploy.local_processes import (
    LOOPBACK,
    Interrupted,
    LocalError,
    StartFailed,
    Unavailable,
    wait_until,
)
from deploy.local_state import LOCK_NAME, STATE_NAME, State, load, locked, write_private

REPOSITORY: Final = Path(__file__).resolve().parent.parent

__all__ = [
    "LocalError",
    "Services",
    "StartFailed",
    "Status",
    "Unavailable",
    "create_vhost",
    "delete_vhost",
    "down",
    "reset",
    "status",
    "up",
    "vhost_url",
]

DEFAULT_DATA: Final = REPOSITORY / ".local"
ENV_NAME: Final = "env"
HUNG_SECONDS: Final = 30.0
"""How long `up` waits for a service that runs already but does not answer: it may be starting."""

NOT_ALL_RUN: Final = 3

Say = Callable[[str], None]
Choose = Callable[[State, Say], Broker]


class Service(Protocol):
    """What `up`, `down` and `status` need of either service."""

    name: str
    variable: str

    @property
    def port(self) -> int: ...
    def urls(self) -> dict[str, str]: ...
    def pid(self) -> int | None: ...
    def answers(self) -> bool: ...
    def version(self) -> str: ...
    def start(self, stop: Event) -> None: ...
    def stop(self) -> bool: ...


@dataclass(frozen=True)
class Services:
    """Where the services are: the private ones', or what the environment gave.

    Attributes:
        rabbitmq_api_url: None if AMQP_URL was given without RABBITMQ_API_URL.
    """

    amqp_url: str
    database_url: str
    rabbitmq_api_url: str | None
    media_url: str

    def add_vhost(self, name: str) -> str:
        """Create the vhost *name* and return the AMQP URL to it."""
        create_vhost(self._api_url(), name)
        return vhost_url(self.amqp_url, name)

    def delete_vhost(self, name: str) -> None:
        """Delete the vhost *name* with all that is in it."""
        delete_vhost(self._api_url(), name)

    def _api_url(self) -> str:
        if self.rabbitmq_api_url is None:
            raise Unavailable(f"{VARIABLE} is given, so {API_VARIABLE} must be given too to add or delete vhosts.")
        return self.rabbitmq_api_url


@dataclass(frozen=True)
class Status:
    """How one service is.

    Attributes:
        condition: `running`, `dead` (it should run), `not started`, or `given` (not ours).
        url: Without the password.
        pid: None if it does not run, or is not ours.
    """

    name: str
    condition: str
    url: str
    pid: int | None


def tell(line: str) -> None:
    """Print *line* at once, also into a pipe."""
    print(line, flush=True)


# --- up ---------------------------------------------------------------------------------------------------------------


def up(
    data: Path = DEFAULT_DATA,
    *,
    environ: Mapping[str, str] = os.environ,
    say: Say = tell,
    choose: Choose = choose_broker,
) -> Services:
    """Bring up what the environment does not give, and write the env file.

    Args:
        data: The folder for everything; created if need be.
        environ: The environment whose URLs win.
        say: Told what happens, one line each.
        choose: Chooses how RabbitMQ runs.

    Raises:
        Unavailable: What is needed cannot be had.
        StartFailed: A service did not come up; what this call had started is ended again.
    """
    data = data.resolve()
    is_new = not data.exists()
    data.mkdir(parents=True, exist_ok=True)
    with locked(data):
        state = load(data) or _first_state(data, is_new=is_new)
        state.make_folder(state.logs)
        media = data / "media"
        if not media.exists():
            state.make_folder(media)
        own_urls: dict[str, str] = {}
        tasks: list[Callable[[], Service]] = []
        for variable, name, task in (
            ("DATABASE_URL", "PostgreSQL", lambda: Postgres(state)),
            (VARIABLE, "RabbitMQ", lambda: _broker(state, say, choose)),
        ):
            if _given(environ, variable, state):
                say(f"{variable} is given: no private {name} is started.")
            else:
                tasks.append(task)
        for service in _bring_up_all(tasks, state, say):
            own_urls |= service.urls()
        media_url = environ.get("MEDIA_URL") or media.as_uri()
        if media_url == media.as_uri():  # as_uri quotes blanks and all that means something to a shell
            own_urls["MEDIA_URL"] = media_url
        write_private(data / ENV_NAME, "".join(f"{name}={value}\n" for name, value in sorted(own_urls.items())))
    return Services(
        amqp_url=own_urls.get(VARIABLE) or _given(environ, VARIABLE, state),
        database_url=own_urls.get("DATABASE_URL") or _given(environ, "DATABASE_URL", state),
        rabbitmq_api_url=own_urls.get(API_VARIABLE) or environ.get(API_VARIABLE) or None,
        media_url=media_url,
    )


def _first_state(data: Path, *, is_new: bool) -> State:
    state = State(data, made=["."] if is_new else [])
    for service in _services(state):
        if service.stop():  # somebody removed the folder under it, and its password with it
            tell(f"An earlier {service.name} of this folder still ran; it was ended.")
    return state


def _given(environ: Mapping[str, str], variable: str, state: State) -> str:
    """Return the URL that the environment gives for *variable*; empty if none, or if it is ours from the env file."""
    url = environ.get(variable, "")
    if not url and environ.get(f"{variable}_FILE"):
        url = Path(environ[f"{variable}_FILE"]).read_text().strip()
    return "" if url and urlsplit(url).password == state.password else url


def _broker(state: State, say: Say, choose: Choose) -> Broker:
    broker = remembered_broker(state)
    return broker if state.broker and broker.pid() else choose(state, say)


def _bring_up_all(tasks: Sequence[Callable[[], Service]], state: State, say: Say) -> list[Service]:
    """Bring up all at the same time: all or none."""
    stop = Event()
    started: list[Service] = []

    def bring_up(find_service: Callable[[], Service]) -> Service:
        service = find_service()
        if _bring_up(service, state, stop, say):
            started.append(service)
        return service

    failure: BaseException | None = None
    with ThreadPoolExecutor() as pool:
        futures: list[Future[Service]] = [pool.submit(bring_up, task) for task in tasks]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException as interrupt:  # noqa: BLE001  (Ctrl-C; raised again below)
            failure = interrupt
        if failure is not None or any(future.done() and future.exception() for future in futures):
            stop.set()
    failures = [error for future in futures if (error := future.exception())]
    failure = failure or next((error for error in failures if not isinstance(error, Interrupted)), None)
    failure = failure or next(iter(failures), None)
    if failure is not None:
        for service in started:
            service.stop()
            state.mark_up(service.name, False)
        raise failure
    return [future.result() for future in futures]


def _bring_up(service: Service, state: State, stop: Event, say: Say) -> bool:
    """Bring *service* up; return False if it already was."""
    began = time.monotonic()
    pid = service.pid()
    if pid is not None:
        if not wait_until(lambda: service.answers() or service.pid() != pid, HUNG_SECONDS, stop):
            raise StartFailed(
                f"{service.name} runs (pid {pid}) but does not answer. Look into {state.logs}, run `down`, then `up`."
            )
        if service.pid() == pid:
            state.mark_up(service.name, True)
            say(f"{service.name} is up already on {LOOPBACK}:{service.port}")
            return False
    if service.name in state.up:
        say(f"{service.name} is dead; starting it again ...")
    service.start(stop)
    state.mark_up(service.name, True)
    say(f"{service.name} {service.version()} is up on {LOOPBACK}:{service.port} ({time.monotonic() - began:.1f} s)")
    return True


# --- down, status, reset ----------------------------------------------------------------------------------------------


def down(data: Path = DEFAULT_DATA, *, say: Say = tell) -> None:
    """End what `up` started on *data*, and nothing else."""
    data = data.resolve()
    with _locked_if_there(data):
        _down(data, say)


def _down(data: Path, say: Say) -> None:
    kept = load(data)
    services = _services(kept or State(data))
    with ThreadPoolExecutor() as pool:
        ended = list(pool.map(lambda service: service.stop(), services))
    for service, has_ended in zip(services, ended, strict=True):
        if has_ended:
            say(f"{service.name} is down.")
        if kept is not None:
            kept.mark_up(service.name, False)
    if not any(ended):
        say(f"Nothing ran on {data}.")


def status(data: Path = DEFAULT_DATA, *, environ: Mapping[str, str] = os.environ) -> list[Status]:
    """Return how each service is. Changes nothing, waits for nobody."""
    data = data.resolve()
    state = load(data) or State(data)
    return [_status(service, state, environ) for service in _services(state)]


def _status(service: Service, state: State, environ: Mapping[str, str]) -> Status:
    given = _given(environ, service.variable, state)
    if given:
        return Status(service.name, "given", _without_password(given), None)
    pid = service.pid()
    url = _without_password(service.urls()[service.variable]) if service.port else ""
    if pid is not None and service.answers():
        return Status(service.name, "running", url, pid)
    return Status(service.name, "dead" if pid is not None or service.name in state.up else "not started", url, pid)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def reset(data: Path = DEFAULT_DATA, *, say: Say = tell) -> None:
    """End the services and remove what `up` made: their data, the media, the env file. Nothing else."""
    data = data.resolve()
    with _locked_if_there(data):
        _down(data, say)
        state = load(data)
        if state is None:
            say(f"Nothing in {data} was made by local.py; nothing was removed.")
            return
        broker = remembered_broker(state)
        if isinstance(broker, Container):
            broker.remove()
        for name in state.made:
            path = data / name  # an absolute name stays what it is
            if path != data and (path.is_relative_to(data) or is_outside_home_of(path, data)):
                shutil.rmtree(path)
        for name in (ENV_NAME, STATE_NAME, LOCK_NAME):
            (data / name).unlink(missing_ok=True)
        if "." in state.made and not any(data.iterdir()):
            data.rmdir()
    say(f"The data of {data} is removed.")


def _services(state: State) -> list[Service]:
    return [Postgres(state), remembered_broker(state)]


def _locked_if_there(data: Path) -> AbstractContextManager[None]:
    return locked(data) if data.is_dir() else nullcontext()


# --- the command ------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
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
            tell(_running(data).add_vhost(options.name))
        case "delete-vhost":
            _running(data).delete_vhost(options.name)
        case _:
            return _print_status(data)
    return 0


def _print_status(data: Path) -> int:
    statuses = status(data)
    for row in statuses:
        words = [row.condition, row.url, f"pid {row.pid}" if row.pid else "", f"data {data.resolve()}"]
        tell(f"{row.name}: " + ", ".join(word for word in words if word))
    return 0 if all(row.condition in {"running", "given"} for row in statuses) else NOT_ALL_RUN


def _running(data: Path) -> Services:
    """Return the services as they are, starting none."""
    state = load(data.resolve())
    given = _given(os.environ, VARIABLE, state or State(data))
    if given:
        return Services(given, "", os.environ.get(API_VARIABLE) or None, "")
    if state is None or not state.broker:
        raise LocalError("No private RabbitMQ was started here. Run `up` first.")
    urls = remembered_broker(state).urls()
    return Services(urls[VARIABLE], "", urls[API_VARIABLE], "")


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
