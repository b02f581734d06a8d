"""The ledger's health: whether it answers, for how long it has not, and that its schema is this version's."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dispatchers import DispatcherHarness
from pgbouncers import pooled
from proxy import Proxy, proxied
from waiting import until

from dispatcher.ledger import health as module
from dispatcher.ledger.health import LedgerHealth, SchemaMissing, check_sessions_often
from dispatcher.ledger.pool import close_pool, open_pool
from shared.runtime.service import end
from shared.sql.connection import SharedSession, check_apart


@pytest.fixture
async def through(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[LedgerHealth, Proxy]]:
    monkeypatch.setattr(module, "ASK_EVERY_SECONDS", 0.05)
    monkeypatch.setattr(module, "SLOW_SECONDS", 0.3)
    monkeypatch.setattr(module, "CUT_OFF_AFTER_SECONDS", 1.0)
    async with proxied(harness.environment["DATABASE_URL"]) as (proxy, url):
        pool = await open_pool(url)
        health = LedgerHealth(pool, url)
        running = asyncio.create_task(health.run())
        async with asyncio.timeout(10):
            await health.schema_verified()
            await health.answering()
        yield health, proxy
        await end({running})
        await close_pool(pool)


@pytest.mark.parametrize("how", ["cut", "stall"])
async def test_a_ledger_that_goes_away_is_noticed_at_once_as_cut_off_after_a_while_and_as_back(
    through: tuple[LedgerHealth, Proxy], how: str
) -> None:
    health, proxy = through
    getattr(proxy, how)()
    await until(lambda: not health.is_answering, "it is noticed", 5)
    assert not health.is_cut_off
    await until(lambda: health.is_cut_off, "cut off", 10)
    await health.cut_off()
    proxy.restore()
    if how == "stall":
        proxy.cut()  # what hangs is over
        proxy.restore()
    await until(lambda: health.is_answering and not health.is_cut_off, "it is back", 10)
    assert health.progress()[1] > 1


async def test_a_ledger_that_is_not_migrated_ends_the_process_with_what_to_do(harness: DispatcherHarness) -> None:
    await harness.pool.execute("DROP TABLE alembic_version")
    with pytest.raises(SchemaMissing, match="faxhook migrate"):
        await LedgerHealth(harness.pool, harness.environment["DATABASE_URL"]).run()


async def test_before_the_schema_is_verified_nothing_counts_as_answering(harness: DispatcherHarness) -> None:
    await harness.pool.execute("UPDATE alembic_version SET version_num = '0000'")
    health: Any = LedgerHealth(harness.pool, harness.environment["DATABASE_URL"])
    with pytest.raises(SchemaMissing, match="revision 0000"):
        await health.run()
    assert not health.is_answering


async def test_a_ledger_that_was_migrated_for_a_later_version_is_taken(harness: DispatcherHarness) -> None:
    await harness.pool.execute("UPDATE alembic_version SET version_num = '9999'")
    health = LedgerHealth(harness.pool, harness.environment["DATABASE_URL"])
    running = asyncio.create_task(health.run())
    await until(lambda: health.is_answering or running.done(), "it answers")
    assert health.is_answering
    await end({running})


@pytest.mark.parametrize("how", ["restarted", "reloaded"])
async def test_a_pooler_whose_mode_is_changed_between_two_looks_is_noticed(
    database_url: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(module, "CHECK_SESSIONS_EVERY_SECONDS", 0.05)
    connects = 0

    def counted() -> bool:
        nonlocal connects
        connects += 1
        return True

    async with pooled(database_url) as bouncer:
        pool = await open_pool(bouncer.url, may_connect=counted)
        checking = asyncio.create_task(check_sessions_often(pool))
        await until(lambda: connects == 2, "looked")
        bouncer.configure({"pool_mode": "transaction"})
        if how == "restarted":
            await bouncer.stop()
            await until(lambda: connects > 4, "looked twice while it is away")
            await bouncer.start()
        else:
            bouncer.reload()
        with pytest.raises(SharedSession):
            async with asyncio.timeout(20):
                await checking
        await close_pool(pool)


async def test_looking_for_a_pooler_makes_no_new_connections(
    database_url: str, pool: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_SESSIONS_EVERY_SECONDS", 0.0)
    looked, connected = 0, []

    async def noted(first: Any, second: Any, **options: Any) -> None:
        nonlocal looked
        looked += 1
        await check_apart(first, second, **options)

    monkeypatch.setattr(module, "check_apart", noted)
    few = await open_pool(database_url, may_connect=lambda: connected.append(1) is None)
    checking = asyncio.create_task(check_sessions_often(few))
    await until(lambda: looked > 5, "looked often")
    await end({checking})
    assert len(connected) == 2
    await close_pool(few)
