"""Work on a batch of which one item may break our own code: that item is found, tried a few times and given up."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import asyncpg

from dispatcher.ledger.health import CutOff
from shared.errors import Misconfigured

MOST_TRIES: Final = 3
RETRY_SECONDS: Final = 0.5

NOT_ITEM_ERRORS: Final = (Misconfigured, CutOff, asyncpg.SyntaxOrAccessError)
"""No item is to blame: a setting is wrong, the ledger is away, or its schema is not this version's."""

Item = TypeVar("Item")


async def bisect_batch(
    items: Sequence[Item],
    work: Callable[[Sequence[Item]], Awaitable[None]],
    give_up: Callable[[Item, Exception], Awaitable[None]],
) -> None:
    """Do *work* on all *items*; where it fails, on halves of them, until the culprit stands alone.

    The culprit is tried `MOST_TRIES` times and handed to *give_up* with its last error; the others are done. So *work*
    may see an item again that was in one batch with the culprit. `NOT_ITEM_ERRORS` are raised.
    """
    for tried in range(1, MOST_TRIES + 1):
        try:
            await work(items)
            return
        except NOT_ITEM_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the process again and again
            if len(items) > 1:
                break
            if tried == MOST_TRIES:
                await give_up(items[0], error)
                return
        await asyncio.sleep(RETRY_SECONDS)
    middle = len(items) // 2
    await bisect_batch(items[:middle], work, give_up)
    await bisect_batch(items[middle:], work, give_up)
