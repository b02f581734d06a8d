"""The code wants the newest migration, and processes that migrate at once all succeed."""

import asyncio
import os
import sys

import asyncpg
import msgspec
import pytest
from alembic.script import ScriptDirectory

from shared.sql import REVISION
from shared.sql.migrate import MIGRATIONS, UnknownRevision, migrate


async def migrated(database_url: str) -> dict[str, str | None]:
    """Run `faxhook migrate` as a process of its own, as an init container does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dispatcher.ops", "migrate", "--json"),
        env={**os.environ, "AMQP_URL": "amqp://unused/", "DATABASE_URL": database_url},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        answer, _ = await process.communicate()
    assert process.returncode == 0
    return msgspec.json.decode(answer)


def test_the_code_wants_the_newest_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == REVISION


async def test_a_ledger_of_another_version_is_refused_in_a_sentence_and_left_as_it_is(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UnknownRevision, match="revision 9999, which this version does not know"):
        await migrate(database_url)
    assert await connection.fetchval("SELECT version_num FROM alembic_version") == "9999"
    await connection.close()


async def test_many_who_migrate_an_empty_ledger_at_once_all_succeed_and_again_changes_nothing(
    database_url: str,
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    results = await asyncio.gather(*(migrated(database_url) for _ in range(3)))
    assert {each["after"] for each in results} == {REVISION}
    assert await migrated(database_url) == {"before": REVISION, "after": REVISION}
    assert await connection.fetchval("SELECT count(*) FROM deliveries") == 0
    await connection.close()
