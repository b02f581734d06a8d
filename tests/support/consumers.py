"""What a consumer needs beside its queue, for tests that run one alone."""

import asyncio
from typing import Any


async def ready() -> None:
    """At once."""


class AnsweringLedger:
    """A ledger's health as it is while the ledger answers."""

    is_cut_off = False

    async def answering(self) -> None:
        """At once."""

    async def cut_off(self) -> None:
        """Never."""
        await asyncio.get_running_loop().create_future()


class UnusedCapacity:
    """Capacity that is there while `event` is set."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.event.set()

    @property
    def has_capacity(self) -> bool:
        return self.event.is_set()

    async def capacity(self) -> Any:
        await self.event.wait()
