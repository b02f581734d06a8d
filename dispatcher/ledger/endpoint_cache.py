"""The cached endpoints (scopes global and number), as every dispatcher process has them: read again every second.

Reading once a second, not once an event, is what makes a change reach every process within two seconds without a
notification that could be missed. Endpoints of scope `fax` are looked up when their fax's events come.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool
from dispatcher.policy.endpoint import Endpoint
from shared.domain import Event
from shared.log import get_logger
from shared.runtime.watchdog import Look

REFRESH_SECONDS: Final = 1.0


class EndpointCache:
    """The cached endpoints as they were last read."""

    def __init__(self, pool: Pool, store: EndpointStore) -> None:
        self._pool = pool
        self._store = store
        self._cached: list[Endpoint] = []
        self._global: list[Endpoint] = []
        self._of_number: dict[str, list[Endpoint]] = {}
        self._read = asyncio.Event()
        self._refreshes = 0

    def progress(self) -> Look:
        """Return for the watchdog that there is always work, and how often the endpoints were read."""
        return int(self._read.is_set()), self._refreshes

    def candidates(self, event: Event) -> list[Endpoint]:
        """Return the cached endpoints that could apply to *event*, the oldest first."""
        if event.to_number in self._of_number:
            return [*self._of_number[event.to_number], *self._global]
        return self._global

    async def loaded(self) -> None:
        """Wait until the endpoints were read once. Nothing may be routed before: it would be owed to no endpoint."""
        await self._read.wait()

    async def refresh(self) -> None:
        """Read the endpoints now."""
        cached = await self._store.cached(self._pool)
        if cached != self._cached or not self._read.is_set():
            get_logger().info("endpoints.refreshed", count=len(cached))
            self._cached = cached
            self._global = [endpoint for endpoint in cached if endpoint.scope == "global"]
            self._of_number = {}
            for endpoint in cached:
                if isinstance(endpoint.match, str):
                    self._of_number.setdefault(endpoint.match, []).append(endpoint)
        self._read.set()
        self._refreshes += 1

    async def run(self, schema_verified: Callable[[], Awaitable[None]]) -> None:
        """Refresh for ever, once the schema is verified. What was read last stays in use while the ledger is away.

        Raises:
            Unsealable: SECRETS_KEY does not fit the tokens in the ledger.
        """
        await schema_verified()
        while True:
            with suppress(*LEDGER_UNAVAILABLE):  # `health` says so in the log; the watchdog, if it is only this
                await self.refresh()
            await asyncio.sleep(REFRESH_SECONDS)
