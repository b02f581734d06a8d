"""The standing endpoints (global and number), as every dispatcher process knows them: read anew every second.

Polling once a second, not once an event, is what makes a change reach every process within two seconds without a
notification that could be missed. Endpoints of single faxes are looked up when their fax's events come.
"""

import asyncio
from typing import Final

from dispatcher.endpoint_store import EndpointStore
from dispatcher.pool import LEDGER_AWAY, LEDGER_BUSY, Pool, verified_schema
from dispatcher.routing import Endpoint
from shared.domain import Event
from shared.log import get_logger

REFRESH_SECONDS: Final = 1.0


class EndpointBook:
    """The last known standing endpoints."""

    def __init__(self, pool: Pool, store: EndpointStore) -> None:
        self._pool = pool
        self._store = store
        self._standing: list[Endpoint] = []
        self._global: list[Endpoint] = []
        self._of_number: dict[str, list[Endpoint]] = {}
        self._known = asyncio.Event()
        self.is_fresh = False

    def candidates(self, event: Event) -> list[Endpoint]:
        """Return the standing endpoints that could apply to *event*, the oldest first."""
        if event.to_number in self._of_number:
            return [*self._of_number[event.to_number], *self._global]
        return self._global

    async def known(self) -> None:
        """Wait until the endpoints were read once. Before that nothing may be routed: it would be owed to nobody."""
        await self._known.wait()

    async def refresh(self) -> None:
        """Read the endpoints now."""
        standing = await self._store.standing(self._pool)
        if standing != self._standing or not self._known.is_set():
            get_logger().info("endpoints.refreshed", count=len(standing))
            self._standing = standing
            self._global = [endpoint for endpoint in standing if endpoint.scope == "global"]
            self._of_number = {}
            for endpoint in standing:
                if isinstance(endpoint.match, str):
                    self._of_number.setdefault(endpoint.match, []).append(endpoint)
        self._known.set()
        self.is_fresh = True

    async def run(self) -> None:
        """Refresh for ever; a ledger that is away leaves the last known endpoints in use.

        Raises:
            SchemaMissing: The ledger is not migrated. Whatever else reads the ledger waits for `known`.
            Unsealable: SECRETS_KEY does not fit the tokens in the ledger.
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
