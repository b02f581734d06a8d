"""How much of the machine other programs take meanwhile: what is measured while they are busy says nothing."""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

STORES = {"beam.smp", "postgres"}
"""Those of others are not told from ours; whatever uses them is a program of another name."""

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def ticks_of_others(own: int) -> Counter[int]:
    """Return what each process has taken so far, in ticks, but for *own* with its descendants, and for stores."""
    parents: dict[int, int] = {}
    ticks: Counter[int] = Counter()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            head, _, rest = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
        except OSError:  # it has just ended
            continue
        fields, pid = rest.split(), int(folder.name)
        parents[pid] = int(fields[1])
        if head.partition("(")[2] not in STORES:
            ticks[pid] = int(fields[11]) + int(fields[12])
    return Counter({pid: taken for pid, taken in ticks.items() if not _descends(pid, own, parents)})


def _descends(pid: int, own: int, parents: dict[int, int]) -> bool:
    while pid != own and pid in parents:
        pid = parents[pid]
    return pid == own


class Others:
    """Notes what other programs take, phase by phase.

    Attributes:
        shares: By phase, in cores.
    """

    def __init__(self, phase_seconds: float) -> None:
        self.shares: dict[int, float] = {}
        self._phase_seconds = phase_seconds

    async def watch(self) -> None:
        """Look at the start of each phase, until cancelled."""
        own = os.getpid()
        before, at = ticks_of_others(own), time.time()
        while True:
            phase, into = divmod(time.time(), self._phase_seconds)
            await asyncio.sleep(self._phase_seconds - into)
            now, until = ticks_of_others(own), time.time()
            taken = sum(max(0, ticks - before[pid]) for pid, ticks in now.items() if pid in before)
            self.shares[int(phase)] = taken / TICKS_PER_SECOND / (until - at)
            before, at = now, until
