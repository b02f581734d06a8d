"""Notices work that stands still, and ends the process for it, so that the platform starts it anew.

A part that dies ends the process by itself. This is for a part that lives and does nothing: each tells how much waits
with it and what changes whenever it gets on. A store that is away is not its fault: either it keeps trying, which
counts as getting on, or it is excused meanwhile.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Final

import msgspec

from shared.errors import FaxhookError

LOOK_EVERY_SECONDS: Final = 1.0

Look = tuple[int, Hashable]
"""How much waits, and something that is another whenever the part got on."""


class StoodStill(FaxhookError):
    """Work waited, and nothing was done."""

    code = "stood_still"


class Watch(msgspec.Struct, frozen=True):
    """A part that is watched.

    Attributes:
        name: What waits there, for the sentence: `3 records have waited …`.
        most_seconds: It may stand still for so long.
        look: Returns how it stands.
        is_excused: True while it cannot get on, through no fault of its own.
    """

    name: str
    most_seconds: float
    look: Callable[[], Look]
    is_excused: Callable[[], bool] = lambda: False


class Standstill:
    """How long one part has stood still. Pure but for what it is told."""

    def __init__(self) -> None:
        self._last: Hashable = None
        self.seconds = 0.0

    def step(self, look: Look, passed_seconds: float, *, is_excused: bool = False) -> float:
        """Take a look, *passed_seconds* after the one before; return for how long nothing was done that waits."""
        waiting, last = look
        self.seconds = 0.0 if not waiting or is_excused or last != self._last else self.seconds + passed_seconds
        self._last = last
        return self.seconds


async def watch(watches: Sequence[Watch], every_seconds: float = LOOK_EVERY_SECONDS) -> None:
    """Look for ever.

    Looks are counted, not the clock's seconds: a process that was itself stopped for a while has not stood still.

    Raises:
        StoodStill: Says what, for how long, and how much waits there.
    """
    standstills = [Standstill() for _ in watches]
    while True:
        await asyncio.sleep(every_seconds)
        for each, standstill in zip(watches, standstills, strict=True):
            look = each.look()
            seconds = standstill.step(look, every_seconds, is_excused=each.is_excused())
            if seconds >= each.most_seconds:
                raise StoodStill(
                    f"nothing was done for {seconds:.0f} s though there was work: {each.name}, {look[0]} waiting"
                )
