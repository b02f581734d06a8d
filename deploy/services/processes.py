"""Processes that outlive us: start them, find them again, end them; and the free ports that they listen on.

What runs is looked up in the process table, not in a pid file: each program that we start has a marker in its
arguments. A pid file may be stale, and its pid may belong to another program by now.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from threading import Event
from typing import Any, Final

LOOPBACK: Final = "127.0.0.1"

PORTS: Final = range(15_000, 32_000)
"""Below what Linux (32768) and macOS (49152) hand out to clients: a remembered port is not taken by chance."""

_PROC: Final = Path("/proc")
"""Linux only; elsewhere ps is asked."""

POLL_SECONDS: Final = 0.05
LOG_TAIL_LINES: Final = 15


class LocalError(Exception):
    """The root of these errors: a sentence that says what to do, and the exit code."""

    exit_code = 70


class Unavailable(LocalError):
    """A service or a port is not available on this machine."""

    exit_code = 69


class StartFailed(LocalError):
    """A service did not come up."""


class Interrupted(LocalError):
    """Ctrl-C was pressed, or the other service failed to start."""

    exit_code = 130


@dataclass(frozen=True)
class Process:
    """One row of the process table. Zombies are not in it.

    Attributes:
        started: When, in whatever unit the system counts; together with the pid it is an identity.
        argv: The arguments; one element with all of them where the system does not tell them apart.
    """

    pid: int
    parent: int
    started: str
    argv: tuple[str, ...]

    def has_argument(self, argument: str) -> bool:
        """Is *argument* one of the arguments? It must have no blanks."""
        return argument in (self.argv if len(self.argv) > 1 else " ".join(self.argv).split())

    def runs(self, program: str) -> bool:
        """Is *program* the name of what runs, without its folder?"""
        if len(self.argv) > 1:
            return Path(self.argv[0]).name == program
        return f"/{program} " in f"/{self.argv[0]} "  # ps does not show where its path ends; it may have blanks


def processes() -> list[Process]:
    """Read the process table: from /proc where there is one, else from ps (macOS)."""
    _reap()
    if _PROC.is_dir():
        rows = (_read_proc(entry) for entry in _PROC.iterdir() if entry.name.isdigit())
        return [row for row in rows if row is not None]
    listing = subprocess.run(
        ["ps", "-axww", "-o", "pid=,ppid=,stat=,lstart=,args="],
        env={"PATH": "/bin:/usr/bin", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [row for row in map(_parse_ps, listing.stdout.splitlines()) if row is not None]


def _read_proc(entry: Path) -> Process | None:
    try:
        # The name in parentheses may itself hold blanks and parentheses: the fields begin after the last one.
        fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
        argv = (entry / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace").split("\0")
    except OSError:  # gone while we looked, or not ours to see
        return None
    state, parent, started = fields[0], fields[1], fields[19]
    return None if state in "ZX" else Process(int(entry.name), int(parent), started, tuple(argv))


def _parse_ps(line: str) -> Process | None:
    # e.g. "  412     1 Ss   Mon Nov 22 10:02:27 2026     /opt/erlang/bin/epmd -port 21000"
    words = line.split(maxsplit=8)
    if len(words) < 9 or words[2].startswith("Z"):  # noqa: PLR2004  (pid, ppid, stat, five of lstart, args)
        return None
    return Process(int(words[0]), int(words[1]), " ".join(words[3:8]), (words[8],))


_children: Final[set[int]] = set()
"""What this process started and must reap: a dead service would stay as a zombie otherwise."""


def _reap() -> None:
    for pid in list(_children):
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                continue
        _children.discard(pid)


def find(wanted: Callable[[Process], bool]) -> Process | None:
    """Return a process that is *wanted*, the oldest pid first, or None."""
    return next(iter(sorted(filter(wanted, processes()), key=lambda process: process.pid)), None)


def is_alive(process: Process) -> bool:
    """Is it still that very process, and not another with its pid?"""
    _reap()
    if _PROC.is_dir():
        row = _read_proc(_PROC / str(process.pid))
        return row is not None and row.started == process.started
    return any(row.pid == process.pid and row.started == process.started for row in processes())


def descendants(process: Process) -> list[Process]:
    """All that *process* started, and what those started, and so on."""
    table = processes()
    family = {process.pid}
    grown = 0
    while grown != len(family):
        grown = len(family)
        family |= {row.pid for row in table if row.parent in family}
    return [row for row in table if row.pid in family - {process.pid}]


def as_owner(owner: tuple[int, int] | None) -> dict[str, Any]:
    """Return the arguments of `subprocess` that run a program as user and group *owner*; None means as we are."""
    return {} if owner is None else {"user": owner[0], "group": owner[1], "extra_groups": []}


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    cwd: Path,
    executable: str | None = None,
    owner: tuple[int, int] | None = None,
) -> Process:
    """Start a program that outlives us, in a session of its own: Ctrl-C in our terminal does not reach it.

    Args:
        argv: Its arguments, the first one being its name.
        env: All of its environment.
        log: Where it prints to; what an earlier one printed is kept beside it as `*.old`.
        cwd: Its working folder.
        executable: The program, where that is not the name.
        owner: User and group id to run it as; None means ours.
    """
    if log.exists():
        log.replace(log.with_name(log.name + ".old"))
    with log.open("wb") as out:
        started = subprocess.Popen(
            argv,
            executable=executable,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
            **as_owner(owner),
        )
    _children.add(started.pid)
    started.returncode = 0  # it is meant to outlive this object, which would else warn of it; see _reap
    row = find(lambda process: process.pid == started.pid)
    if row is None:
        raise StartFailed(f"{argv[0]} ended at once.{tail(log)}")
    return row


def end(process: Process, how: signal.Signals, seconds: float) -> None:
    """End *process* and all it started: by *how*, and by SIGKILL what is left after *seconds*."""
    family = [process, *descendants(process)]
    _signal([process], how)
    if not wait_until(lambda: not is_alive(process), seconds):
        _signal([process], signal.SIGKILL)
    helpers_linger_seconds = 3.0  # they notice by themselves that their parent is gone
    if not wait_until(lambda: not any(map(is_alive, family)), helpers_linger_seconds):
        _signal(family, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, family)), helpers_linger_seconds)


def _signal(targets: Iterable[Process], how: signal.Signals) -> None:
    for target in targets:
        if is_alive(target):
            try:
                os.kill(target.pid, how)
            except ProcessLookupError:
                continue
            except PermissionError:
                raise LocalError(f"Process {target.pid} belongs to another user; end it as that user.") from None


def wait_until(condition: Callable[[], bool], seconds: float, stop: Event | None = None) -> bool:
    """Wait for *condition*, at most *seconds*; return whether it came true.

    Raises:
        Interrupted: *stop* was set meanwhile.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if stop is not None and stop.is_set():
            raise Interrupted("Interrupted; what had been started is ended again.")
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def tail(log: Path) -> str:
    """Return the last lines of *log* and its name, to end an error with."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    except OSError:
        return f" It left no log in {log}."
    return "\n".join([f" The end of {log}:", *(f"  | {line[:300]}" for line in lines)])


def is_free(port: int) -> bool:
    """Could a server listen on *port* now?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT does not hinder
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(taken: Iterable[int] = ()) -> int:
    """Return a free port that is not among *taken*."""
    candidates = [port for port in PORTS if port not in set(taken)]
    SystemRandom().shuffle(candidates)
    for port in candidates:
        if is_free(port):
            return port
    raise Unavailable(f"No port between {PORTS.start} and {PORTS.stop} is free on {LOOPBACK}.")
