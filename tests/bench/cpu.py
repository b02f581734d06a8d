"""CPU time of whole process trees, to a nanosecond: the kernel's run times, those of `/proc/<pid>/schedstat`."""

import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PARENT, _ENDED_CHILDREN = 1, slice(13, 15)
"""Of `/proc/<pid>/stat`, counted after the name in brackets: ppid; cutime and cstime."""


def cpu_seconds(root: int) -> float:
    """Return the CPU seconds that *root* and all below it have used so far.

    Ended threads count. Ended children count as soon as they are waited for, to a hundredth of a second each.
    """
    return sum(_own_seconds(pid) + _ended_seconds(pid) for pid in tree_of(root))


def tree_of(root: int) -> list[int]:
    """Return *root* and the processes below it."""
    children = _children()
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _own_seconds(pid: int) -> float:
    """Return the run time of a process, all of its threads included: the sum of their `schedstat`, ended ones too."""
    try:
        return time.clock_gettime(_cpu_clock_of(pid))
    except OSError:  # it ended meanwhile
        return 0.0


def _cpu_clock_of(pid: int) -> int:
    """Return what `clock_getcpuclockid` returns: the id of the clock of another process, as Linux makes it."""
    return (~pid << 3) | 2


def _ended_seconds(pid: int) -> float:
    try:
        return sum(map(int, _stat(pid)[_ENDED_CHILDREN])) / _TICKS
    except OSError:
        return 0.0


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            found.setdefault(int(_stat(int(path.name))[_PARENT]), []).append(int(path.name))
        except OSError:
            continue
    return found
