"""What the pages are made from: the services of the ops surface, called in this process."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from dispatcher.ledger.endpoints import EndpointFilter, EndpointStore
from dispatcher.ledger.pool import Pool
from dispatcher.ops.alerts.reader import AlertReader
from dispatcher.ops.dead.letters import DeadFilter
from dispatcher.ops.dead.service import DeadLetterService
from dispatcher.ops.deliveries.attempts import AttemptReader
from dispatcher.ops.deliveries.requests import RequestReader
from dispatcher.ops.endpoints.reading.health import EndpointHealthReader
from dispatcher.ops.faxes.reader import FaxReader
from dispatcher.ops.queues.history import QueueHistory
from dispatcher.policy.endpoint import Endpoint

GROUPS_SECONDS = 8.0
"""Grouping reads the broker's dead queues; twenty people who watch the first page must cost one reading."""

HEALTH_SECONDS = 4.0
ALERTS_SECONDS = 4.0

MOST_LOOKED_UP = 200
"""There may be an endpoint for each fax; a page names as many of them as a person reads."""

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """The latest value of *read*, at most *seconds* old by *clock*, for all pages that show it."""

    def __init__(self, read: Callable[[], Awaitable[Value]], seconds: float, clock: Callable[[], float]) -> None:
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self.last: Value | None = None
        """What was read last, however old; None before the first reading."""

    def forget(self) -> None:
        """Read again the next time: something was changed."""
        self._read_at = float("-inf")

    async def get(self) -> Value:
        """Return the value; many calls at once cause one reading."""
        async with self._lock:
            if self.last is None or self._clock() - self._read_at > self._seconds:
                self.last = await self._read()
                self._read_at = self._clock()
            return self.last


@dataclass
class Sources:
    """Everything that is only read, some of it remembered for some seconds."""

    pool: Pool
    store: EndpointStore
    dead: DeadLetterService
    faxes: FaxReader
    requests: RequestReader
    history: QueueHistory
    health: EndpointHealthReader
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        """Remember what several pages show."""
        self.groups = Remembered(lambda: self.dead.groups(DeadFilter()), GROUPS_SECONDS, self.clock)
        self.healths = Remembered(self.health.of_those_in_use, HEALTH_SECONDS, self.clock)
        self.attempts = AttemptReader(self.pool)
        self.alerts = Remembered(AlertReader(self.pool).open, ALERTS_SECONDS, self.clock)
        self.last_named: dict[UUID, Endpoint] = {}

    def badges(self) -> dict[str, int]:
        """Return the numbers beside the navigation's words, from what is known already."""
        samples = self.history.samples()
        latest = samples[-1].messages if samples else {}
        return {
            "dead": sum(count for name, count in latest.items() if name.startswith("dead.")),
            "alerts": len(self.alerts.last or ()),
        }

    def forget(self) -> None:
        """Read everything again: something was changed."""
        for remembered in (self.groups, self.healths):
            remembered.forget()

    async def named(self, wanted: Iterable[UUID | None]) -> dict[UUID, Endpoint]:
        """Return the first of the *wanted* endpoints, as many as a person reads."""
        ids = [each for each in dict.fromkeys(wanted) if each is not None][:MOST_LOOKED_UP]
        found = await self.store.of_ids(self.pool, ids) if ids else []
        self.last_named = {endpoint.id: endpoint for endpoint in found}
        return self.last_named

    async def general(self) -> list[Endpoint]:
        """Return endpoints in use that are for more than one fax, as many as a person chooses from."""
        of_scopes = [
            await self.store.page(self.pool, None, MOST_LOOKED_UP // 2, EndpointFilter(scope=scope))
            for scope in ("global", "number")
        ]
        return [endpoint for found in of_scopes for endpoint in found]
