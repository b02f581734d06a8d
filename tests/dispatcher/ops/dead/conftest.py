"""The dead letters of a harness, as a dispatcher and the command line open them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from dispatchers import DispatcherHarness

from dispatcher.ops.dead.service import DeadLetterService, open_dead_letters
from dispatcher.settings import DeadSettings
from shared.settings import load

Opening = Callable[..., AbstractAsyncContextManager[DeadLetterService]]


@pytest.fixture
def opening(harness: DispatcherHarness) -> Opening:
    """Call it for another person's view of the same stores."""

    def another(rate: float = 1_000.0) -> AbstractAsyncContextManager[DeadLetterService]:
        return open_dead_letters(load(DeadSettings, harness.environment), "test", rate=rate)

    return another


@pytest.fixture
async def dead(opening: Opening) -> AsyncIterator[DeadLetterService]:
    async with opening() as service:
        yield service
