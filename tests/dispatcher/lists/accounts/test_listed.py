"""What a page named is looked up by index, however the plan came about, and only what changed is written."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from dispatcher.ledger.pool import planned_by_index
from dispatcher.lists.accounts import listed
from dispatcher.lists.accounts.listed import Listed, cover, note_listed
from dispatcher.lists.known import known_faxes
from shared.domain import Provider

DAY = date(2026, 11, 29)
MIDNIGHT = datetime(2026, 11, 29, tzinfo=UTC)
FAXES = 20_000
PAGE = 250
READ = "SELECT coalesce(sum(seq_tup_read), 0)::int FROM pg_stat_user_tables WHERE relname = ANY($1::text[])"


def page(first: int, ending: str = "fax.delivered") -> list[Listed]:
    ids = [str(number) for number in range(first, first + PAGE)]
    return [Listed(fax_id=each, day=DAY, type=ending, event_id=f"phaxio:{each}") for each in ids]


async def test_a_page_reads_no_whole_table_though_its_plan_was_made_when_that_was_small(pool: asyncpg.Pool) -> None:
    tables = ["listed_faxes", "faxes", "events"]

    async def take(connection: Any, first: int) -> None:
        await note_listed(connection, Provider.PHAXIO, page(first))
        await known_faxes(connection, Provider.PHAXIO, [each.fax_id for each in page(first)])

    async with pool.acquire() as connection, planned_by_index(connection):
        for _ in range(8):  # the driver's statement is planned for good
            await take(connection, 1)
        for first in range(1, FAXES, PAGE):
            await note_listed(connection, Provider.PHAXIO, page(first))
        await connection.execute("SELECT pg_stat_force_next_flush()")
        before = await connection.fetchval(READ, tables)
        for first in range(1, 10 * PAGE, PAGE):
            await take(connection, first)
        await connection.execute("SELECT pg_stat_force_next_flush()")
        assert await connection.fetchval(READ, tables) - before < FAXES
    assert await pool.fetchval("SHOW enable_seqscan") == "on"


async def test_live_commits_do_not_wait_for_what_a_list_named_and_the_part_that_was_read_is_kept_for_good(
    pool: asyncpg.Pool,
) -> None:
    """A trigger notes how each transaction will commit."""
    await pool.execute(
        """
        CREATE TABLE commits (of text, synchronous text);
        CREATE FUNCTION note_commit() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO commits VALUES (TG_TABLE_NAME, current_setting('synchronous_commit'));
            RETURN NULL;
        END $$;
        CREATE TRIGGER note_commit AFTER INSERT ON listed_faxes FOR EACH STATEMENT EXECUTE FUNCTION note_commit();
        CREATE TRIGGER note_commit AFTER INSERT ON accounts FOR EACH STATEMENT EXECUTE FUNCTION note_commit();
        """
    )
    async with pool.acquire() as connection:
        await note_listed(connection, Provider.PHAXIO, page(1))
        await cover(connection, Provider.PHAXIO, MIDNIGHT, MIDNIGHT + timedelta(hours=2))
    found = await pool.fetch("SELECT of, synchronous FROM commits")
    assert [tuple(row) for row in found] == [("listed_faxes", "off"), ("accounts", "on")]


async def test_only_what_changed_is_written(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    await note_listed(pool, Provider.PHAXIO, page(1))
    written = "SELECT count(*) FROM listed_faxes WHERE xmin = pg_current_xact_id()::xid"
    for changed, wanted in (([], 0), (page(1, "fax.failed")[:3], 3)):
        async with pool.acquire() as connection, connection.transaction():
            await note_listed(connection, Provider.PHAXIO, [*changed, *page(1)[len(changed) :]])
            assert await connection.fetchval(written) == wanted
    assert await pool.fetchval("SELECT count(*) FROM listed_faxes WHERE type = 'fax.failed'") == 3
    monkeypatch.setattr(listed, "NOTE", "SELECT 1 / 0")
    await note_listed(pool, Provider.PHAXIO, [*page(1, "fax.failed")[:3], *page(1)[3:]])
