"""The programs that `make run` starts: their lines are shown, their end is noticed, and none is left behind.

`supervised` runs the work. Ctrl-C, SIGTERM, or a child that ends by itself cancel it; the children are then ended in
the reverse order of their start, as the work's contexts close. A second Ctrl-C does not wait for them.
"""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

from deploy.services.processes import LocalError
from dispatcher.ops.words import clock
from shared.domain import utc_now

STOP_SECONDS: Final = 20.0
"""For a child to end by SIGTERM: the dispatcher finishes its attempts, of up to 15 s each."""

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LAST_LINES: Final = 15
LINE_LIMIT_BYTES: Final = 16 * 1024 * 1024
COLOURS: Final = {"ingress": 36, "dispatcher": 35, "listen": 33, "mail": 34}

_END_WITH_PARENT: Final = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""Runs before a child, on Linux: PR_SET_PDEATHSIG has it end when we are killed, and outlives the exec."""

_LOG_TIME = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z +")
_LOG_SERVICE = re.compile(r" +service=\w+")

Result = TypeVar("Result")


class ChildEnded(LocalError):
    """A child ended by itself."""


class Terminal:
    """Prints our own lines, and the children's lines after their names."""

    def __init__(self) -> None:
        self._has_colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def say(self, text: str = "") -> None:
        """Print our own words."""
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "replace").decode(encoding), flush=True)

    def line(self, name: str, text: str) -> None:
        """Print a line of the child *name*. Its own time gives way to ours, and its name to the prefix."""
        text = _LOG_SERVICE.sub("", _LOG_TIME.sub("", text))
        self.say(f"{clock(utc_now())} {self.coloured(f'{name:<10}', COLOURS.get(name, 0))} | {text}")

    def coloured(self, text: str, colour: int) -> str:
        """Return *text* in an ANSI colour, where colours are seen."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self._has_colours else text


class Family:
    """All children of one run; they end together."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.failure: LocalError | None = None
        self.is_interrupted = False
        self.hurry = asyncio.Event()
        self.is_closing = False
        self._work: asyncio.Task[None] | None = None

    async def run(self, work: Awaitable[None]) -> None:
        """Await *work*; see `supervised`."""
        self._work = asyncio.ensure_future(work)
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._interrupt)
        try:
            await asyncio.wait({self._work})
            if not self._work.cancelled():
                self._work.result()
        finally:
            if self.failure is not None:
                raise self.failure

    async def for_ever(self) -> None:
        """Wait for Ctrl-C or a child's end."""
        await asyncio.Event().wait()

    def fail(self, failure: LocalError) -> None:
        """End everything because of *failure*; the first one counts."""
        if self.failure is None and not self.is_interrupted:
            self.failure = failure
            self._end()

    def _interrupt(self) -> None:
        if self.is_interrupted:
            self.hurry.set()
            return
        self.is_interrupted = True
        self.terminal.say("\nstopping …")
        self._end()

    def _end(self) -> None:
        if self._work is not None and not self.is_closing:  # a clean-up under way is not cut short
            self._work.cancel()

    @asynccontextmanager
    async def child(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], on_line: Callable[[str], None]
    ) -> AsyncIterator["Child"]:
        """Run `python <arguments>` until the body is left; *on_line* is told each line that it prints."""
        process = await asyncio.create_subprocess_exec(
            *_python(arguments),
            env={**environment, "PYTHONUNBUFFERED": "1"},
            cwd=Path(__file__).parents[2],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LINE_LIMIT_BYTES,
            start_new_session=True,  # Ctrl-C is ours to pass on, in the right order
        )
        child = Child(name, process, on_line)
        watcher = asyncio.create_task(self._watch(child))
        try:
            yield child
        finally:
            self.is_closing = True
            await child.stop(self.hurry, self.terminal)
            await watcher

    async def _watch(self, child: "Child") -> None:
        code = await child.ended()
        if not child.is_stopping:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            lines = "".join(f"\n  | {line[:300]}" for line in child.last_lines)
            self.fail(ChildEnded(f"{child.name} ended by itself {how}. Its last lines:{lines or ' none.'}"))


class Child:
    """A running program."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
        self.name = name
        self.is_stopping = False
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._process = process
        self._on_line = on_line

    async def ended(self) -> int:
        """Pass its lines on until it ends; return its exit code."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            text = line.decode(errors="replace").rstrip("\n")
            self.last_lines.append(text)
            self._on_line(text)
        return await self._process.wait()

    async def stop(self, hurry: asyncio.Event, terminal: Terminal) -> None:
        """End it by SIGTERM; by SIGKILL what is left after the deadline, or when there is no time."""
        self.is_stopping = True
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        ended, hurried = asyncio.ensure_future(self._process.wait()), asyncio.ensure_future(hurry.wait())
        await asyncio.wait({ended, hurried}, timeout=STOP_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not ended.done():
            terminal.say(
                f"{self.name} did not end {'yet' if hurry.is_set() else f'within {STOP_SECONDS:.0f} s'}: killed"
            )
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await ended


def _python(arguments: Sequence[str]) -> list[str]:
    prefix = ["-I", "-S", "-c", _END_WITH_PARENT] if sys.platform == "linux" else []
    return [sys.executable, *prefix, *arguments]


def supervised(terminal: Terminal, work: Callable[[Family], Awaitable[None]]) -> bool:
    """Run *work* in an event loop until it is done; return False if it was interrupted.

    Raises:
        ChildEnded: A child ended by itself; the others are ended too.
    """

    async def run() -> bool:
        family = Family(terminal)
        await family.run(work(family))
        return not family.is_interrupted

    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        return asyncio.run(run())
    finally:
        for number, handler in before.items():  # the loop leaves the default behind, which ends us at once
            signal.signal(number, handler)
