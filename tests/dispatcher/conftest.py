"""Fixtures: an empty ledger, a dispatcher in the process of the test, and documents."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web
from compiled_once import compiled_once
from dispatchers import SECRETS_KEY, DispatcherHarness
from documents import PDF
from old_events import yes
from receiver import Receiver, receiving
from waiting import until

import dispatcher.maintenance.sweeper
from dispatcher.ledger.pool import open_pool
from dispatcher.maintenance.retention import Retention
from dispatcher.maintenance.sweeper import Sweeper
from shared.amqp.publisher import Publisher
from shared.media import MediaStore
from shared.runtime.service import Stop, end

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


@pytest.fixture(autouse=True, scope="session")
def _compiled_once() -> Iterator[None]:
    with compiled_once():
        yield


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_pool(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def harness(
    amqp_url: str, database_url: str, pool: asyncpg.Pool, receiver: Receiver, tmp_path: Path, backoff: str
) -> AsyncIterator[DispatcherHarness]:
    publisher = Publisher(amqp_url, "harness", confirm_timeout_seconds=10.0)  # a busy broker is not the test's matter
    task = asyncio.create_task(publisher.run())
    await until(lambda: publisher.is_ready, "publisher ready")
    yield DispatcherHarness(
        amqp_url=amqp_url,
        pool=pool,
        publisher=publisher,
        receiver=receiver,
        environment={
            "AMQP_URL": amqp_url,
            "DATABASE_URL": database_url,
            "MEDIA_URL": (tmp_path / "media").as_uri(),
            "SECRETS_KEY": SECRETS_KEY,
            "EGRESS_ALLOW_NETWORKS": "127.0.0.0/8",
            "BACKOFF": backoff,
        },
    )
    await end({task})


@pytest.fixture
def dispatching(harness: DispatcherHarness, unused_tcp_port: int) -> Dispatching:
    """Call it to run a dispatcher in this process until the body ends."""
    return lambda **environment: harness.dispatching(unused_tcp_port, **environment)


@pytest.fixture(autouse=True)
def _the_first_sweep_comes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher.maintenance.sweeper, "SETTLING_SECONDS", 0.1)


@pytest.fixture
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweep twenty times a second instead of every five seconds."""
    monkeypatch.setitem(Sweeper.__init__.__kwdefaults__, "every_seconds", 0.05)


@pytest.fixture
def store(tmp_path: Path) -> MediaStore:
    """A media store for this test alone."""
    return MediaStore((tmp_path / "media").as_uri())


@pytest.fixture
async def storage() -> AsyncIterator[Receiver]:
    """The provider's storage: it answers with `PDF` unless a test says otherwise."""
    async with receiving() as running:
        running.answer = lambda _received: web.Response(body=PDF, content_type="application/pdf")
        yield running


@pytest.fixture
def retention(harness: DispatcherHarness, store: MediaStore) -> Retention:
    """Prunes what is older than 30 days; no queue holds a message that the ledger does not know."""
    return Retention(harness.pool, store, yes, 30, look_every_seconds=0.05)
