"""Which core does what, so that the bench's own work is not on the core of what it measures.

The load, the applications and the readers of logs run on the first core that the bench may use; what is measured on the
second. While a handler is measured alone, the stores run with the load. While the whole way is measured, ingress,
dispatcher, RabbitMQ and PostgreSQL share the measured core: deliveries per second through it are deliveries per core.
With one core, or without `sched_setaffinity`, nothing is pinned.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from cpu import tree_of

_USABLE = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
"""Before anything was pinned."""


@dataclass(frozen=True)
class Cores:
    """The numbers of the two cores; None: whichever is free."""

    load: int | None
    measured: int | None

    def __str__(self) -> str:
        if self.load is None:
            return "no core is pinned: everything shares what there is"
        return f"load, applications and readers on core {self.load}; what is measured on core {self.measured}"


def choose_cores() -> Cores:
    """Return the first two cores that this process may use."""
    usable = sorted(_USABLE)
    return Cores(usable[0], usable[1]) if len(usable) > 1 else Cores(None, None)


def pin(root: int, core: int | None) -> None:
    """Keep *root*, what is below it, and all of their threads on *core*; what they start later inherits it.

    None: they may use every core again.
    """
    if not _USABLE:
        return
    for pid in tree_of(root):
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            try:
                os.sched_setaffinity(int(thread.name), _USABLE if core is None else {core})
            except OSError:  # it ended meanwhile
                continue


def pin_self(core: int | None) -> None:
    """Keep the calling process on *core*; for `preexec_fn`, too."""
    if _USABLE:
        os.sched_setaffinity(0, _USABLE if core is None else {core})
