"""How long a batch waits for more before it is taken: only while items come densely and batches are small. Pure.

A transaction for one item costs the ledger four times what an item of a batch of fifty costs. Where items come so
densely that a short wait brings another, it is cheaper to wait; where they come singly, no one waits.
"""

import math
from typing import Final

LINGER_SECONDS: Final = 0.005
"""Longer would be felt: first attempts wait for it, and what is told is recorded so much later."""

ENOUGH: Final = 50
"""Items of a batch; from here on a larger one saves little."""

REMEMBERED_SECONDS: Final = 0.1
"""How soon the density of what comes is forgotten."""


class Linger:
    """One for each queue of items that are taken in batches. Times are of a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._per_second = 0.0
        self._took_at = -math.inf

    def wait_seconds(self, waiting: int, now: float) -> float:
        """Return how long a batch, of which *waiting* items are there, waits for more: 0 or `LINGER_SECONDS`."""
        is_dense = self._decayed(now) * LINGER_SECONDS >= 1.0
        return LINGER_SECONDS if is_dense and waiting < ENOUGH else 0.0

    def took(self, count: int, now: float) -> None:
        """Note that a batch of *count* items is taken at *now*."""
        self._per_second = self._decayed(now) + count / REMEMBERED_SECONDS
        self._took_at = now

    def _decayed(self, now: float) -> float:
        return self._per_second * math.exp((self._took_at - now) / REMEMBERED_SECONDS)
