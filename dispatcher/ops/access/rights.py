"""Rights, and who has them. Pure."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec


class Right(StrEnum):
    """What a token or a person may do.

    | right | allows |
    |---|---|
    | `read` | every list and page, without the contents of faxes and callbacks |
    | `documents` | `read`, and those contents; each look is audited |
    | `operate` | `documents`, and every change but those of access tokens |
    | `admin` | everything |
    """

    READ = "read"
    DOCUMENTS = "documents"
    OPERATE = "operate"
    ADMIN = "admin"


INCLUDED: Final[Mapping[Right, frozenset[Right]]] = {
    right: frozenset(list(Right)[: number + 1]) for number, right in enumerate(Right)
}
"""Each right includes those before it."""


def all_rights(given: Iterable[Right]) -> frozenset[Right]:
    """Return the rights in *given*, with those that they include.

    >>> sorted(all_rights([Right.OPERATE]))
    [<Right.DOCUMENTS: 'documents'>, <Right.OPERATE: 'operate'>, <Right.READ: 'read'>]
    >>> all_rights([])
    frozenset()
    """
    return frozenset().union(*(INCLUDED[right] for right in given))


class Identity(msgspec.Struct, frozen=True):
    """Whose token a request bears.

    Attributes:
        who: As the audit names them.
        rights: With those that they include.
    """

    who: str
    rights: frozenset[Right]


OPERATOR: Final = Identity("operator", all_rights([Right.ADMIN]))
"""Of OPS_TOKEN."""

READER: Final = Identity("reader", all_rights([Right.READ]))
"""Of OPS_READ_TOKEN."""
