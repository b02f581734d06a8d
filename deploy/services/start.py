"""Start the services at the same time, all or none."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Final, Protocol

from deploy.services.processes import LOOPBACK, Interrupted, StartFailed, wait_until
from deploy.services.state import State

HUNG_SECONDS: Final = 30.0
"""How long `up` waits for a service that runs already but does not answer: it may be starting."""

Say = Callable[[str], None]


class Service(Protocol):
    """What `up`, `down` and `status` need of either service."""

    name: str
    variable: str

    @property
    def port(self) -> int:
        """0 before the first start."""

    def urls(self) -> dict[str, str]:
        """Return its lines of the env file."""

    def pid(self) -> int | None:
        """Return its process; None if it does not run."""

    def answers(self) -> bool:
        """Does it answer a client?"""

    def version(self) -> str:
        """Return the version of the running service."""

    def start(self, stop: Event) -> None:
        """Start it and wait until it answers, or until *stop*."""

    def stop(self) -> bool:
        """End it; return False if it did not run."""


def bring_up_all(tasks: Sequence[Callable[[], Service]], state: State, say: Say) -> list[Service]:
    """Bring up the services that *tasks* return, at the same time.

    Raises:
        Unavailable: A service cannot run on this machine; the sentence says what to install.
        StartFailed: One did not come up; what this call had started is ended again.
        Interrupted: By Ctrl-C; what this call had started is ended again.
    """
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
