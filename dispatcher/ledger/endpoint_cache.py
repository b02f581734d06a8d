"""The standing endpoints (global and number), as every dispatcher process knows them: read anew every second.

Polling once a second, not once an event, is what makes a change reach every process within two seconds without a
notification that could be missed. Endpoints of single faxes are looked up when their fax's events come.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE, Pool, verified_schema
from dispatcher.policy.endpoint import Endpoint
from shared.domain import Event
from shared.log import get_logger
from shared.runtime.watchdog import Look

REFRESH_SECONDS: Final = 1.0

SLOW_SECONDS: Final = 2.0
"""A ledger that takes longer to give a few rows counts as away."""

CUT_OFF_AFTER_SECONDS: Final = 5.0
"""Without a ledger for so long, this process leaves the broker's messages to others, who may have one."""


class EndpointCache:
    """The last known standing endpoints."""

    def __init__(self, pool: Pool, store: EndpointStore) -> None:
        self._pool = pool
        self._store = store
        self._standing: list[Endpoint] = []
        self._global: list[Endpoint] = []
        self._of_number: dict[str, list[Endpoint]] = {}
        self._known = asyncio.Event()
        self._fresh = asyncio.Event()
        self._cut_off = asyncio.Event()
        self._looks = 0

    @property
    def is_fresh(self) -> bool:
        """Did the ledger answer when it was last asked?"""
        return self._fresh.is_set()

    @property
    def is_cut_off(self) -> bool:
        """Has the ledger not answered for longer than a hiccup takes?"""
        return self._cut_off.is_set()

    async def fresh(self) -> None:
        """Wait until the ledger answers."""
        await self._fresh.wait()

    async def cut_off(self) -> None:
        """Wait until it has not answered for longer than a hiccup takes."""
        await self._cut_off.wait()

    def looks(self) -> Look:
        """Return for the watchdog that there is always work, and how often it was tried."""
        return int(self._known.is_set()), self._looks

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
        self._fresh.set()
        self._cut_off.clear()

    async def run(self) -> None:
        """Refresh for ever; a ledger that is away leaves the last known endpoints in use.

        Raises:
            SchemaMissing: The ledger is not migrated. Whatever else reads the ledger waits for `known`.
            Unsealable: SECRETS_KEY does not fit the tokens in the ledger.
        """
        await verified_schema(self._pool)
        loop = asyncio.get_running_loop()
        last_answer = loop.time()
        while True:
            self._looks += 1
            refreshed = asyncio.create_task(self.refresh())
            async with _ended(refreshed):
                # Not cut off: that, too, would wait for the ledger. The command's own timeout does it.
                await asyncio.wait({refreshed}, timeout=SLOW_SECONDS)
                if not refreshed.done():
                    self._not_answered("slow", loop.time() - last_answer)
                try:
                    await refreshed
                    last_answer = loop.time()
                except LEDGER_UNAVAILABLE as error:
                    self._not_answered(type(error).__name__, loop.time() - last_answer)
            await asyncio.sleep(REFRESH_SECONDS)

    def _not_answered(self, reason: str, seconds: float) -> None:
        if self.is_fresh:
            get_logger().warning("endpoints.stale", reason=reason)
        self._fresh.clear()
        if seconds >= CUT_OFF_AFTER_SECONDS:
            self._cut_off.set()


@asynccontextmanager
async def _ended(task: "asyncio.Task[None]") -> AsyncIterator[None]:
    """See to it that *task* does not outlive the body."""
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
