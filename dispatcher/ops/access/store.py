"""The access tokens in the ledger."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from dispatcher.ledger.pool import Pool
from dispatcher.ops.access.rights import Right
from dispatcher.ops.access.tokens import AccessToken, NameTaken, TokenPage, TokenQuery, digest_of_token
from dispatcher.ops.api.cursor import CursorOf

CURSOR: Final = CursorOf("tokens", tuple[UUID])

_COLUMNS: Final = "id, name, rights, last_four, created_at, created_by, expires_at, revoked_at, used_at"
INSERT: Final = """
INSERT INTO access_tokens (id, name, rights, digest, last_four, created_by, expires_at)
VALUES ($1, $2, $3, $4, right($5, 4), $6, $7) RETURNING created_at
"""
PAGE: Final = f"""
SELECT {_COLUMNS} FROM access_tokens
WHERE ($1::uuid IS NULL OR id < $1) AND ($2 OR revoked_at IS NULL) ORDER BY id DESC LIMIT $3
"""  # noqa: S608 - a constant
ONE: Final = f"SELECT {_COLUMNS} FROM access_tokens WHERE id = $1 FOR UPDATE"  # noqa: S608 - a constant
BY_NAME: Final = "SELECT id FROM access_tokens WHERE name = $1 AND revoked_at IS NULL"
BY_DIGEST: Final = f"SELECT {_COLUMNS} FROM access_tokens WHERE digest = $1"  # noqa: S608 - a constant
BY_ID: Final = f"SELECT {_COLUMNS} FROM access_tokens WHERE id = $1"  # noqa: S608 - a constant
REVOKE: Final = "UPDATE access_tokens SET revoked_at = now() WHERE id = $1"
USED: Final = """
UPDATE access_tokens SET used_at = now()
WHERE id = $1 AND (used_at IS NULL OR used_at < now() - interval '1 minute')
"""
"""At most once a minute: a poll each second must not write each second."""


async def insert(connection: Any, token: AccessToken) -> datetime:
    """Insert a token with its text, of which the digest is kept; return when it was created.

    Raises:
        NameTaken: Another one has its name.
    """
    assert isinstance(token.token, str), "a new token has its text"
    digest = digest_of_token(token.token)
    rights = [str(right) for right in token.rights]
    values = (token.id, token.name, rights, digest, token.token, token.created_by, token.expires_at)
    try:
        created_at: datetime = await connection.fetchval(INSERT, *values)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name != "access_tokens_name":
            raise
        raise NameTaken(f"there is a token `{token.name}`: revoke it first, or choose another name") from None
    return created_at


async def read_page(pool: Pool, query: TokenQuery) -> TokenPage:
    """Return a page of tokens; raise `BadCursor` for an `after` that is not a cursor of this list."""
    after = None if query.after is None else CURSOR.read(query.after)[0]
    rows = await pool.fetch(PAGE, after, query.revoked, query.limit + 1)
    items = tuple(_token_of(row) for row in rows[: query.limit])
    return TokenPage(items=items, next=CURSOR.write(items[-1].id) if len(rows) > query.limit else None)


async def get(connection: Any, token_id: UUID) -> AccessToken | None:
    """Return a token, locked, or None."""
    return _token_or_none(await connection.fetchrow(ONE, token_id))


async def id_of_name(pool: Pool, name: str) -> UUID | None:
    """Return the id of the token of this name that was not revoked."""
    found: UUID | None = await pool.fetchval(BY_NAME, name)
    return found


async def revoke(connection: Any, token_id: UUID) -> None:
    """Revoke a token."""
    await connection.execute(REVOKE, token_id)


async def find(pool: Pool, text: str) -> AccessToken | None:
    """Return the token of this text, revoked and expired ones included, or None."""
    return _token_or_none(await pool.fetchrow(BY_DIGEST, digest_of_token(text)))


async def look_up(pool: Pool, token_id: UUID) -> AccessToken | None:
    """Return the token of this id, revoked and expired ones included, or None."""
    return _token_or_none(await pool.fetchrow(BY_ID, token_id))


async def mark_used(pool: Pool, token_id: UUID) -> None:
    """Keep that a token was used now."""
    await pool.execute(USED, token_id)


def _token_or_none(row: Any) -> AccessToken | None:
    return None if row is None else _token_of(row)


def _token_of(row: Any) -> AccessToken:
    return msgspec.convert({**dict(row), "rights": [Right(each) for each in row["rights"]]}, AccessToken)
