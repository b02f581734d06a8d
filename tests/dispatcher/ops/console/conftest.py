"""A dispatcher with its console on, and somebody who visits it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import aiohttp
import pytest
from browser_sessions import TOKENS, Visitor

from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


@pytest.fixture
async def visitor(dispatching: Dispatching, unused_tcp_port: int) -> AsyncIterator[Visitor]:
    async with (
        dispatching(**TOKENS),
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        yield Visitor(http, f"http://127.0.0.1:{unused_tcp_port}")
