"""What an identity provider says of a person: their name for the audit, and their rights by a claim. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from dispatcher.ops.access.rights import Identity, Right, all_rights
from dispatcher.ops.console.access.session import cleaned_name

NAME_CLAIMS: Final = ("preferred_username", "email", "name", "sub")

MOST_ROLES_SHOWN: Final = 10


def name_of(claims: Mapping[str, Any]) -> str:
    """Return how the audit names a person; the suffix tells it from what people call themselves at a token's log-in.

    >>> name_of({"sub": "42", "email": "ada@example.com", "name": ""})
    'ada@example.com (sso)'
    """
    found = (cleaned_name(str(claims[each])) for each in NAME_CLAIMS if claims.get(each))
    return f"{next(filter(None, found), 'nameless')} (sso)"


def roles_of(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """Return the roles at *path*, which is a claim's name or leads into nested claims.

    >>> claims = {"realm_access": {"roles": ["ops", 7]}, "https://a.example/roles": "admin"}
    >>> roles_of(claims, "realm_access.roles"), roles_of(claims, "https://a.example/roles"), roles_of(claims, "groups")
    (('ops',), ('admin',), ())
    """
    value: Any = claims
    for step in (path,) if path in claims else path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    values = value if isinstance(value, list) else [value]
    return tuple(each for each in values if isinstance(each, str))


def identity_from(claims: Mapping[str, Any], path: str, rights: Mapping[str, str]) -> Identity:
    """Return who a person is and what they may do; without a known role, nothing.

    >>> sorted(identity_from({"sub": "ada", "roles": ["night-shift", "x"]}, "roles", {"night-shift": "read"}).rights)
    [<Right.READ: 'read'>]
    """
    given = [Right(rights[role]) for role in roles_of(claims, path) if role in rights]
    return Identity(name_of(claims), all_rights(given))
