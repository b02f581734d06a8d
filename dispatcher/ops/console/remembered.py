"""What several pages show and costs a moment to read: read once for all who look, and kept for some seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """The latest value of *read*, at most *seconds* old by *clock*."""

    def __init__(self, read: Callable[[], Awaitable[Value]], seconds: float, clock: Callable[[], float]) -> None:
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._lock = asyncio.Lock()
        self._value: Value | None = None
        self._read_at = float("-inf")

    @property
    def last(self) -> Value | None:
        """What was read last, however old; None before the first time."""
        return self._value

    def forget(self) -> None:
        """Read anew the next time: something was changed."""
        self._read_at = float("-inf")

    async def get(self) -> Value:
        """Return the value; many who ask at once cause one read."""
        async with self._lock:
            if self._value is None or self._clock() - self._read_at > self._seconds:
                self._value = await self._read()
                self._read_at = self._clock()
            return self._value
