"""Work on a batch of which one item may break our own code: it is found, tried a few times and given up, alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from shared.errors import Misconfigured

MOST_TRIES: Final = 3
RETRY_SECONDS: Final = 0.5

Item = TypeVar("Item")


async def bisect_batch(
    items: Sequence[Item],
    work: Callable[[Sequence[Item]], Awaitable[None]],
    give_up: Callable[[Item, Exception], Awaitable[None]],
    passes_on: tuple[type[Exception], ...] = (Misconfigured,),
) -> None:
    """Do *work* on all *items*; where it breaks, on halves of them, until the culprit stands alone.

    That one is tried `MOST_TRIES` times and handed to *give_up* with its last error; all others are done. *work* may
    thus see an item again whose company broke. *passes_on* is raised: no item is to blame for it.
    """
    for tried in range(1, MOST_TRIES + 1):
        try:
            await work(items)
            return
        except passes_on:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the process again and again
            if len(items) > 1:
                break
            if tried == MOST_TRIES:
                await give_up(items[0], error)
                return
        await asyncio.sleep(RETRY_SECONDS)
    middle = len(items) // 2
    await bisect_batch(items[:middle], work, give_up, passes_on)
    await bisect_batch(items[middle:], work, give_up, passes_on)
