"""Access tokens: a name, rights and an expiry for each program or person that uses the API or the console."""

import hashlib
import secrets
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from dispatcher.ops.access.rights import Right
from dispatcher.ops.api.cursor import MOST_PER_PAGE, AwareTime, Cursor, Limit
from shared.errors import FaxhookError

PREFIX: Final = "fh_"
"""Of every token: programs that search for leaked secrets find it, and no other text costs a look-up."""

RANDOM_BYTES: Final = 32
MOST_NAME_CHARACTERS: Final = 60

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MOST_NAME_CHARACTERS,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]*$(?!\n)",
        description="letters, digits, spaces and ._@-, beginning with a letter or digit; as the audit shows it",
        extra={"wrong": "must be letters, digits, spaces and ._@-, beginning with a letter or digit"},
    ),
]


class BadToken(FaxhookError):
    """A field of a new access token is wrong."""

    code = "bad_token"
    status = 422

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class NameTaken(FaxhookError):
    """There is a token of this name that was not revoked."""

    code = "name_taken"
    status = 409
    field = "name"


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new access token is to be."""

    name: Name
    rights: Annotated[
        tuple[Right, ...], Meta(min_length=1, max_length=len(Right), description="each includes those before it")
    ] = (Right.READ,)
    expires_at: Annotated[AwareTime | None, Meta(description="null: never")] = None


class AccessToken(msgspec.Struct, frozen=True, kw_only=True):
    """An access token as it is shown: its text only in the answer that creates it.

    Attributes:
        last_four: The last characters of its text, to tell it from others.
        created_by: As the audit names them.
        used_at: The latest use, to the minute.
        token: In the answer that creates it, and never again.
    """

    id: UUID
    name: str
    rights: tuple[Right, ...]
    last_four: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None
    token: str | UnsetType = UNSET


class TokenPage(msgspec.Struct, frozen=True, kw_only=True):
    """Access tokens in the order of their ids, the newest first."""

    items: tuple[AccessToken, ...]
    next: str | None


class TokenQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of access tokens."""

    revoked: Annotated[bool, Meta(description="with those that were revoked")] = False
    limit: Limit = MOST_PER_PAGE
    after: Cursor | None = None


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """An access token that was revoked."""

    id: UUID
    revoked: bool = True


def check_new(wanted: NewToken, now: datetime) -> None:
    """Refuse a token that would never be valid.

    Raises:
        BadToken: Names the field.
    """
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise BadToken("expires_at", "is in the past")


def make_text() -> str:
    """Return the text of a new token: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def digest_of_token(text: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def who_of(name: str) -> str:
    """Return how the audit names the bearer of a token; the suffix tells it from what people call themselves."""
    return f"{name} (token)"


def state_of(token: AccessToken, now: datetime) -> str:
    """Return in words whether *token* is valid."""
    if token.revoked_at is not None:
        return f"revoked {minute(token.revoked_at)}"
    if token.expires_at is None:
        return "valid"
    return f"{'expired' if token.expires_at <= now else 'valid until'} {minute(token.expires_at)}"


def minute(at: datetime | None) -> str:
    """Return *at* to the minute; empty if it never was."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
