"""Sessions: signed, encrypted cookies that every dispatcher process can read. Pure but for clock and random bytes.

| way in | key derived from | a change of it ends |
|---|---|---|
| `operator` | `OPS_TOKEN` | every session |
| `reader` | `OPS_TOKEN` and `OPS_READ_TOKEN` | the readers' sessions |
| `named`: an access token | `OPS_TOKEN` | every session; a revoked token ends its own |
| `person`: an identity provider | `OPS_TOKEN`, the provider | every session; of the provider, those of its people |

Nothing is stored by the server. The key that opens a cookie decides the way in, so that a cookie cannot claim another.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dispatcher.ops.access.rights import OPERATOR, READER, Identity, Right

SESSION_SECONDS: Final = 12 * 3600.0
"""A working day; counted from the log-in, however busy the session is."""

MOST_NAME_CHARACTERS: Final = 60

_LOGIN: Final = "log-in under way "
"""In front of what is kept during a log-in, so that no session is taken for one."""


class Role(StrEnum):
    """The way in of a session."""

    OPERATOR = "operator"
    READER = "reader"
    NAMED = "named"
    PERSON = "person"


SHARED: Final = {Role.OPERATOR: OPERATOR, Role.READER: READER}
"""Tokens that several people may use: they say their names."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A log-in with its role.

    Attributes:
        id: Random; what form tokens are made from.
        name: As given at the log-in, or the access token's; empty if none was given.
        expires_at: Seconds since the epoch.
        rights: What it may do.
        token_id: The access token that it was opened with, which may be revoked; None: another way in.
    """

    id: str
    role: Role
    name: str
    expires_at: float
    rights: frozenset[Right]
    token_id: UUID | None = None

    @property
    def may_change(self) -> bool:
        """False for a read-only session."""
        return Right.OPERATE in self.rights

    @property
    def may_manage_tokens(self) -> bool:
        """True for administrators."""
        return Right.ADMIN in self.rights

    @property
    def may_see_contents(self) -> bool:
        """True for those who may look at documents and bodies of callbacks."""
        return Right.DOCUMENTS in self.rights

    @property
    def who(self) -> str:
        """For the audit. The suffix tells a name from what the API and the command line write."""
        return f"{self.name or self.role} (console)" if self.role in SHARED else self.name


class Expired(msgspec.Struct, frozen=True):
    """The cookie is ours, but its time is over."""


class Sessions:
    """Opens and reads sessions.

    Args:
        token: OPS_TOKEN.
        read_token: OPS_READ_TOKEN; None: there is no read-only session.
        now: Seconds since the epoch.
        provider: Issuer and client id of the identity provider, or None.
    """

    def __init__(
        self, token: str, read_token: str | None, now: Callable[[], float], provider: tuple[str, str] | None = None
    ) -> None:
        self._now = now
        self._tokens = {Role.OPERATOR: token} | ({Role.READER: read_token} if read_token else {})
        self._keys = {
            role: _derived(f"{role} session", *dict.fromkeys((token, given))) for role, given in self._tokens.items()
        }
        self._keys[Role.NAMED] = _derived(f"{Role.NAMED} session", token)
        if provider is not None:
            self._keys[Role.PERSON] = _derived(f"{Role.PERSON} session", token, *provider)
        self._fernets = {role: Fernet(base64.urlsafe_b64encode(key)) for role, key in self._keys.items()}

    def role_of(self, given: str) -> Role | None:
        """Return what the token *given* allows; None if it is not one of ours. Takes the same time for each."""
        matches = [role for role, token in self._tokens.items() if is_same(given, token)]
        return matches[0] if matches else None

    def open(self, role: Role, name: str) -> str:
        """Return the cookie of a new session of a token of the settings."""
        return self._opened(role, cleaned_name(name), SHARED[role].rights)

    def open_person(self, identity: Identity) -> str:
        """Return the cookie of a new session of a person whom the identity provider knows."""
        return self._opened(Role.PERSON, identity.who, identity.rights)

    def open_named(self, identity: Identity, token_id: UUID | None = None, until: float | None = None) -> str:
        """Return the cookie of a new session of an access token; it ends at *until*, if that is sooner."""
        return self._opened(Role.NAMED, identity.who, identity.rights, token_id, until)

    def _opened(
        self, role: Role, name: str, rights: frozenset[Right], token_id: UUID | None = None, until: float | None = None
    ) -> str:
        expires_at = self._now() + SESSION_SECONDS
        session = Session(
            id=secrets.token_urlsafe(16),
            role=role,
            name=name,
            expires_at=expires_at if until is None else min(until, expires_at),
            rights=rights,
            token_id=token_id,
        )
        return self._fernets[role].encrypt(msgspec.json.encode(session)).decode()

    def read(self, cookie: str) -> Session | Expired | None:
        """Return the session of *cookie*; None if it is not one of ours (or the tokens were changed since)."""
        for role, fernet in self._fernets.items():
            try:
                session = msgspec.json.decode(fernet.decrypt(cookie.encode()), type=Session)
            except (InvalidToken, ValueError):
                continue
            if session.role is not role:
                continue
            return session if session.expires_at > self._now() else Expired()
        return None

    def form_token(self, session: Session) -> str:
        """Return the token that every form of *session* must send back: another site cannot know it."""
        return hmac.digest(self._keys[session.role], f"form {session.id}".encode(), hashlib.sha256).hex()

    def login_form_token(self, nonce: str) -> str:
        """Return the same for the log-in form of a browser that was given *nonce*."""
        return hmac.digest(self._keys[Role.OPERATOR], f"log-in {nonce}".encode(), hashlib.sha256).hex()

    def seal(self, session: Session, text: str) -> str:
        """Return *text* so that only *session*'s next page can read it."""
        return self._fernets[session.role].encrypt(f"{session.id} {text}".encode()).decode()

    def seal_login(self, text: str) -> str:
        """Return *text*, kept while a person logs in at the identity provider, so that only we can read it."""
        return self._fernets[Role.PERSON].encrypt(f"{_LOGIN}{text}".encode()).decode()

    def unseal_login(self, sealed: str, most_seconds: int) -> str | None:
        """Return what was sealed for a log-in at most *most_seconds* ago; else None."""
        try:
            text = self._fernets[Role.PERSON].decrypt(sealed.encode(), most_seconds).decode()
        except (InvalidToken, ValueError):
            return None
        return text.removeprefix(_LOGIN) if text.startswith(_LOGIN) else None

    def unseal(self, session: Session, sealed: str, most_seconds: int) -> str | None:
        """Return what was sealed for *session* at most *most_seconds* ago; else None."""
        try:
            owner, _, text = self._fernets[session.role].decrypt(sealed.encode(), most_seconds).decode().partition(" ")
        except (InvalidToken, ValueError):
            return None
        return text if hmac.compare_digest(owner.encode(), session.id.encode()) else None


def cleaned_name(name: str) -> str:
    r"""Return a person's name as the audit shows it: one line of at most 60 characters.

    >>> cleaned_name("  Ada\x00 Lovelace\n")
    'Ada Lovelace'
    """
    printable = "".join(character for character in name if character.isprintable())
    return " ".join(printable.split())[:MOST_NAME_CHARACTERS]


def safe_return_path(path: str | None) -> str:
    r"""Return where to go after the log-in: *path* if it lies on this site, else the first page.

    >>> [safe_return_path(path) for path in ("/faxes?q=1", "//evil", "/\\evil", "https://evil", "/logout", None)]
    ['/faxes?q=1', '/', '/', '/', '/', '/']
    """
    if path is None or not path.startswith("/") or path[1:2] in {"/", "\\"}:
        return "/"
    if not path.isprintable() or "\\" in path or path.startswith(("/login", "/logout")):
        return "/"
    return path


def is_same(given: str, wanted: str) -> bool:
    """Compare a value from outside with a secret; takes the same time wherever they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())


def _derived(purpose: str, *secrets_of_it: str) -> bytes:
    # Lengths in front, so that no two lists of secrets give the same bytes.
    material = b"".join(len(each.encode()).to_bytes(4, "big") + each.encode() for each in secrets_of_it)
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"faxhook console {purpose}".encode()).derive(material)
