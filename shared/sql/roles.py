"""Two roles in the ledger: the owner migrates, the application reads and writes rows. For what the first grants."""

from typing import Any, Final

import asyncpg

from shared.errors import Misconfigured

TABLES: Final = (
    "endpoints",
    "faxes",
    "events",
    "decisions",
    "deliveries",
    "attempts",
    "jobs",
    "job_items",
    "commands",
    "audit",
    "access_tokens",
    "documents_to_prune",
    "list_readings",
    "alerts",
    "alert_history",
    "alert_messages",
    "line_hours",
    "listed_faxes",
    "accounts",
    "account_mails",
)
"""Looked at when a service starts; what later migrations add is granted with them."""

OWN_TABLES: Final = """
SELECT format('%I.%I', schemaname, tablename) AS name, schemaname, tablename FROM pg_tables
WHERE schemaname = current_schema() AND tableowner = current_user ORDER BY tablename
"""

MISSING: Final = """
SELECT name || ' (' || privilege || ')' AS missing
FROM unnest($1::text[]) AS ours (name), unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
WHERE to_regclass(name) IS NOT NULL AND NOT has_table_privilege(to_regclass(name), privilege)
ORDER BY name, privilege LIMIT 1
"""

WHAT_TO_DO: Final = (
    "run `faxhook migrate` as the owner, with DATABASE_APPLICATION_ROLE naming the role that the services connect as"
)
MAY_NOT_READ: Final = f"the role of DATABASE_URL may not read the ledger: {WHAT_TO_DO}"

VERSION_TABLE: Final = "alembic_version"


class RoleLacksRights(Misconfigured):
    """The role of `DATABASE_URL` may not do what its program has to."""

    code = "role_lacks_rights"


async def grant(connection: Any, role: str) -> None:
    """Let *role* read and write the rows of all tables that we own, and read which revision they are at.

    Raises:
        RoleLacksRights: There is no such role, or the tables are not ours.
    """
    quoted = await connection.fetchval("SELECT quote_ident($1)", role)
    try:
        schema = await connection.fetchval("SELECT quote_ident(current_schema())")
        await connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {quoted}")
        for table in await connection.fetch(OWN_TABLES):
            rights = "SELECT" if table["tablename"] == VERSION_TABLE else "SELECT, INSERT, UPDATE, DELETE"
            await connection.execute(f"GRANT {rights} ON {table['name']} TO {quoted}")
        # PostgreSQL only warns where the schema is another role's, and grants nothing.
        if not await connection.fetchval("SELECT has_schema_privilege($1, current_schema(), 'USAGE')", role):
            raise RoleLacksRights(
                f"{quoted} may not use the schema {schema}, and the role of DATABASE_URL may not grant it: as the "
                f"schema's owner, GRANT USAGE ON SCHEMA {schema} TO {quoted}"
            )
    except asyncpg.UndefinedObjectError as error:
        raise RoleLacksRights(
            f"DATABASE_APPLICATION_ROLE: there is no role {quoted}. Create it first: CREATE ROLE {quoted} LOGIN"
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise RoleLacksRights(
            "the role of DATABASE_URL may not grant rights: `faxhook migrate` is the owner's"
        ) from error


async def check_rights(connection: Any) -> None:
    """Check that our own role may read and write the rows of the ledger.

    Raises:
        RoleLacksRights: Names the first table and what is missing.
    """
    missing = await connection.fetchval(MISSING, list(TABLES))
    if missing is not None:
        raise RoleLacksRights(f"the role of DATABASE_URL lacks rights on {missing}: {WHAT_TO_DO}")
