"""While a provider is waited for, the ledger's session stays: it holds the lock of the dispatcher that reads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from dispatchers import DispatcherHarness
from list_provider import ListProvider
from waiting import until

from dispatcher.configuration.lists import Access
from dispatcher.egress.client import EgressClient
from dispatcher.egress.guard import parse_networks
from dispatcher.ledger.locks import stay_awake
from dispatcher.lists.apis.by_provider import list_api
from dispatcher.lists.client import ListClient, nothing
from dispatcher.lists.errors import ListUnavailable
from shared.domain import Provider
from shared.runtime.service import Stop
from shared.sql.connection import connect

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


async def hangs(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)  # longer than any request waits
    return web.Response()


@pytest.fixture
async def egress() -> AsyncIterator[EgressClient]:
    client = EgressClient(parse_networks(["127.0.0.0/8"]))
    yield client
    await client.close()


@pytest.mark.parametrize("is_kept_awake", [True, False])
async def test_a_provider_that_hangs_for_longer_than_a_session_may_be_idle_does_not_end_it(
    harness: DispatcherHarness,
    provider: ListProvider,
    egress: EgressClient,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_kept_awake: bool,
) -> None:
    for name, value in {"REQUEST_SECONDS": 0.8, "TRIES": 2, "FIRST_WAIT_SECONDS": 0.8, "WAKE_SECONDS": 0.2}.items():
        monkeypatch.setattr(f"dispatcher.lists.client.{name}", value)
    provider.disturb = hangs
    settings = {"idle_session_timeout": "1s"}
    connection = await connect(harness.environment["DATABASE_URL"], session_settings=settings)
    access = Access(provider=Provider.TELNYX, url=provider.environment["TELNYX_API_URL"], secret="key")
    awake: Any = partial(stay_awake, connection) if is_kept_awake else nothing
    try:
        with pytest.raises(ListUnavailable, match="did not answer"):
            await ListClient(egress, list_api(access), stay_awake=awake).fax("1")
        if is_kept_awake:
            assert await connection.fetchval("SELECT 1") == 1
        else:
            with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
                await connection.fetchval("SELECT 1")
    finally:
        connection.terminate()


async def test_both_who_ask_with_a_lock_in_hand_keep_its_session_awake(
    harness: DispatcherHarness,
    dispatching: Dispatching,
    provider: ListProvider,
    often: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    woken: set[str] = set()

    async def note(name: str, _connection: Any) -> None:
        woken.add(name)

    for name in ("reconciler", "stalled.watch"):
        monkeypatch.setattr(f"dispatcher.lists.{name}.stay_awake", partial(note, name))
    monkeypatch.setattr("dispatcher.lists.client.WAKE_SECONDS", 0.05)
    provider.disturb = hangs
    await harness.take(provider.fax("phaxio", 1, "fax.delivered").event_of_callback())
    await harness.pool.execute("UPDATE faxes SET endings = 0, recorded_at = now() - interval '7 hours', rank = 30")
    async with dispatching(**often):
        await until(lambda: len(woken) == 2, "both stay awake")
