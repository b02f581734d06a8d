"""Depths of the queues over the last hour, sampled by this process. In memory only: a restart forgets them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from dispatcher.ops.queues.bodies import Queues

SAMPLE_SECONDS: Final = 10.0
KEPT_SECONDS: Final = 3_600.0


class Sample(msgspec.Struct, frozen=True):
    """The depth of every queue at one time; a queue that could not be read is absent."""

    at: datetime
    messages: dict[str, int]


class QueueHistory:
    """The last hour, one sample every `SAMPLE_SECONDS`."""

    def __init__(self, read: Callable[[], Awaitable[Queues]]) -> None:
        self._read = read

    def samples(self) -> Sequence[Sample]:
        """Return what is remembered, the oldest first."""
        raise NotImplementedError

    @property
    def latest(self) -> Queues | None:
        """The queues as they were read last."""
        raise NotImplementedError

    async def run(self) -> None:
        """Sample for ever; what cannot be read is a gap."""
        raise NotImplementedError
