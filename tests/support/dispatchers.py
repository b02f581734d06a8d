"""A dispatcher in the process of the test, on real stores, and what a test does with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import asyncpg
from receiver import Receiver
from waiting import until

from dispatcher.__main__ import serve
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.intake import Intake, Taken
from dispatcher.policy.endpoint import Endpoint
from dispatcher.settings import DispatcherSettings
from shared.amqp.publisher import Publisher
from shared.broker import FAX_IN
from shared.domain import Direction, Event, EventType, Provider, encode_event
from shared.ids import uuid7
from shared.runtime.service import Stop
from shared.seal import Seal
from shared.settings import load

SECRETS_KEY = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="
STORE = EndpointStore(Seal([SECRETS_KEY]))
RECEIVED_AT = datetime(2026, 10, 3, 8, 0, tzinfo=UTC)


def an_event(number: int, event_type: EventType = EventType.DELIVERED, **fields: Any) -> Event:
    """Return an event of fax *number*, always the same for a number and a type unless *fields* say otherwise."""
    is_received = event_type in {EventType.RECEIVED, EventType.RECEIVE_FAILED, EventType.RECEIVING}
    fixed = {
        "id": f"phaxio:{number}-{event_type}",
        "provider": Provider.PHAXIO,
        "type": event_type,
        "phase": event_type.phase,
        "direction": Direction.RECEIVED if is_received else Direction.SENT,
        "fax_id": str(number),
        "received_at": RECEIVED_AT,
    }
    return Event(**{**fixed, **fields})


@dataclass
class DispatcherHarness:
    """Real stores, a publisher and an application that records webhooks; `dispatching` runs a dispatcher on them."""

    amqp_url: str
    pool: asyncpg.Pool
    publisher: Publisher
    receiver: Receiver
    environment: dict[str, str]

    async def endpoint(self, **fields: Any) -> Endpoint:
        endpoint = Endpoint(**{"id": uuid7(), "url": self.receiver.url, "tokens": ("token",), **fields})
        await STORE.insert(self.pool, endpoint)
        return endpoint

    async def take(self, *events: Event) -> Taken:
        """Take *events* into the ledger without attempting what they owe."""
        intake = Intake(self.pool, STORE)
        taken = await intake.take(events)
        taken.deliveries.extend((await intake.owe_unowed([event.id for event in events], leased=True)).deliveries)
        return taken

    async def publish(self, *events: Event) -> None:
        for event in events:
            await self.publisher.publish(FAX_IN, event.routing_key, encode_event(event), {"event_id": event.id})

    async def deliveries(self) -> list[asyncpg.Record]:
        return await self.pool.fetch("SELECT * FROM deliveries ORDER BY event_id, endpoint_id")

    async def settled(self, count: int, seconds: float = 30.0) -> list[asyncpg.Record]:
        """Wait until *count* deliveries are settled; return all deliveries."""

        async def enough() -> bool:
            return await self.pool.fetchval("SELECT count(*) FROM deliveries WHERE settled_at IS NOT NULL") >= count

        await until(enough, f"{count} settled", seconds)
        return await self.deliveries()

    async def events(self, count: int) -> None:
        """Wait until the ledger holds *count* events."""

        async def enough() -> bool:
            return await self.pool.fetchval("SELECT count(*) FROM events") >= count

        await until(enough, f"{count} events")

    def dispatching(self, port: int, **environment: str) -> AbstractAsyncContextManager[Stop]:
        """Run a dispatcher on these stores until the body ends; its operations listen on *port*."""
        return dispatching({**self.environment, "OPS_PORT": str(port), **environment})


@asynccontextmanager
async def dispatching(environment: dict[str, str]) -> AsyncIterator[Stop]:
    """Run a dispatcher in this process until the body ends; `OPS_PORT` must name a port. It must end without an error."""
    stop = Stop()
    serving = asyncio.create_task(serve(load(DispatcherSettings, environment), stop))
    async with aiohttp.ClientSession() as http:

        async def is_ready() -> bool:
            if serving.done():
                serving.result()
            try:
                async with http.get(f"http://127.0.0.1:{environment['OPS_PORT']}/readyz") as response:
                    return response.status == 200
            except aiohttp.ClientConnectorError:
                return False

        await until(is_ready, "dispatcher ready")
        try:
            yield stop
        finally:
            stop.set()
            await serving
    assert stop.failure is None
