"""The stack that faults strike: two ingresses and two dispatchers as processes, on a broker and a database of their own.

A TCP proxy stands before each store. A process that ends is started again, as a platform does.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from applications import Applications, serving_applications
from broker_users import users_of
from cluster import Cluster
from dispatchers import SECRETS_KEY, STORE
from own_stores import NOTHING_GIVEN, OwnStores
from processes import SECRETS
from proxy import Proxy, proxied
from stores import application_role, as_application, make_application_role
from supervised_process import COMPOSED, SupervisedProcess
from waiting import until

from deploy.services.control import Services
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.ids import uuid7
from shared.sql.migrate import migrate

BACKOFF = "1s,1s,1h"
TIMEOUT_SECONDS = 2.0
HEARTBEAT_SECONDS = 5
"""The broker keeps what it pushed into a black hole for up to three of them, and no client can change that."""
GONE_JOBS = 10
STEADY_AT_ONCE, MOODY_AT_ONCE = 4, 2
MOST_AT_ONCE = 2 * (STEADY_AT_ONCE + MOODY_AT_ONCE)
"""Requests that both dispatchers together have under way at the endpoints of *steady* and *moody*."""
_MIGRATING = asyncio.Lock()


@dataclass(eq=False)
class StackUnderFault:
    """Stores, proxies, services and applications, and what a fault does to them.

    Attributes:
        under_way: Deliveries that a killed process may have told without recording it.
        names: The application that each endpoint leads to.
        cluster: The broker, where it is a cluster of this run's own.
        user_urls: Of the broker's users with least rights, through the proxy.
    """

    stores: OwnStores
    services: Services
    amqp_proxy: Proxy
    database_proxy: Proxy
    pool: asyncpg.Pool
    applications: Applications
    media: Path
    environment: dict[str, str]
    user_urls: dict[str, str]
    ingresses: list[SupervisedProcess] = field(default_factory=list)
    dispatchers: list[SupervisedProcess] = field(default_factory=list)
    under_way: set[tuple[str, str]] = field(default_factory=set)
    names: dict[UUID, str] = field(default_factory=dict)
    cluster: Cluster | None = None

    @property
    def amqp_url(self) -> str:
        """The broker, not through the proxy."""
        return self.services.amqp_url if self.cluster is None else self.cluster.running().amqp_url

    @property
    def processes(self) -> list[SupervisedProcess]:
        """All ingresses and dispatchers."""
        return [*self.ingresses, *self.dispatchers]

    def urls(self) -> list[str]:
        """Return where ingresses listen now."""
        return [each.url for each in self.ingresses if each.url is not None]

    async def start(self) -> None:
        """Start two ingresses and two dispatchers."""
        for _ in range(2):
            ingress = self.environment | {"AMQP_URL": self.user_urls["ingress"]}
            dispatcher = {"AMQP_URL": self.user_urls["dispatcher"], "OPS_AMQP_URL": self.user_urls["ops"]}
            self.ingresses.append(SupervisedProcess("ingress", ingress, self._on_kill))
            self.dispatchers.append(SupervisedProcess("dispatcher", self.environment | dispatcher, self._on_kill))
        await asyncio.gather(*(each.start() for each in self.processes))

    async def ready(self, seconds: float = 60.0) -> float:
        """Wait until every process is ready; return how long that took, in seconds."""
        began = time.monotonic()
        for each in self.processes:
            await until(each.is_ready, f"{each.kind} ready", seconds)
        return time.monotonic() - began

    async def register(self, job_ids: Sequence[str]) -> None:
        """Give each of these sent faxes an endpoint of its own, which will answer 410."""
        for job_id in job_ids:
            await self.add_endpoint("gone", scope="fax", direction="sent", match=FaxMatch(job_id=job_id))

    async def add_endpoint(self, name: str, **fields: Any) -> None:
        """Add an endpoint that leads to the application *name*."""
        fixed = {
            "id": uuid7(),
            "url": self.applications.url(name),
            "tokens": ("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",),
        }
        endpoint = Endpoint(**{**fixed, "timeout_seconds": TIMEOUT_SECONDS, **fields})
        await STORE.insert(self.pool, endpoint)
        self.names[endpoint.id] = name

    async def declare(self) -> None:
        """Declare the topology with the scaled waits."""
        environment = {**os.environ, "AMQP_URL": self.amqp_url, "BACKOFF": BACKOFF, "FAULT_PLAN": "{}"}
        process = await asyncio.create_subprocess_exec(sys.executable, str(COMPOSED), "topology", env=environment)
        assert await process.wait() == 0

    async def _on_kill(self) -> None:
        answered = {key for key, count in self.applications.told.items() if count}
        answered |= {key for key, count in self.applications.answering.items() if count}
        # A delivery that was told and is not recorded at this moment may be told again; the others are in the ledger.
        recorded = await self._recorded()
        self.under_way |= answered - recorded

    async def _recorded(self) -> set[tuple[str, str]]:
        rows = await self.pool.fetch("SELECT event_id, endpoint_id FROM deliveries WHERE state = 'told'")
        return {(row["event_id"], self.names.get(row["endpoint_id"], "")) for row in rows}


@asynccontextmanager
async def open_stack(
    data: Path,
    cluster: Cluster | None = None,
    *,
    has_balancer: bool = True,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[StackUnderFault]:
    """Start everything but *cluster*, with data in *data*; at the end every process must stop by itself.

    *settings*: further variables of the services. *has_balancer*: the services reach the cluster by one address that leads to any node; else by the nodes' addresses.
    """
    given = {} if cluster is None else {"AMQP_URL": cluster.nodes[0].amqp_url}
    stores = OwnStores(data / "stores", {**NOTHING_GIVEN, **given})
    services = await asyncio.to_thread(stores.up)
    media = data / "media"
    media.mkdir()
    async with AsyncExitStack() as exits:
        exits.push_async_callback(asyncio.to_thread, stores.remove)
        amqp_proxy, amqp_url = await exits.enter_async_context(proxied(services.amqp_url))
        if cluster is not None:
            amqp_proxy.targets = cluster.targets
        amqp_urls = [amqp_url] if cluster is None or has_balancer else [node.amqp_url for node in cluster.nodes]
        service_url = ",".join(f"{each}?heartbeat={HEARTBEAT_SECONDS}" for each in amqp_urls)
        api_url = services.rabbitmq_api_url if cluster is None else cluster.nodes[0].admin_url
        user_urls = exits.enter_context(users_of(service_url, api_url, are_kept=cluster is not None))
        database_proxy, database_url = await exits.enter_async_context(proxied(services.database_url))
        async with _MIGRATING:  # one at a time in a process: alembic's context is a global of that process
            await make_application_role(services.database_url)
            await migrate(services.database_url, application_role())
        pool = await exits.enter_async_context(asyncpg.create_pool(services.database_url, min_size=0, max_size=3))
        applications = await exits.enter_async_context(serving_applications())
        environment = SECRETS | {
            "DATABASE_URL": as_application(database_url),
            "MEDIA_URL": media.as_uri(),
            "SECRETS_KEY": SECRETS_KEY,
            "INGRESS_PORT": "0",
            "OPS_PORT": "0",
            "BACKOFF": BACKOFF,
            "EGRESS_ALLOW_NETWORKS": "127.0.0.0/8",
            **(settings or {}),
        }
        stack = StackUnderFault(
            stores, services, amqp_proxy, database_proxy, pool, applications, media, environment, user_urls
        )
        stack.cluster = cluster
        await stack.declare()
        await stack.add_endpoint(
            "steady", format="standard-v1", inflight=True, overtaken="deliver", max_concurrent=STEADY_AT_ONCE
        )
        # *moody* takes no inflight events, so that none is skipped for lack of a word in its format.
        await stack.add_endpoint("moody", format="phaxio-v2.1", max_concurrent=MOODY_AT_ONCE)
        try:
            await stack.start()
            await stack.ready()
            yield stack
        finally:
            await asyncio.gather(*(each.stop() for each in stack.processes))
