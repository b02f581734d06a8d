"""Ends the process when a part of it stalls, so that the platform starts it again.

A part that dies ends the process by itself. This is for a part that lives and does nothing: each reports how much waits
for it, and a value that changes whenever it makes progress. An unreachable store is not a stall: a part that keeps
trying makes progress, or is excused meanwhile.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Final

import msgspec

from shared.errors import FaxhookError

LOOK_EVERY_SECONDS: Final = 1.0

Look = tuple[int, Hashable]
"""How much waits, and a value that differs whenever the part made progress."""


class Stalled(FaxhookError):
    """Work waited, and no progress was made."""

    code = "stalled"


class Watch(msgspec.Struct, frozen=True):
    """A part that is watched.

    Attributes:
        name: What waits there, for the sentence, e.g. `messages of the work queues`.
        most_seconds: How long it may make no progress.
        look: Returns its state.
        is_excused: True while it cannot make progress for a reason outside of it.
    """

    name: str
    most_seconds: float
    look: Callable[[], Look]
    is_excused: Callable[[], bool] = lambda: False


class StallTimer:
    """How long one part has made no progress. Pure: it knows only the looks that it is given."""

    def __init__(self) -> None:
        self._last: Hashable = None
        self.seconds = 0.0

    def step(self, look: Look, passed_seconds: float, *, is_excused: bool = False) -> float:
        """Take a look, *passed_seconds* after the one before; return for how long waiting work made no progress."""
        waiting, last = look
        self.seconds = 0.0 if not waiting or is_excused or last != self._last else self.seconds + passed_seconds
        self._last = last
        return self.seconds


async def watch(watches: Sequence[Watch], every_seconds: float = LOOK_EVERY_SECONDS) -> None:
    """Look at every part for ever.

    Looks are counted, not the clock's seconds: a process that was itself suspended for a while has not stalled.

    Raises:
        Stalled: Names the part, for how long, and how much waits there.
    """
    timers = [StallTimer() for _ in watches]
    while True:
        await asyncio.sleep(every_seconds)
        for each, timer in zip(watches, timers, strict=True):
            look = each.look()
            seconds = timer.step(look, every_seconds, is_excused=each.is_excused())
            if seconds >= each.most_seconds:
                raise Stalled(
                    f"nothing was done for {seconds:.0f} s though there was work: {each.name}, {look[0]} waiting"
                )
