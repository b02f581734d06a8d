"""Commands may be repeated: within 24 hours the same id changes nothing and gets the first answer."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from dispatcher.ledger.pool import Pool
from shared.errors import FaxhookError
from shared.seal import Seal

REMEMBERED_SECONDS: Final = 24 * 3600
"""As Stripe and Svix have it: longer than a client's retries."""
MOST_ID_CHARACTERS: Final = 200

Answer = tuple[int, dict[str, Any]]
Change = Callable[[Any], Awaitable[Answer]]
"""Makes the change on the connection of its transaction; returns status and body."""

FIRST: Final = """
INSERT INTO commands (id, digest) VALUES ($1, $2)
ON CONFLICT ON CONSTRAINT commands_key DO UPDATE SET digest = excluded.digest, seen_at = now(), status = NULL
WHERE commands.seen_at < now() - make_interval(secs => $3)
RETURNING true
"""
REMEMBERED: Final = "SELECT digest, status, sealed_answer FROM commands WHERE id = $1"
ANSWERED: Final = "UPDATE commands SET status = $2, sealed_answer = $3 WHERE id = $1"


class CommandReused(FaxhookError):
    """A `command_id` came again with another request."""

    code = "command_id_reused"
    status = 409
    field = "command_id"


def digest_of(method: str, path: str, body: Any) -> bytes:
    """Return the digest that two requests share if they are the same."""
    return hashlib.sha256(
        b"\n".join((method.encode(), path.encode(), msgspec.json.encode(body, order="sorted")))
    ).digest()


async def run_once(pool: Pool, seal: Seal, command_id: str | None, digest: bytes, change: Change) -> Answer:
    """Make *change* in a transaction; return instead the first answer if *command_id* came within `REMEMBERED_SECONDS`.

    Of several at once one makes the change, the others wait for its answer. A change that raises may be repeated.

    Raises:
        CommandReused: The id was used for another request.
    """
    async with pool.acquire() as connection, connection.transaction():
        if command_id is None:
            return await change(connection)
        # The insert waits for a transaction that has the same id; it makes no row if that one was committed.
        if not await connection.fetchval(FIRST, command_id, digest, float(REMEMBERED_SECONDS)):
            row = await connection.fetchrow(REMEMBERED, command_id)
            if row is None or row["digest"] != digest:
                raise CommandReused(f"command_id `{command_id}` was used for another request within the last day")
            return row["status"], msgspec.json.decode(seal.open(row["sealed_answer"]))
        status, body = await change(connection)
        # The answer may hold tokens, so it is encrypted like them.
        await connection.execute(ANSWERED, command_id, status, seal.seal(msgspec.json.encode(body).decode()))
        return status, body
