"""Waiting for a condition with a deadline; the tests' only way to wait."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def until(condition: Callable[[], Any | Awaitable[Any]], what: str, seconds: float = 30.0) -> Any:
    """Poll *condition* until it gives something true, and return that; fail naming *what* after *seconds*."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if hasattr(value, "__await__"):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.02)  # the one poll that tests wait by
