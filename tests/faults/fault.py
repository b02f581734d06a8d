"""What a fault is: what is done to a stack under traffic, and mended; a seed decides what is left to chance."""

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
        plans: What is planned for which process: (`ingress` or `dispatcher`, 0 or 1).
        repeats: A process is killed that may have told without recording it; only then may anything be told twice.
        after_traffic: It strikes when all is accepted and taken into the ledger.
        are_letters_kept: False if it takes the dead-letter queues away.
        may_refuse: What an ingress may rightly answer beside 200 and 503.
    """

    name: str
    act: Act
    plans: dict[tuple[str, int], Plan] = field(default_factory=dict)
    repeats: bool = False
    after_traffic: bool = False
    are_letters_kept: bool = True
    may_refuse: frozenset[str] = frozenset()


async def it_lasts(seconds: float) -> None:
    """Let a fault strike for so long: its length is part of it, and there is nothing else to wait for."""
    await asyncio.sleep(seconds)
