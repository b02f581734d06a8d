"""Where people log in to the console by OpenID Connect: the settings of it."""

from typing import Final

import msgspec

from shared.settings import BadSetting, Secret, check_url
from shared.urls import Url

RIGHTS: Final = ("read", "documents", "operate", "admin")
"""Of access tokens and people; each includes those before it."""

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class IdentityProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Where people log in to the console by OpenID Connect.

    Attributes:
        console_url: Of the console, without a slash at its end.
        rights: The right that each value of `roles_claim` gives.
    """

    issuer: str
    client_id: str
    client_secret: Secret | None
    console_url: str
    roles_claim: str
    rights: dict[str, str]


def read_provider(
    issuer: str | None,
    client_id: str | None,
    client_secret: Secret | None,
    console_url: str | None,
    roles_claim: str,
    roles: tuple[str, ...],
) -> IdentityProvider | None:
    """Return where people log in; None if OIDC_ISSUER is not set.

    Raises:
        BadSetting: A variable is missing or wrong.
    """
    if issuer is None:
        if client_id is not None:
            raise BadSetting("OIDC_ISSUER is not set, but OIDC_CLIENT_ID is: the log-in needs both")
        return None
    if client_id is None:
        raise BadSetting("OIDC_CLIENT_ID is not set, but OIDC_ISSUER is: the log-in needs both")
    if console_url is None:
        raise BadSetting("CONSOLE_URL is not set, but OIDC_ISSUER is: the log-in needs both")
    _check_web_url("OIDC_ISSUER", issuer)
    if not _check_web_url("CONSOLE_URL", console_url).is_bare:
        raise BadSetting("CONSOLE_URL is wrong: nothing but a slash may follow the host and port")
    return IdentityProvider(
        issuer=issuer,
        client_id=client_id,
        client_secret=client_secret,
        console_url=console_url.rstrip("/"),
        roles_claim=roles_claim,
        rights=_rights_of_roles(roles),
    )


def _check_web_url(variable: str, url: str) -> Url:
    """Return the parts of a URL that tokens and cookies go to; in clear only on this machine."""
    parts = check_url(variable, url, ("https", "http"))
    if not parts.host or parts.user is not None or parts.has_more:
        raise BadSetting(f"{variable} is wrong: it must be `https://host`, without user, query and fragment")
    if parts.scheme == "http" and parts.host not in LOOPBACK:
        raise BadSetting(f"{variable} is wrong: it must begin with https://")
    return parts


def _rights_of_roles(pairs: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        role, separator, right = (part.strip() for part in pair.rpartition("="))
        if not separator or not role or right not in RIGHTS:
            raise BadSetting(f"OIDC_ROLES is wrong: `{pair}` is not ROLE=RIGHT with a right of {', '.join(RIGHTS)}")
        found[role] = right
    return found
