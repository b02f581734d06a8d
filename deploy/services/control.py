"""Private RabbitMQ and PostgreSQL for a laptop and for the tests: up, down, status, reset.

    services = control.up(data)
    url = services.add_vhost("test-1")
    control.down(data)

`deploy/local.py` is the command. AMQP_URL and DATABASE_URL of the environment win: that service is not started.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from deploy.services.broker import API_VARIABLE, VARIABLE, create_vhost, delete_vhost, vhost_url
from deploy.services.container import Container
from deploy.services.install import Broker, choose_broker, remembered_broker
from deploy.services.postgres import Postgres, is_outside_home_of
from deploy.services.processes import LocalError, Unavailable
from deploy.services.start import Say, Service, bring_up_all
from deploy.services.state import LOCK_NAME, STATE_NAME, State, load, locked, write_private

REPOSITORY: Final = Path(__file__).resolve().parents[2]

DEFAULT_DATA: Final = REPOSITORY / ".local"
ENV_NAME: Final = "env"

Choose = Callable[[State, Say], Broker]


@dataclass(frozen=True)
class Services:
    """The URLs of the services: of the private ones, or those that the environment gives.

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
        say: Called with a line for each thing that happens.
        choose: Chooses how RabbitMQ runs.

    Raises:
        Unavailable: A service cannot run on this machine; the sentence says what to install.
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
        for service in bring_up_all(tasks, state, say):
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
        if service.stop():  # the folder was removed while it ran, and its password with it
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
    """Return how each service is. Changes nothing and does not wait for a start or stop under way."""
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


def now_running(data: Path = DEFAULT_DATA, *, environ: Mapping[str, str] = os.environ) -> Services:
    """Return the services as they are, starting none."""
    state = load(data.resolve())
    given = _given(environ, VARIABLE, state or State(data))
    if given:
        return Services(given, "", environ.get(API_VARIABLE) or None, "")
    if state is None or not state.broker:
        raise LocalError("No private RabbitMQ was started here. Run `up` first.")
    urls = remembered_broker(state).urls()
    return Services(urls[VARIABLE], "", urls[API_VARIABLE], "")


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
