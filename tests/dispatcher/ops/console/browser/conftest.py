"""A dispatcher whose application refused what it was sent, and its console in a browser."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from aiohttp import web
from browser_sessions import TOKENS
from console_in_browser import REASON, Site
from dispatchers import DispatcherHarness, an_event

from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


@pytest.fixture
def backoff() -> str:
    """Long enough for a busy ledger to record the first attempt before the second's message comes."""
    return "0.8s"


@pytest.fixture
async def site(harness: DispatcherHarness, dispatching: Dispatching, unused_tcp_port: int) -> AsyncIterator[Site]:
    """A dispatcher whose application refused the events of three faxes until they were dead letters."""
    endpoint = await harness.endpoint(direction="sent", url=harness.receiver.url.replace("//", "//user:hunter2@"))
    harness.receiver.answer = lambda _received: web.Response(status=503, text=REASON)
    async with dispatching(**TOKENS):
        await harness.publish(*(an_event(number, to_number="+15550001111") for number in (4, 5, 6)))
        await harness.settled(3)
        harness.receiver.answer = lambda _received: 200
        yield Site(f"http://127.0.0.1:{unused_tcp_port}", harness, endpoint)
