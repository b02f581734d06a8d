"""Depths of the queues over the last hour, sampled by this process. In memory only: a restart forgets them."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

import msgspec

from dispatcher.ops.queues.bodies import Queues
from dispatcher.ops.queues.picture import LastEmpty
from shared.amqp.channel import QueueDepth
from shared.domain import utc_now

SAMPLE_SECONDS: Final = 10.0
KEPT_SECONDS: Final = 3_600.0
FRESH_SECONDS: Final = 1.0
"""A second request within this time gets the same answer: many open consoles cost as much as one."""


class Reading(Protocol):
    """What reads the queues."""

    async def depths(self) -> dict[str, QueueDepth] | None:
        """Return the depth of every queue; None if the broker is away."""

    async def read(self, last_empty: LastEmpty) -> Queues:
        """Return every queue with all that is known of it."""


class Sample(msgspec.Struct, frozen=True):
    """How many messages were ready in each queue at one time."""

    at: datetime
    messages: dict[str, int]


class QueueHistory:
    """The last hour, one sample every *every_seconds*; and the queues as they are now."""

    def __init__(self, reader: Reading, every_seconds: float = SAMPLE_SECONDS) -> None:
        self._reader = reader
        self._every_seconds = every_seconds
        self._samples: deque[Sample] = deque(maxlen=round(KEPT_SECONDS / every_seconds))
        self._last_empty: dict[str, datetime] = {}
        self._latest: Queues | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    def samples(self) -> Sequence[Sample]:
        """Return what is remembered, the oldest first. While the broker was away there is a gap."""
        return list(self._samples)

    def last_empty(self, name: str) -> datetime | None:
        """Return when a queue was last seen empty; None if it never was."""
        return self._last_empty.get(name)

    async def now(self) -> Queues:
        """Return the queues as they are now, or were within `FRESH_SECONDS`."""
        async with self._reading:
            if self._latest is None or time.monotonic() - self._read_at > FRESH_SECONDS:
                self._latest = await self._reader.read(self.last_empty)
                self._read_at = time.monotonic()
            return self._latest

    async def sample(self) -> None:
        """Take one sample."""
        found = await self._reader.depths()
        if found is None:
            return
        at = utc_now()
        self._samples.append(Sample(at, {name: depth.messages for name, depth in found.items()}))
        for name, depth in found.items():
            if depth.messages == 0:
                self._last_empty[name] = at

    async def run(self) -> None:
        """Sample for ever."""
        while True:
            await self.sample()
            await asyncio.sleep(self._every_seconds)
