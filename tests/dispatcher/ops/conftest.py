"""What the tests of the ops surface share: a dispatcher's API and console, and the environment of `faxhook endpoints`."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import aiohttp
import browser_sessions
import pytest
from apis import TOKENS, Api
from browser_sessions import BrowserSession
from dispatchers import SECRETS_KEY

from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


@pytest.fixture
async def api(dispatching: Dispatching, unused_tcp_port: int) -> AsyncIterator[Api]:
    """The API of a dispatcher that runs as long as the test."""
    async with dispatching(**TOKENS), aiohttp.ClientSession() as http:
        yield Api(http, f"http://127.0.0.1:{unused_tcp_port}")


@pytest.fixture
async def session(dispatching: Dispatching, unused_tcp_port: int) -> AsyncIterator[BrowserSession]:
    """A session at the console of a dispatcher that runs as long as the test."""
    async with (
        dispatching(**browser_sessions.TOKENS),
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
    ):
        yield BrowserSession(http, f"http://127.0.0.1:{unused_tcp_port}")


@pytest.fixture
def environment(database_url: str) -> dict[str, str]:
    """Of a command that needs the ledger only."""
    return {
        "AMQP_URL": "amqp://unused/",
        "DATABASE_URL": database_url,
        "SECRETS_KEY": SECRETS_KEY,
        "EGRESS_ALLOW_NETWORKS": "127.0.0.0/8",
        "COLUMNS": "160",
    }
