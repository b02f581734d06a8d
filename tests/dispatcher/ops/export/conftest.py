"""A session at the console of a running dispatcher."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import aiohttp
import pytest
from browser_sessions import TOKENS, BrowserSession

from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


@pytest.fixture
async def session(dispatching: Dispatching, unused_tcp_port: int) -> AsyncIterator[BrowserSession]:
    async with (
        dispatching(**TOKENS),
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        yield BrowserSession(http, f"http://127.0.0.1:{unused_tcp_port}")
