"""What a check is."""

from typing import Any, Protocol


class Check(Protocol):
    """Looks at one thing."""

    every_seconds: float

    async def look(self, connection: Any) -> None:
        """Raise the matters that there are, and resolve those that there are no longer, by *connection* to the ledger.

        Raises:
            FaxhookError: A store or the broker is away, so nothing is known; nothing was resolved.
        """
