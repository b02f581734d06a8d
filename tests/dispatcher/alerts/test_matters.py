"""A matter is one row, however often it is raised; it opens once, resolves once, and its history says when."""

import asyncio

import asyncpg

from dispatcher.alerts.kinds import KINDS, Kind
from dispatcher.alerts.matters import open_subjects, raise_matter, resolve_matter, settle_happenings


async def history(pool: asyncpg.Pool) -> list[str]:
    return [row["what"] for row in await pool.fetch("SELECT what FROM alert_history ORDER BY id")]


def test_every_kind_says_what_to_do() -> None:
    assert set(KINDS) == set(Kind)
    assert all(facts.advice.endswith((".", "?")) and facts.page.startswith("/") for facts in KINDS.values())


async def test_a_condition_opens_once_and_keeps_its_latest_sentence_and_count(pool: asyncpg.Pool) -> None:
    assert await raise_matter(pool, Kind.ENDPOINT_FAILING, "one", "failing for 1 h", count=3)
    assert not await raise_matter(pool, Kind.ENDPOINT_FAILING, "one", "failing for 2 h", count=5)
    row = await pool.fetchrow("SELECT what, count FROM alerts")
    assert (row["what"], row["count"]) == ("failing for 2 h", 5)
    assert await history(pool) == ["raised"]


async def test_happenings_add_up_until_they_are_resolved(pool: asyncpg.Pool) -> None:
    for count in (3, 4):
        await raise_matter(pool, Kind.GAP_REPAIRED, "telnyx", "faxes were found", count=count)
    assert await pool.fetchval("SELECT count FROM alerts") == 7
    assert await resolve_matter(pool, Kind.GAP_REPAIRED, "telnyx")
    await raise_matter(pool, Kind.GAP_REPAIRED, "telnyx", "faxes were found", count=2)
    assert await pool.fetchval("SELECT count FROM alerts") == 2


async def test_a_matter_that_comes_again_is_the_same_with_a_longer_history(pool: asyncpg.Pool) -> None:
    assert await raise_matter(pool, Kind.SILENCE, "sinch", "no fax")
    assert await resolve_matter(pool, Kind.SILENCE, "sinch", "a fax came")
    assert not await resolve_matter(pool, Kind.SILENCE, "sinch")
    assert await raise_matter(pool, Kind.SILENCE, "sinch", "no fax")
    assert await pool.fetchval("SELECT count(*) FROM alerts") == 1
    assert await history(pool) == ["raised", "resolved", "raised"]
    assert await open_subjects(pool, Kind.SILENCE) == {"sinch"}


async def test_many_processes_at_once_open_a_matter_once(pool: asyncpg.Pool) -> None:
    opened = await asyncio.gather(*(raise_matter(pool, Kind.ENDPOINT_GONE, "one", "gone") for _ in range(6)))
    assert sum(opened) == 1
    assert await history(pool) == ["raised"]


async def test_a_matter_raised_in_a_transaction_that_fails_is_not_raised(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await raise_matter(connection, Kind.ENDPOINT_GONE, "one", "gone")
        await transaction.rollback()
    assert await pool.fetchval("SELECT count(*) FROM alerts") == 0


async def test_raised_twice_in_one_transaction_it_is_opened_once(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        assert await raise_matter(connection, Kind.FAXES_STALLED, "phaxio", "2 faxes", count=2)
        assert not await raise_matter(connection, Kind.FAXES_STALLED, "phaxio", "3 faxes", count=1)
    assert await history(pool) == ["raised"]


async def test_happenings_are_over_after_a_day_and_conditions_are_not(pool: asyncpg.Pool) -> None:
    await raise_matter(pool, Kind.GAP_REPAIRED, "telnyx", "faxes were found")
    await raise_matter(pool, Kind.ENDPOINT_GONE, "one", "gone")
    await settle_happenings(pool)
    assert await open_subjects(pool, Kind.GAP_REPAIRED) == {"telnyx"}
    await pool.execute("UPDATE alerts SET last_at = now() - interval '25 hours'")
    await settle_happenings(pool)
    assert await open_subjects(pool, Kind.GAP_REPAIRED) == set()
    assert await open_subjects(pool, Kind.ENDPOINT_GONE) == {"one"}


async def test_what_is_too_long_is_cut_off_and_still_the_same_matter(pool: asyncpg.Pool) -> None:
    assert await raise_matter(pool, Kind.SILENCE, "9" * 10_000, "x" * 10_000)
    assert not await raise_matter(pool, Kind.SILENCE, "9" * 10_000, "x" * 10_000)
    assert await resolve_matter(pool, Kind.SILENCE, "9" * 10_000)
