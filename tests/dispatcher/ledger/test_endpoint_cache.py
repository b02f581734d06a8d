"""The cache holds the endpoints of scopes global and number, follows the ledger, and is waited for before any routing."""

import asyncio
from collections.abc import Iterable

import asyncpg
import pytest
from dispatchers import SECRETS_KEY, STORE, an_event
from ledgers import endpoint as add_endpoint
from proxy import proxied
from waiting import until

from dispatcher.ledger import endpoint_cache as module
from dispatcher.ledger.endpoint_cache import EndpointCache
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import Pool, close_pool, open_pool
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.domain import EventType
from shared.runtime.service import end
from shared.seal import Seal


def candidates(cache: EndpointCache, to_number: str | None) -> list[Endpoint]:
    return cache.candidates(an_event(1, EventType.RECEIVED, to_number=to_number))


async def verified() -> None:
    """The schema is verified at once."""


class CountingStore(EndpointStore):
    """Counts how often the endpoints are asked for, whether or not the ledger answers."""

    reads = 0

    async def cached(self, pool: Pool) -> list[Endpoint]:
        self.reads += 1
        return await super().cached(pool)


async def test_candidates_are_those_of_the_number_then_the_global_ones_and_never_those_of_a_fax(
    pool: asyncpg.Pool,
) -> None:
    first = await add_endpoint(pool)
    of_number = [await add_endpoint(pool, scope="number", match="+15551") for _ in range(2)]
    await add_endpoint(pool, scope="fax", match=FaxMatch(job_id="job"))
    second = await add_endpoint(pool, enabled=False)
    cache = EndpointCache(pool, STORE)
    await cache.refresh()
    assert candidates(cache, "+15551") == [*of_number, first, second], "a disabled one supersedes as well"
    assert candidates(cache, "+15552") == candidates(cache, None) == [first, second]


async def test_a_refresh_takes_in_what_was_added_changed_and_removed(pool: asyncpg.Pool) -> None:
    cache = EndpointCache(pool, STORE)
    await cache.refresh()
    assert candidates(cache, "+15551") == []
    of_number, general = await add_endpoint(pool, scope="number", match="+15551"), await add_endpoint(pool)
    assert candidates(cache, "+15551") == [], "as it was last read"
    await cache.refresh()
    assert candidates(cache, "+15551") == [of_number, general]
    await STORE.remove(pool, general.id)
    moved = Endpoint(id=of_number.id, scope="number", match="+15552", url=of_number.url)
    await STORE.update(pool, moved)
    await cache.refresh()
    assert candidates(cache, "+15551") == []
    assert candidates(cache, "+15552") == [moved]


@pytest.mark.parametrize("endpoints", [0, 1])
async def test_it_is_loaded_by_the_first_read_even_if_there_is_no_endpoint(pool: asyncpg.Pool, endpoints: int) -> None:
    for _ in range(endpoints):
        await add_endpoint(pool)
    cache = EndpointCache(pool, STORE)
    loading = asyncio.create_task(cache.loaded())
    await asyncio.sleep(0)  # the task's first turn, after which it would be done if it did not wait
    assert not loading.done()
    assert cache.progress() == (0, 0)
    await cache.refresh()
    async with asyncio.timeout(5):
        await loading


async def test_it_reads_once_the_schema_is_verified_and_again_and_again(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REFRESH_SECONDS", 0.01)
    is_verified = asyncio.Event()
    cache = EndpointCache(pool, STORE)

    async def wait_for_it() -> None:
        await is_verified.wait()

    running = asyncio.create_task(cache.run(wait_for_it))
    try:
        await asyncio.sleep(0)  # the task's first turn, in which it would read if it did not wait
        assert cache.progress() == (0, 0)
        is_verified.set()
        async with asyncio.timeout(5):
            await cache.loaded()
        made = await add_endpoint(pool)
        await until(lambda: candidates(cache, None) == [made], "the new one is in the cache", 5)
        assert cache.progress()[1] > 1
    finally:
        await end({running})


async def test_what_was_read_last_stays_while_the_ledger_is_away_and_follows_it_when_it_is_back(
    pool: asyncpg.Pool, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REFRESH_SECONDS", 0.01)
    made = await add_endpoint(pool)
    async with proxied(database_url) as (proxy, through):
        own_pool = await open_pool(through)
        store = CountingStore(Seal([SECRETS_KEY]))
        cache = EndpointCache(own_pool, store)
        running = asyncio.create_task(cache.run(verified))
        try:
            async with asyncio.timeout(5):
                await cache.loaded()
            proxy.cut()
            reads = store.reads
            other = await add_endpoint(pool)
            await until(lambda: store.reads > reads + 1, "it goes on trying")
            assert _ids(candidates(cache, None)) == [made.id]
            proxy.restore()
            await until(lambda: _ids(candidates(cache, None)) == [made.id, other.id], "it follows the ledger again")
        finally:
            await end({running})
            await close_pool(own_pool)


def _ids(endpoints: Iterable[Endpoint]) -> list[object]:
    return [each.id for each in endpoints]
