"""The whole stack under fault: two ingresses and two dispatchers as processes, on a broker and a database of their own.

A TCP proxy stands before each store. What dies is started again, as a platform does.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
from applications import Applications, serving_applications
from dispatchers import SECRETS_KEY, STORE
from plan import Plan
from processes import SECRETS, ServiceProcess
from proxy import Proxy, proxied
from waiting import until

from deploy.services import services as local_services
from deploy.services.processes import wait_until
from deploy.services.rabbitmq import Node, find_installation
from deploy.services.state import load
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.ids import uuid7
from shared.sql.migrate import migrate

COMPOSED = Path(__file__).with_name("composed.py")
BACKOFF = "1s,1s,1h"
TIMEOUT_SECONDS = 2.0
HEARTBEAT_SECONDS = 5
"""The broker keeps what it pushed into a black hole for up to three of them, and no client can change that."""
OWN = {**os.environ, "AMQP_URL": "", "DATABASE_URL": "", "MEDIA_URL": "", "RABBITMQ_API_URL": ""}
GONE_JOBS = 10
STOP_SECONDS = 40.0
_MIGRATING = asyncio.Lock()
STEADY_AT_ONCE, MOODY_AT_ONCE = 4, 2
MOST_AT_ONCE = 2 * (STEADY_AT_ONCE + MOODY_AT_ONCE)
"""Requests that both dispatchers together have under way at the standing endpoints."""


@dataclass
class OwnStores:
    """A private broker and database that may be killed."""

    data: Path

    def up(self) -> local_services.Services:
        """Start what does not run."""
        return local_services.up(self.data, environ=OWN, say=lambda _line: None)

    def pid(self, name: str) -> int:
        """Return the pid of `RabbitMQ` or `PostgreSQL`."""
        (status,) = [each for each in local_services.status(self.data, environ=OWN) if each.name == name]
        assert status.pid is not None, f"{name} does not run"
        return status.pid

    def end(self, name: str, number: signal.Signals) -> None:
        """Send a signal that ends it, and wait until it is gone."""
        pid = self.pid(name)
        os.kill(pid, number)
        assert wait_until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), 30), f"{name} does not end"

    def rabbitmqctl(self, *arguments: str) -> None:
        """Run an administrator's command on the broker."""
        state, installation = load(self.data), find_installation()
        assert state is not None
        assert installation is not None
        # Not the one in the path, which becomes another user.
        program = str(installation.scripts / "rabbitmqctl")
        environment = Node(state, installation)._environment()
        subprocess.run([program, *arguments], env=environment, check=True, capture_output=True, timeout=60)

    def remove(self) -> None:
        """End both, and remove all that they kept."""
        local_services.reset(self.data, say=lambda _line: None)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@dataclass(eq=False)
class SupervisedProcess:
    """One service that the platform keeps running: what ends is started again, with nothing planned."""

    kind: str
    environment: dict[str, str]
    on_end: Callable[[], Any]
    process: ServiceProcess | None = None
    ends: list[int] = field(default_factory=list)
    starts: int = 0
    is_wanted: bool = True
    _keeping: asyncio.Task[None] | None = None
    plan: Plan = field(default_factory=Plan)
    _may_start: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, plan: Plan | None = None) -> None:
        """Start it, and keep it."""
        self._may_start.set()
        self.is_wanted = True
        self.plan = plan or Plan()
        await self._start(self.plan)
        self._keeping = asyncio.create_task(self._keep())

    async def replace(self, plan: Plan) -> None:
        """End it well and start it with another plan."""
        await self.stop()
        await self.start(plan)

    async def stop(self) -> None:
        """End it well, for good. One that lacks a precaution need not end well."""
        self.is_wanted = False
        self._may_start.set()
        if self.process is not None and self.process.process.returncode is None:
            self.send(signal.SIGKILL if self.plan.without else signal.SIGTERM)
        if self._keeping is not None:
            done, _ = await asyncio.wait({self._keeping}, timeout=STOP_SECONDS)
            if not done:
                self.send(signal.SIGUSR1)
                await asyncio.sleep(1.0)  # it writes where it hangs
                self.send(signal.SIGKILL)
            await self._keeping
            assert done, f"{self.kind} does not end: {self.process and self.process.stderr}"

    def hold(self) -> None:
        """Start it no more when it ends, until `go_on`."""
        self._may_start.clear()

    def go_on(self) -> None:
        """Start it again when it ends, or if it ended."""
        self._may_start.set()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process that runs now."""
        assert self.process is not None
        if self.process.process.returncode is None:
            self.process.process.send_signal(number)

    @property
    def url(self) -> str | None:
        """Where it listens; None while it does not."""
        process = self.process
        if process is None or process.process.returncode is not None or not process.logged("service.listening"):
            return None
        return f"http://127.0.0.1:{process.logged('service.listening')[0]['port']}"

    async def measured(self, name: str) -> float:
        """Return what it says of a gauge without labels."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as response:
            text = await response.text()
        return next(float(line.partition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} "))

    async def _start(self, plan: Plan) -> None:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        self.starts += 1
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(COMPOSED),
            self.kind,
            env=inherited | self.environment | {"FAULT_PLAN": msgspec.json.encode(plan).decode()},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=16 * 1024 * 1024,
        )
        self.process = ServiceProcess(process, self.kind)

    async def _keep(self) -> None:
        while True:
            assert self.process is not None
            code = await self.process.ended(None)
            self.ends.append(code)
            if code == -signal.SIGKILL:
                await self.on_end()
            if not self.is_wanted:
                # By the signal itself, if it came before the service had begun.
                well = {0, -signal.SIGKILL} if self.process.logged("service.started") else {-signal.SIGTERM}
                assert code in well, f"{self.kind} ended with {code}: {self.process.stderr}"
                return
            await self._may_start.wait()
            self.plan = Plan(without=self.plan.without, grace_seconds=self.plan.grace_seconds)
            await self._start(self.plan)


@dataclass(eq=False)
class StackUnderFault:
    """Everything, and what is done to it.

    Attributes:
        under_way: Deliveries that a killed process may have told without recording it.
    """

    stores: OwnStores
    services: local_services.Services
    amqp_proxy: Proxy
    database_proxy: Proxy
    pool: asyncpg.Pool
    applications: Applications
    media: Path
    environment: dict[str, str]
    ingresses: list[SupervisedProcess] = field(default_factory=list)
    dispatchers: list[SupervisedProcess] = field(default_factory=list)
    under_way: set[tuple[str, str]] = field(default_factory=set)
    names: dict[UUID, str] = field(default_factory=dict)

    @property
    def amqp_url(self) -> str:
        """The broker, not through the proxy."""
        return self.services.amqp_url

    def urls(self) -> list[str]:
        """Return where ingresses listen now."""
        return [kept.url for kept in self.ingresses if kept.url is not None]

    async def start(self) -> None:
        """Start two of each."""
        for _ in range(2):
            self.ingresses.append(SupervisedProcess("ingress", self.environment, self._on_kill))
            self.dispatchers.append(SupervisedProcess("dispatcher", self.environment, self._on_kill))
        await asyncio.gather(*(kept.start() for kept in self.everybody()))

    def everybody(self) -> list[SupervisedProcess]:
        return [*self.ingresses, *self.dispatchers]

    async def ready(self, seconds: float = 60.0) -> float:
        """Wait until every service says that it is ready; return how long that took, in seconds."""
        began = time.monotonic()
        for kept in self.everybody():
            await until(lambda kept=kept: _is_ready(kept), f"{kept.kind} ready", seconds)
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

    async def _on_kill(self) -> None:
        answered = {key for key, count in self.applications.told.items() if count}
        answered |= {key for key, count in self.applications.answering.items() if count}
        # What is told and not recorded now may be told again; all else is in the ledger.
        recorded = await self._recorded()
        self.under_way |= answered - recorded

    async def _recorded(self) -> set[tuple[str, str]]:
        rows = await self.pool.fetch("SELECT event_id, endpoint_id FROM deliveries WHERE state = 'told'")
        return {(row["event_id"], self.names.get(row["endpoint_id"], "")) for row in rows}

    async def declare(self) -> None:
        """Declare the topology with the scaled waits."""
        environment = {**os.environ, "AMQP_URL": self.amqp_url, "BACKOFF": BACKOFF, "FAULT_PLAN": "{}"}
        process = await asyncio.create_subprocess_exec(sys.executable, str(COMPOSED), "topology", env=environment)
        assert await process.wait() == 0


async def _is_ready(kept: SupervisedProcess) -> bool:
    if kept.url is None or kept.process is None:
        return False
    kept.process.port = kept.process.logged("service.listening")[0]["port"]
    try:
        return await kept.process.is_ready()
    except OSError:
        return False


@asynccontextmanager
async def running_stack_under_fault(data: Path) -> AsyncIterator[StackUnderFault]:
    """Bring everything up; end it well afterwards."""
    stores = OwnStores(data / "stores")
    services = await asyncio.to_thread(stores.up)
    media = data / "media"
    media.mkdir()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, stores.remove)
        amqp_proxy, amqp_url = await stack.enter_async_context(proxied(services.amqp_url))
        database_proxy, database_url = await stack.enter_async_context(proxied(services.database_url))
        async with _MIGRATING:  # one at a time in a process: alembic's context is its own global
            await migrate(services.database_url)
        pool = await stack.enter_async_context(asyncpg.create_pool(services.database_url, min_size=0, max_size=3))
        applications = await stack.enter_async_context(serving_applications())
        environment = SECRETS | {
            "AMQP_URL": f"{amqp_url}?heartbeat={HEARTBEAT_SECONDS}",
            "DATABASE_URL": database_url,
            "MEDIA_URL": media.as_uri(),
            "SECRETS_KEY": SECRETS_KEY,
            "INGRESS_PORT": "0",
            "OPS_PORT": "0",
            "BACKOFF": BACKOFF,
            "EGRESS_ALLOW_NETWORKS": "127.0.0.0/8",
        }
        stack = StackUnderFault(stores, services, amqp_proxy, database_proxy, pool, applications, media, environment)
        await stack.declare()
        # A moody application has its words for inflight events, so that none is skipped.
        await stack.add_endpoint(
            "steady", format="standard-v1", inflight=True, overtaken="deliver", max_concurrent=STEADY_AT_ONCE
        )
        await stack.add_endpoint("moody", format="phaxio-v2.1", max_concurrent=MOODY_AT_ONCE)
        try:
            await stack.start()
            await stack.ready()
            yield stack
        finally:
            await asyncio.gather(*(kept.stop() for kept in stack.everybody()))
