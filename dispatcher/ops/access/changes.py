"""Access tokens created and revoked, for API, console and command line: each with its line in the audit."""

from typing import Any
from uuid import UUID

import msgspec

from dispatcher.ops.access import store
from dispatcher.ops.access.tokens import AccessToken, NewToken, check_new, make_text
from dispatcher.ops.api.audit import differences, write_audit
from dispatcher.ops.api.lookups import NoSuch
from shared.domain import utc_now
from shared.ids import uuid7

AUDITED_FIELDS = ("name", "rights", "expires_at")


async def create_token(connection: Any, wanted: NewToken, who: str) -> AccessToken:
    """Create a token in the connection's transaction; the returned one alone has its text.

    Raises:
        BadToken: It would never be valid.
        NameTaken: Another one has its name.
    """
    now = utc_now()
    check_new(wanted, now)
    text = make_text()
    token = AccessToken(
        id=uuid7(),
        name=wanted.name,
        rights=tuple(dict.fromkeys(wanted.rights)),
        last_four=text[-4:],
        created_at=now,
        created_by=who,
        expires_at=wanted.expires_at,
        revoked_at=None,
        used_at=None,
        token=text,
    )
    created_at = await store.insert(connection, token)
    await write_audit(connection, who, "token.created", token.id, differences(None, _audited(token)))
    return msgspec.structs.replace(token, created_at=created_at)


async def revoke_token(connection: Any, token_id: UUID, who: str) -> None:
    """Revoke a token in the connection's transaction; one that was revoked before stays as it is.

    Raises:
        NoSuch: There is no such token.
    """
    token = await store.get(connection, token_id)
    if token is None:
        raise NoSuch("access token", token_id)
    if token.revoked_at is not None:
        return
    await store.revoke(connection, token_id)
    await write_audit(connection, who, "token.revoked", token_id, differences(_audited(token), None))


def _audited(token: AccessToken) -> dict[str, Any]:
    return {name: msgspec.to_builtins(getattr(token, name)) for name in AUDITED_FIELDS}
