"""The application's role reads and writes rows and no more; one that lacks a right is told which, and what to do."""

import asyncpg
import pytest
from stores import application_role, as_application

from dispatcher.ledger.health import LedgerHealth
from dispatcher.ledger.pool import close_pool, open_pool
from shared.sql.connection import connect
from shared.sql.migrate import migrate
from shared.sql.roles import TABLES, RoleLacksRights, check_rights, grant


@pytest.fixture
async def owner(database_url):
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def application(database_url):
    connection = await connect(as_application(database_url))
    yield connection
    await connection.close()


async def test_the_tables_that_are_looked_at_are_those_of_the_ledger(owner):
    rows = await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert {row["tablename"] for row in rows} == {*TABLES, "alembic_version"}


async def test_the_application_has_the_rights_that_it_needs(application):
    await check_rights(application)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE more ()",
        "DROP TABLE deliveries",
        "TRUNCATE deliveries",
        "ALTER TABLE deliveries ADD COLUMN more int",
        "UPDATE alembic_version SET version_num = '0000'",
        "DELETE FROM alembic_version",
    ],
)
async def test_the_application_may_not_change_the_schema(application, statement):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await application.execute(statement)


@pytest.mark.parametrize("right", ["SELECT", "INSERT", "UPDATE", "DELETE"])
@pytest.mark.parametrize("table", ["attempts", "deliveries"])
async def test_a_right_that_is_missing_is_named_at_start_with_what_to_do(database_url, owner, table, right):
    await owner.execute(f"REVOKE {right} ON {table} FROM {application_role()}")
    pool = await open_pool(as_application(database_url))
    try:
        with pytest.raises(RoleLacksRights, match=rf"{table} \({right}\): run `faxhook migrate` as the owner"):
            await LedgerHealth(pool, as_application(database_url)).run()
    finally:
        await close_pool(pool)


async def test_a_role_without_any_right_is_told_at_start(database_url, owner):
    await owner.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {application_role()}")
    pool = await open_pool(as_application(database_url))
    try:
        with pytest.raises(RoleLacksRights, match="faxhook migrate"):
            await LedgerHealth(pool, as_application(database_url)).run()
    finally:
        await close_pool(pool)


async def test_migrating_again_grants_again(database_url, owner, application):
    await owner.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {application_role()}")
    await migrate(database_url, application_role())
    await check_rights(application)


async def test_a_schema_that_the_owner_of_the_tables_may_not_let_the_application_use_is_named(owner):
    """PostgreSQL only warns, and the services would find a ledger without a revision."""
    other = f"{application_role()}_owner"
    await owner.execute(f"CREATE ROLE {other}; REVOKE ALL ON SCHEMA public FROM PUBLIC, {application_role()}")
    try:
        await owner.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {other}; SET ROLE {other}")
        with pytest.raises(RoleLacksRights, match=rf"GRANT USAGE ON SCHEMA public TO {application_role()}$"):
            await grant(owner, application_role())
    finally:
        await owner.execute(f"RESET ROLE; DROP OWNED BY {other}; DROP ROLE {other}")


async def test_a_role_that_does_not_exist_is_named(database_url):
    with pytest.raises(RoleLacksRights, match=r'there is no role "no such; role"'):
        await migrate(database_url, "no such; role")


async def test_what_the_application_wrote_in_every_table_it_may_take_away(application):
    await application.execute("INSERT INTO audit (who, what, subject) VALUES ('test', 'test', 'test')")
    assert await application.fetchval("SELECT count(*) FROM audit") == 1
    await application.execute("DELETE FROM audit")
