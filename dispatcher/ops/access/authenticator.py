"""Whose token it is: the two of the settings are compared in constant time, named ones are found by their digest."""

import hmac
from typing import Final
from uuid import UUID

import msgspec

from dispatcher.ledger.pool import Pool
from dispatcher.ops.access import store
from dispatcher.ops.access.refusals import Refusals
from dispatcher.ops.access.rights import OPERATOR, READER, Identity, all_rights
from dispatcher.ops.access.tokens import PREFIX, AccessToken, who_of
from shared.domain import utc_now

MOST_CHARACTERS: Final = 500
UNKNOWN: Final = "unknown"
WRONG: Final = "the token is not valid here"


class Refused(msgspec.Struct, frozen=True):
    """A token that opens nothing; *reason* continues a sentence about the token, *who* names it where it is known."""

    reason: str
    who: str = UNKNOWN


class Authenticator:
    """Knows all tokens.

    Args:
        token: OPS_TOKEN; None: API and console are off.
        read_token: OPS_READ_TOKEN.
        refusals: Writes refused tokens to the audit.
    """

    def __init__(self, token: str | None, read_token: str | None, pool: Pool, refusals: Refusals) -> None:
        self._token = token
        self._read_token = read_token
        self._pool = pool
        self.refusals = refusals

    @property
    def is_on(self) -> bool:
        """False without OPS_TOKEN: nothing is allowed."""
        return bool(self._token)

    def of_settings(self, given: str) -> Identity | None:
        """Return whose token of the settings *given* is; None if it is neither."""
        # Both are compared whatever the first says: the time of an answer must not tell which token was tried.
        given_bytes = given.encode("utf-8", "surrogatepass")
        is_operator, is_reader = (
            bool(secret) and hmac.compare_digest(given_bytes, (secret or "").encode())
            for secret in (self._token, self._read_token)
        )
        return OPERATOR if is_operator else READER if is_reader else None

    async def named(self, given: str) -> AccessToken | Refused:
        """Return the valid access token whose text *given* is."""
        is_one = given.startswith(PREFIX) and len(given) <= MOST_CHARACTERS
        token = await store.find(self._pool, given) if is_one else None
        if token is None:
            return Refused(WRONG)
        if why := why_invalid(token):
            return Refused(why, who_of(token.name))
        await store.mark_used(self._pool, token.id)
        return token

    async def is_valid(self, token_id: UUID) -> bool:
        """Return whether a session may go on that was opened with this access token."""
        token = await store.look_up(self._pool, token_id)
        return token is not None and why_invalid(token) is None

    async def identify(self, given: str) -> Identity | Refused:
        """Return whose token *given* is."""
        if (identity := self.of_settings(given)) is not None:
            return identity
        if not self.is_on:
            return Refused("the API is off: OPS_TOKEN is not set")
        token = await self.named(given)
        return token if isinstance(token, Refused) else identity_of(token)


def identity_of(token: AccessToken) -> Identity:
    """Return who bears a valid *token*."""
    return Identity(who_of(token.name), all_rights(token.rights))


def why_invalid(token: AccessToken) -> str | None:
    """Return in words why *token* is valid no longer; None if it is."""
    if token.revoked_at is not None:
        return f"the token was revoked at {token.revoked_at:%Y-%m-%d %H:%M} UTC"
    if token.expires_at is not None and token.expires_at <= utc_now():
        return f"the token expired at {token.expires_at:%Y-%m-%d %H:%M} UTC"
    return None
