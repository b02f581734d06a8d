"""The audit: a line for each change, written in the change's transaction."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

WRITE: Final = "INSERT INTO audit (who, what, subject, details) VALUES ($1, $2, $3, $4::jsonb)"

CLI: Final = "cli"
"""`who` for the command line; the API writes whose token it was, the console the name with a suffix."""


async def write_audit(
    connection: Any, who: str, what: str, subject: object, details: Mapping[str, Any] | None = None
) -> None:
    """Write that *who* did *what* (`endpoint.changed`) to *subject* (an id); *details* must hold no secret."""
    encoded = msgspec.json.encode({} if details is None else details).decode()
    await connection.execute(WRITE, who, what, str(subject), encoded)
