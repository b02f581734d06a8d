"""What the pages are made from: the services of the ops surface, called in this process."""

import time
from collections.abc import Callable, Iterable
from uuid import UUID

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import Pool
from dispatcher.ops.console.remembered import Remembered
from dispatcher.ops.dead.asked import DeadLetters
from dispatcher.ops.dead.letters import DeadFilter, DeadGroups
from dispatcher.ops.endpoints.health import EndpointHealth, EndpointHealthReader
from dispatcher.ops.faxes.reader import FaxReader
from dispatcher.ops.queues.history import QueueHistory
from dispatcher.policy.endpoint import Endpoint

GROUPS_SECONDS = 8.0
"""Grouping looks through the broker's dead queues; twenty people who watch the first page shall cost one look."""

HEALTH_SECONDS = 4.0

MOST_LOOKED_UP = 50
"""Endpoints of single faxes may be many; a page names as many of them as a person reads."""


class Sources:
    """Everything that is only read, some of it remembered for a moment."""

    def __init__(
        self,
        pool: Pool,
        store: EndpointStore,
        dead: DeadLetters,
        faxes: FaxReader,
        history: QueueHistory,
        health: EndpointHealthReader,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pool = pool
        self.store = store
        self.dead = dead
        self.faxes = faxes
        self.history = history
        self.health = health
        self.groups: Remembered[DeadGroups] = Remembered(lambda: dead.groups(DeadFilter()), GROUPS_SECONDS, clock)
        self.endpoints: Remembered[list[Endpoint]] = Remembered(self._endpoints, HEALTH_SECONDS, clock)
        self.healths: Remembered[dict[UUID, EndpointHealth]] = Remembered(self._healths, HEALTH_SECONDS, clock)

    def badges(self) -> dict[str, int]:
        """Return the numbers beside the navigation's words, from what is known already."""
        samples = self.history.samples()
        latest = samples[-1].messages if samples else {}
        return {"dead": sum(count for name, count in latest.items() if name.startswith("dead."))}

    def forget(self) -> None:
        """Read everything anew: something was changed."""
        self.groups.forget()
        self.endpoints.forget()
        self.healths.forget()

    async def named(self, wanted: Iterable[UUID]) -> dict[UUID, Endpoint]:
        """Return the standing endpoints, and of the *wanted* ones the first few that are of single faxes."""
        found = {endpoint.id: endpoint for endpoint in await self.endpoints.get()}
        missing = list(dict.fromkeys(each for each in wanted if each not in found))
        for endpoint_id in missing[:MOST_LOOKED_UP]:
            endpoint = await self.store.get(self.pool, endpoint_id)
            if endpoint is not None:
                found[endpoint_id] = endpoint
        return found

    async def _endpoints(self) -> list[Endpoint]:
        return await self.store.cached(self.pool)

    async def _healths(self) -> dict[UUID, EndpointHealth]:
        of_faxes = await self.store.latest_of_faxes(self.pool, MOST_LOOKED_UP)
        return await self.health.of([endpoint.id for endpoint in (*await self.endpoints.get(), *of_faxes)])
