"""CPU time of whole process trees, from `/proc`: threads, children, and children that have ended."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PARENT, _TIMES = 1, slice(11, 15)  # ppid; utime, stime, cutime, cstime: counted after the name in brackets


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            found.setdefault(int(_stat(int(path.name))[_PARENT]), []).append(int(path.name))
        except OSError:  # ended meanwhile
            continue
    return found


def cpu_seconds(root: int) -> float:
    """Return the CPU seconds that *root* and all below it have used so far; to a hundredth."""
    children, pids, seconds = _children(), [root], 0.0
    while pids:
        pid = pids.pop()
        pids += children.get(pid, [])
        try:
            seconds += sum(map(int, _stat(pid)[_TIMES])) / _TICKS
        except OSError:
            continue
    return seconds
