"""What a fault is: something that breaks a stack under traffic and is then undone; a seed decides what is random."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from plan import Plan
from stack_under_fault import StackUnderFault

Act = Callable[[StackUnderFault, random.Random], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes:
        act: Breaks the stack, waits, and undoes it.
        plans: The plan of each process, by (`ingress` or `dispatcher`, 0 or 1).
        repeats: It kills a process that may have told without recording it; only then may a delivery be repeated.
        after_traffic: It strikes when all is accepted and in the ledger.
        are_dead_queues_kept: False if it deletes the dead queues.
        lasts: The traffic goes on until the fault is over, and no longer.
        may_refuse: Error codes that an ingress may answer beside 200 and 503.
    """

    name: str
    act: Act
    plans: dict[tuple[str, int], Plan] = field(default_factory=dict)
    repeats: bool = False
    after_traffic: bool = False
    are_dead_queues_kept: bool = True
    lasts: bool = False
    may_refuse: frozenset[str] = frozenset()


async def it_lasts(seconds: float) -> None:
    """Wait while a fault lasts."""
    await asyncio.sleep(seconds)  # the length is part of the fault: there is no condition to wait for
