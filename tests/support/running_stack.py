"""Both services as processes on real stores, with an application that they tell."""

from dataclasses import dataclass, field
from uuid import UUID

import aiohttp
import asyncpg
from dispatchers import STORE
from receiver import Receiver

from dispatcher.policy.endpoint import Endpoint
from shared.ids import uuid7

TOKEN = "endpoint-token"


@dataclass
class RunningStack:
    """The environments that both services are started with, their stores, and an application that records webhooks."""

    amqp_url: str
    database_url: str
    receiver: Receiver
    pool: asyncpg.Pool
    http: aiohttp.ClientSession
    ingress: dict[str, str] = field(default_factory=dict)
    dispatcher: dict[str, str] = field(default_factory=dict)

    async def endpoint(self, **fields: object) -> Endpoint:
        """Add an endpoint, the receiver's URL signed with `TOKEN` unless *fields* say otherwise."""
        settings = {"id": uuid7(), "url": self.receiver.url, "tokens": (TOKEN,), **fields}
        endpoint = Endpoint(**settings)
        await STORE.insert(self.pool, endpoint)
        return endpoint

    async def states(self) -> dict[UUID, str]:
        """Return the state of every delivery in the ledger."""
        return {row["id"]: row["state"] for row in await self.pool.fetch("SELECT id, state FROM deliveries")}

    async def count_of(self, state: str) -> int:
        return await self.pool.fetchval("SELECT count(*) FROM deliveries WHERE state = $1", state)
