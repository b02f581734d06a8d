"""Slows down guessing of tokens. Pure: the clock is an argument; each process counts for itself."""

from collections import OrderedDict
from typing import Final

FREE_TRIES: Final = 5
"""Wrong tokens from one address before it has to wait: mistyping is free."""

LONGEST_WAIT_SECONDS: Final = 30.0
"""Two guesses a minute find no token; a longer wait would lock out people who share the address of a proxy."""

FORGOTTEN_SECONDS: Final = 900.0
MOST_ADDRESSES: Final = 10_000


class Throttle:
    """Counts wrong tokens for each address."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_seconds(self, address: str, now: float) -> float:
        """Return how long *address* has to wait at *now* (monotonic seconds); 0: it may try.

        The wait doubles with every further wrong token: 1, 2, 4, … 30 s.
        """
        count, last_at = self._tries.get(address, (0, now))
        if count < FREE_TRIES or now - last_at > FORGOTTEN_SECONDS:
            return 0.0
        wait: float = min(LONGEST_WAIT_SECONDS, 2.0 ** min(count - FREE_TRIES, 10))
        return max(0.0, last_at + wait - now)

    def failed(self, address: str, now: float) -> None:
        """Count a wrong token."""
        count, last_at = self._tries.pop(address, (0, now))
        self._tries[address] = (1 if now - last_at > FORGOTTEN_SECONDS else count + 1, now)
        while len(self._tries) > MOST_ADDRESSES:
            self._tries.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget the wrong tokens before."""
        self._tries.pop(address, None)
