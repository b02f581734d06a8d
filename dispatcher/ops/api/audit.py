"""The audit: a line for each change, look at contents and refused log-in, written in the change's transaction."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

import msgspec

WRITE: Final = "INSERT INTO audit (who, what, subject, details, origin) VALUES ($1, $2, $3, $4::jsonb, $5)"

CLI: Final = "cli"
"""`who` for the command line; the API writes whose token it was, the console the name with a suffix."""

ORIGIN: Final[ContextVar[str | None]] = ContextVar("origin", default=None)
"""Where the request or command came from whose work this is. Set where it comes in, so that no writer can forget it."""


async def write_audit(
    connection: Any, who: str, what: str, subject: object, details: Mapping[str, Any] | None = None
) -> None:
    """Write that *who* did *what* (`endpoint.changed`) to *subject* (an id); *details* must hold no secret."""
    encoded = msgspec.json.encode({} if details is None else details).decode()
    await connection.execute(WRITE, who, what, str(subject), encoded, ORIGIN.get())


def differences(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what differs between *old* and *new*, for the details of a line; None: there is no such thing.

    >>> differences({"url": "a", "enabled": True}, {"url": "a", "enabled": False})
    {'old': {'enabled': True}, 'new': {'enabled': False}}
    >>> differences(None, {"name": "billing"})
    {'old': {}, 'new': {'name': 'billing'}}
    """
    before, after = old or {}, new or {}
    names = [
        each for each in {**before, **after} if each not in before or each not in after or before[each] != after[each]
    ]
    return {
        side: {name: values[name] for name in names if name in values}
        for side, values in (("old", before), ("new", after))
    }
