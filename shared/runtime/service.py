"""The shape that both services share: settings, logs, signals, exit codes.

A service is `serve(settings, stop)`: it opens what it needs in order, works until *stop*, closes in reverse. Background
parts run under `running`; one that dies ends the process, so that the platform starts it again.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import uvloop

from shared import log
from shared.errors import EXIT_BAD_SETTING, EXIT_CRASHED, Misconfigured, place_of
from shared.programs import version
from shared.runtime.hang_detector import HangDetector
from shared.runtime.output import drop_what_cannot_be_written
from shared.runtime.sd_notify import READY, STOPPING, notify
from shared.settings import Settings, load, masked

CANCEL_AGAIN_SECONDS: Final = 2.0

Kind = TypeVar("Kind", bound=Settings)


class Stop:
    """Set when the service is to end. `failure` says why: None for a signal, else the error of the part that died.

    *when_opened* is called once the service has opened what it needs.
    """

    def __init__(self, when_opened: Callable[[], None] = lambda: None) -> None:
        self.when_opened = when_opened
        self._event = asyncio.Event()
        self.failure: BaseException | None = None

    def set(self, failure: BaseException | None = None) -> None:
        """Ask the service to end. The first reason counts."""
        if not self._event.is_set():
            self.failure = failure
        self._event.set()

    @property
    def is_set(self) -> bool:
        """True once the service is to end."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Wait until the service is to end."""
        await self._event.wait()


@asynccontextmanager
async def running(part: Coroutine[Any, Any, None], stop: Stop, name: str) -> AsyncIterator["asyncio.Task[None]"]:
    """Run *part* beside the body, cancel it afterwards; if it dies before, set *stop* with its error."""

    def ended(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            stop.set(task.exception())

    task = asyncio.create_task(part, name=name)
    task.add_done_callback(ended)
    try:
        yield task
    finally:
        await end({task})


async def end(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Cancel *tasks* until all of them have ended, whatever they end with.

    One cancellation is not enough: a library that fails while it is cancelled raises its own error instead, and a part
    that retries on errors would go on.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)


def announce_listening(stop: Stop, host: str, port: int) -> None:
    """Tell the log and systemd that the port is open, and *stop* that the service is."""
    stop.when_opened()
    log.get_logger().info("service.listening", host=host, port=port)
    notify(READY)


def announce_stopping() -> None:
    """Tell the log and systemd that what is under way is being finished."""
    log.get_logger().info("service.stopping")
    notify(STOPPING)


def run(service: str, kind: type[Kind], serve: Callable[[Kind, Stop], Awaitable[None]]) -> int:
    """Load settings, configure logs, serve until SIGTERM or SIGINT; return the exit code."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"faxhook-{service} {version()}\n")
        return 0
    drop_what_cannot_be_written()
    try:
        settings = load(kind, os.environ)
        log.configure(service, getattr(settings, "log_level", "INFO"), getattr(settings, "log_format", "json"))
        failure = uvloop.run(_serve(service, settings, serve))
    except Misconfigured as error:
        failure = error
    if failure is None:
        return 0
    sys.stderr.write(f"{service}: {place_of(failure)}\n")
    return EXIT_BAD_SETTING if isinstance(failure, Misconfigured) else EXIT_CRASHED


async def _serve(service: str, settings: Kind, serve: Callable[[Kind, Stop], Awaitable[None]]) -> BaseException | None:
    stop = Stop(when_opened=_spare_the_collector)
    loop = asyncio.get_running_loop()
    HangDetector(service, loop, lambda: stop.failure is not None).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    logger = log.get_logger()
    logger.info("service.started", settings=masked(settings))
    _spare_the_collector()
    await serve(settings, stop)
    if stop.failure is not None:
        logger.error("service.failed", reason=place_of(stop.failure))
    logger.info("service.stopped")
    return stop.failure


def _spare_the_collector() -> None:
    """Take what is there out of garbage collection: it stays, and looking at it all stops the loop.

    Once for the modules, for 100 ms; and once for what a service has opened, for 25 ms.
    """
    gc.collect()
    gc.freeze()
