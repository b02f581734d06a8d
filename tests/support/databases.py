"""Empty ledgers for tests: one that a test leaves as it found it, but for its rows, is emptied for the next test.

To clone and drop a database costs the server a tenth of a second of its processor, to empty one a fifth of that.
"""

import itertools

import asyncpg
from stores import clone, drop, with_database

_FIRST_OID = 16384
"""Below it are the server's own objects."""

_EMPTIED = """
DO $$
DECLARE filled text;
BEGIN
    SELECT string_agg(oid::regclass::text, ', ') INTO filled FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
      AND pg_relation_size(oid) > 0;
    IF filled IS NOT NULL THEN
        EXECUTE 'TRUNCATE ' || filled || ' RESTART IDENTITY CASCADE';
    END IF;
END $$;
SELECT pg_stat_reset();
"""

_CATALOGS = (
    ("pg_attribute", "attrelid"),
    ("pg_attrdef", "oid"),
    ("pg_constraint", "oid"),
    ("pg_index", "indexrelid"),
    ("pg_proc", "oid"),
    ("pg_trigger", "oid"),
    ("pg_type", "oid"),
    ("pg_rewrite", "oid"),
    ("pg_policy", "oid"),
    ("pg_extension", "oid"),
    ("pg_statistic", "starelid"),
    ("pg_statistic_ext", "oid"),
)
"""What a test may create, change or drop, beside tables, and the column that tells it from the server's own."""

_IMAGE = f"""
SELECT jsonb_build_array(
    (SELECT jsonb_agg(jsonb_build_array(relname, relnamespace, relkind, relowner, relacl::text, reloptions, relnatts,
                relchecks, relhastriggers, relrowsecurity, relpersistence,
                CASE relkind WHEN 'r' THEN reltuples END) ORDER BY relnamespace, relname)
     FROM pg_class WHERE oid >= {_FIRST_OID} AND relkind <> 't'),
    (SELECT jsonb_agg(jsonb_build_array(nspname, nspowner, nspacl::text) ORDER BY nspname) FROM pg_namespace
     WHERE nspname !~ '^pg_'),
    (SELECT jsonb_build_array(datallowconn, datconnlimit, datacl::text) FROM pg_database
     WHERE datname = current_database()),
    (SELECT jsonb_agg(setconfig) FROM pg_db_role_setting WHERE setdatabase =
        (SELECT oid FROM pg_database WHERE datname = current_database())),
    (SELECT jsonb_agg(version_num) FROM alembic_version),
    (SELECT max(last_value) FROM pg_sequences),
    (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()),
    {
    ", ".join(
        f"(SELECT jsonb_build_array(count(*), max(xmin::text::bigint)) FROM {table} WHERE {column} >= {_FIRST_OID})"
        for table, column in _CATALOGS
    )
}
)
"""  # noqa: S608 - names of the server's own tables
"""All that a ledger is beside its rows: equal before and after a test that changed no more than those."""


class Databases:
    """The ledgers of one worker, each for one test, by a name that no other test had: what is left of a test finds none."""

    def __init__(self, server_url: str, template: str, prefix: str) -> None:
        self._server_url = server_url
        self._template = template
        self._prefix = prefix
        self._numbers = itertools.count(1)
        self._spare: str | None = None
        self._image: str | None = None

    async def take(self) -> str:
        """Return the URL of an empty ledger; `give_back` must be called with it."""
        if self._spare is not None:
            name, self._spare = self._spare, None
            return with_database(self._server_url, name)
        url = await clone(self._server_url, self._template, self._new_name())
        if self._image is None:
            self._image = await _look(url, _IMAGE)
        return url

    async def give_back(self, url: str) -> None:
        """End the connections to a ledger, and keep it for the next test if it can be emptied; else drop it."""
        name, spare = url.rpartition("/")[2], self._new_name()
        try:
            await self._rename(name, spare)
            name = spare
            await self._empty(spare)
        except (asyncpg.PostgresError, _IsAnother):
            await drop(self._server_url, name)
        else:
            self._spare = spare

    async def close(self) -> None:
        """Drop what is left."""
        if self._spare is not None:
            await drop(self._server_url, self._spare)

    def _new_name(self) -> str:
        return f"{self._prefix}_{next(self._numbers)}"

    async def _rename(self, name: str, new_name: str) -> None:
        connection = await asyncpg.connect(self._server_url)
        try:
            ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1"
            await connection.fetch(ended, name)
            await connection.execute(f'ALTER DATABASE "{name}" RENAME TO "{new_name}"')
        finally:
            await connection.close()

    async def _empty(self, name: str) -> None:
        url = with_database(self._server_url, name)
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(_EMPTIED)
            if await connection.fetchval(_IMAGE) != self._image:
                raise _IsAnother
        finally:
            await connection.close()


class _IsAnother(Exception):
    """A test changed more than rows."""


async def _look(url: str, query: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval(query))
    finally:
        await connection.close()
