"""How far behind the dispatchers are, and so for how long what is due is still left to its message.

A delivery that is due and has no lease either waits in `work.deliveries` behind others, or has lost its message. The
ledger shows no difference, and a count of what is due says little: it shrinks while the age of the last one grows. But
the queue is first in, first out. As long as what was due at ten is being claimed, whatever was due later than ten may
still have its message; only what was due well before has been passed by.

So each process notes how long overdue its claims are. That costs nothing, and holds for all: RabbitMQ hands a queue
out to its consumers in turns, so each of them sees the same lag. A process that neither claimed lately nor waits at an
empty queue is paused, cut off, or has only just started: it leaves the judgement to the others.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

GRACE_SECONDS: Final = 60.0
"""On top of the lag: what leaves a delay queue in bulk trickles, and several dispatchers are not quite in step."""

SEEN_SECONDS: Final = 120.0
"""So long a claim counts: the longest attempt, during which a process may be too full to claim anything."""

IDLE_SECONDS: Final = 2.0
"""A queue that gave nothing for so long is empty."""


class ConsumerLag:
    """The lag as this process saw it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._claims: deque[tuple[float, float]] = deque()

    def note_claims(self, overdue_seconds: Sequence[float]) -> None:
        """Note a batch of claims: how long after its due time each came."""
        if overdue_seconds:
            now = self._clock()
            self._claims.append((now, now - max(0.0, *overdue_seconds)))
            self._forget(now)

    def grace_seconds(self, idle_seconds: float) -> float | None:
        """Return how long after its due time a delivery is left to its message; None if this process cannot tell.

        *idle_seconds* is how long its consumer has been waiting at an empty queue.
        """
        now = self._clock()
        self._forget(now)
        if not self._claims and idle_seconds < IDLE_SECONDS:
            return None
        return grace_seconds([due_at for _, due_at in self._claims], now)

    def _forget(self, now: float) -> None:
        while self._claims and self._claims[0][0] < now - SEEN_SECONDS:
            self._claims.popleft()


def grace_seconds(due_at: Sequence[float], now: float) -> float:
    """Return the grace while deliveries are being claimed that were due at *due_at*: back to the oldest, and some more.

    >>> grace_seconds([], 1000.0), grace_seconds([995.0, 400.0, 990.0], 1000.0)
    (60.0, 660.0)
    """
    return GRACE_SECONDS + max(0.0, now - min(due_at, default=now))
