"""The endpoints, as every dispatcher process knows them: read anew every second, in one small query.

Polling once a second, not once an event, is what makes a change reach every process within two seconds without a
notification that could be missed.
"""

import asyncio
from typing import Final
from uuid import UUID

from dispatcher.ledger import LEDGER_AWAY, LEDGER_BUSY, Pool, read_endpoints, verified_schema
from dispatcher.routing import Endpoint
from shared.log import get_logger

REFRESH_SECONDS: Final = 1.0


class EndpointBook:
    """The last known endpoints."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._by_id: dict[UUID, Endpoint] = {}
        self._known = asyncio.Event()
        self.is_fresh = False

    @property
    def all(self) -> list[Endpoint]:
        """Every endpoint that is not removed, the oldest first."""
        return list(self._by_id.values())

    def get(self, endpoint_id: UUID) -> Endpoint | None:
        """Return one endpoint; None if it is removed."""
        return self._by_id.get(endpoint_id)

    async def known(self) -> None:
        """Wait until the endpoints were read once. Before that nothing may be routed: it would be owed to nobody."""
        await self._known.wait()

    async def refresh(self) -> None:
        """Read the endpoints now."""
        endpoints = {endpoint.id: endpoint for endpoint in await read_endpoints(self._pool)}
        if endpoints != self._by_id or not self._known.is_set():
            get_logger().info("endpoints.refreshed", count=len(endpoints))
        self._by_id = endpoints
        self._known.set()
        self.is_fresh = True

    async def run(self) -> None:
        """Refresh for ever; a ledger that is away leaves the last known endpoints in use.

        Raises:
            SchemaMissing: The ledger is not migrated. Whatever else reads the ledger waits for `known`.
        """
        await verified_schema(self._pool)
        while True:
            try:
                await self.refresh()
            except (*LEDGER_AWAY, *LEDGER_BUSY) as error:
                if self.is_fresh:
                    get_logger().warning("endpoints.stale", reason=type(error).__name__)
                self.is_fresh = False
            await asyncio.sleep(REFRESH_SECONDS)
