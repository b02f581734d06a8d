"""Bring the ledger's schema up to date: Alembic over asyncpg; processes that migrate at once wait for each other."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.errors import Misconfigured
from shared.sql.connection import check_sessions, connect
from shared.sql.roles import grant

MIGRATIONS = Path(__file__).parent / "migrations"


class UnknownRevision(Misconfigured):
    """The ledger was migrated by another version of faxhook than this one can go on from."""

    code = "unknown_revision"


async def migrate(database_url: str, application_role: str | None = None) -> tuple[str | None, str | None]:
    """Apply what is missing; return the revisions before and after, equal if nothing was missing.

    *application_role* is granted what the services need, whether something was missing or not.

    Raises:
        UnknownRevision: Nothing was changed.
        SharedSession: A pooler in between gives one session to several connections.
        LedgerAway: The ledger cannot be reached now.
        RoleLacksRights: There is no such role, or the tables are not ours. The migrations were applied.
    """
    await check_sessions(database_url)
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: connect(database_url, session_settings={}), poolclass=NullPool
    )
    try:
        async with engine.connect() as connection:
            before = await connection.run_sync(_revision)
            try:
                await connection.run_sync(_upgrade)
            except CommandError as error:
                raise UnknownRevision(
                    f"the ledger is at revision {before}, which this version does not know: use the version of faxhook "
                    "that made it, or an empty database"
                ) from error
            await connection.commit()
            after = await connection.run_sync(_revision)
    finally:
        await engine.dispose()
    if application_role is not None:
        owner = await connect(database_url, session_settings={})
        try:
            await grant(owner, application_role)
        finally:
            await owner.close()
    return before, after


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
