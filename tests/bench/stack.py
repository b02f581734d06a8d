"""What the bench measures, as processes: stores of its own, and the services of each tree on a vhost and a ledger."""

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import aio_pika
import aiohttp
import asyncpg
from cores import Cores, pin, pin_self
from cpu import cpu_seconds, tree_of
from dispatchers import SECRETS_KEY
from own_stores import OwnStores
from processes import SECRETS
from stores import with_database
from trees import REPOSITORY, Tree
from waiting import until

from deploy.services import control
from deploy.services.broker import create_vhost, delete_vhost, vhost_url
from deploy.services.processes import free_port
from deploy.services.rabbitmq import find_installation
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import declare, topology
from shared.sql.migrate import migrate

TOKEN = "bench-ops-token"
READY_SECONDS = 60.0
LAST_LINES = 40
KB = 1024


@dataclass
class Stores:
    """Where they are and, if they are ours alone, the processes to count.

    Attributes:
        api_url: Of RabbitMQ; None: no vhost can be added, so *amqp_url* is used as it is.
        own: How they are governed, if they are ours alone.
    """

    amqp_url: str
    database_url: str
    api_url: str | None = None
    pids: dict[str, int] = field(default_factory=dict)
    own: OwnStores | None = None

    def leave_epmd_alone(self) -> None:
        """Have a RabbitMQ of ours not check its port mapper: it starts an Erlang machine for that, once a minute.

        That takes a quarter of a second of the core, while the services share it.
        """
        if self.own is not None and find_installation() is not None:
            self.own.rabbitmqctl("eval", "sys:suspend(rabbit_epmd_monitor).")

    def pin(self, core: int | None) -> None:
        """Keep the stores' processes on *core*."""
        for pid in self.pids.values():
            pin(pid, core)


@contextmanager
def private_stores() -> Iterator[Stores]:
    """Bring up stores of our own; afterwards nothing is left of them."""
    with tempfile.TemporaryDirectory(prefix="faxhook-bench-") as folder:
        environ = {**os.environ, "AMQP_URL": "", "DATABASE_URL": ""}
        own = OwnStores(Path(folder) / "local", environ)
        try:
            services = own.up()
            pids = {each.name: each.pid for each in control.status(own.data, environ=environ) if each.pid is not None}
            yield Stores(services.amqp_url, services.database_url, services.rabbitmq_api_url, pids, own)
        finally:
            own.remove()


class Service:
    """A running service. Its log goes to a reader on the load's core, which keeps the last lines."""

    def __init__(self, process: asyncio.subprocess.Process, reader: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port
        self._reader = reader

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def resident_bytes(self) -> int:
        return resident_bytes(self.pid)

    async def ready(self) -> None:
        """Wait until it is ready."""
        async with aiohttp.ClientSession() as session:

            async def is_ready() -> bool:
                if self.process.returncode is not None:
                    raise AssertionError(f"a service ended at its start: {self.last_lines()}")
                try:
                    async with session.get(f"{self.url}/readyz") as response:
                        return response.status == 200
                except aiohttp.ClientConnectionError:
                    return False

            await until(is_ready, "a service ready", READY_SECONDS)

    async def end(self) -> None:
        """End it by SIGTERM, or after half a minute by SIGKILL."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(30):
                code = await self.process.wait()
        except TimeoutError:
            self.process.kill()
            code = await self.process.wait()
        lines = self.last_lines()
        if code not in {0, -signal.SIGTERM}:  # uvicorn ends by the signal that it has handled
            raise AssertionError(f"a service ended with {code}: {lines}")

    def last_lines(self) -> str:
        """Return the last lines of its log; it has ended."""
        return self._reader.communicate(timeout=10)[0]


def resident_bytes(root: int) -> int:
    """Return what a process and all below it have in memory; pages that they share are counted once for each."""
    found = 0
    for pid in tree_of(root):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        found += sum(int(line.split()[1]) * KB for line in lines if line.startswith("VmRSS:"))
    return found


async def start(
    command: tuple[str, ...], folder: Path, environment: Mapping[str, str], *, port: int, cores: Cores
) -> Service:
    """Start a service in *folder* with nothing but *environment* and what Python needs, on the measured core."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    reader = subprocess.Popen(  # noqa: ASYNC220 - its pipe is handed on whole; starting it takes a millisecond
        ["tail", "-n", str(LAST_LINES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=partial(pin_self, cores.load),  # noqa: PLW1509 - no thread of ours holds a lock meanwhile
    )
    assert reader.stdin is not None
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        stdout=reader.stdin.fileno(),
        stderr=subprocess.STDOUT,
        preexec_fn=partial(pin_self, cores.measured),
    )
    reader.stdin.close()
    reader.stdin = None
    return Service(process, reader, port)


@asynccontextmanager
async def serving(
    command: tuple[str, ...], folder: Path, environment: Mapping[str, str], *, port: int, cores: Cores
) -> AsyncIterator[Service]:
    """Run a service until it is no longer needed."""
    service = await start(command, folder, environment, port=port, cores=cores)
    try:
        await service.ready()
        yield service
    finally:
        await service.end()


@dataclass
class Stack:
    """A tree's place: its own vhost and its own ledger, with the whole topology and schema of that tree."""

    tree: Tree
    stores: Stores
    cores: Cores
    amqp_url: str
    database_url: str
    media: Path
    pool: asyncpg.Pool

    @asynccontextmanager
    async def ingress(self) -> AsyncIterator[Service]:
        port = free_port()
        environment = self._common() | SECRETS | {"INGRESS_PORT": str(port)}
        command = self.tree.command("ingress")
        async with serving(command, self.tree.folder, environment, port=port, cores=self.cores) as service:
            yield service

    @asynccontextmanager
    async def dispatcher(self, **environment: str) -> AsyncIterator[Service]:
        port = free_port()
        env = self._common() | self._ledger() | {"OPS_PORT": str(port), "OPS_TOKEN": TOKEN} | environment
        env |= {"EGRESS_ALLOW_NETWORKS": "127.0.0.0/8"}
        command = self.tree.command("dispatcher")
        async with serving(command, self.tree.folder, env, port=port, cores=self.cores) as service:
            yield service

    async def prepare(self, backoff: str = DEFAULT_BACKOFF) -> None:
        """Migrate the ledger and declare the topology, as the tree's own commands do."""
        if self.tree.folder == REPOSITORY:
            await migrate(self.database_url)
            await declare(self.amqp_url, topology(parse_backoff(backoff)))
            return
        env = {**os.environ, **self._common(), **self._ledger(), "BACKOFF": backoff}
        for what in ("migrate", "topology"):
            command = self.tree.program(what)
            process = await asyncio.create_subprocess_exec(
                *command, cwd=self.tree.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            out, _ = await process.communicate()
            if process.returncode != 0:
                raise AssertionError(f"faxhook {what} of {self.tree.name}: {out.decode()[-2000:]}")

    async def add_endpoint(self, dispatcher: Service, **fields: Any) -> UUID:
        """Add an endpoint by the API, which every version has; return its id."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{dispatcher.url}/v1/endpoints", json=fields) as response,
        ):
            if response.status != 201:
                raise AssertionError(f"the endpoint was refused: {await response.text()}")
            return UUID((await response.json())["id"])

    async def add_endpoints(self, *endpoints: Mapping[str, Any], **environment: str) -> list[UUID]:
        """Add endpoints before the measured dispatcher starts; return their ids. The one that adds them ends.

        A dispatcher knows from its start what is in the ledger then; what is added while it runs, earlier revisions read
        within two seconds only, and until then an event is owed to no endpoint.
        """
        async with self.dispatcher(**environment) as adding:
            return [await self.add_endpoint(adding, **fields) for fields in endpoints]

    async def purge(self, queue: str = "work.events") -> None:
        """Empty a queue."""
        async with await aio_pika.connect(self.amqp_url, timeout=10) as connection:
            channel = await connection.channel()
            await (await channel.get_queue(queue)).purge()

    async def recorded(self, seconds: float = 120.0) -> None:
        """Wait until nothing that is owed is unsettled in the ledger."""

        async def is_settled() -> bool:
            query = "SELECT NOT EXISTS (SELECT 1 FROM deliveries WHERE state IN ('pending', 'retrying'))"
            return bool(await self.pool.fetchval(query))

        await until(is_settled, "all recorded in the ledger", seconds)

    def _common(self) -> dict[str, str]:
        return {"AMQP_URL": self.amqp_url, "MEDIA_URL": self.media.as_uri(), "LOG_LEVEL": "INFO"}

    def _ledger(self) -> dict[str, str]:
        return {"DATABASE_URL": self.database_url, "SECRETS_KEY": SECRETS_KEY}


@asynccontextmanager
async def stack(
    tree: Tree, stores: Stores, cores: Cores, name: str, backoff: str = DEFAULT_BACKOFF
) -> AsyncIterator[Stack]:
    """Make a place for *tree*; afterwards its vhost and its ledger are gone.

    Args:
        tree: What is run there.
        stores: On them.
        cores: Where.
        name: Of the place; unique among those of the same time.
        backoff: The table of waits that the topology is declared for.
    """
    unique = f"faxhook_bench_{os.getpid()}_{tree.name}_{name}".lower().replace(" ", "_")
    async with AsyncExitStack() as opened:
        amqp_url = stores.amqp_url
        if stores.api_url is not None:
            await asyncio.to_thread(create_vhost, stores.api_url, unique)
            opened.callback(delete_vhost, stores.api_url, unique)
            amqp_url = vhost_url(stores.amqp_url, unique)
        await _admin(stores.database_url, f'CREATE DATABASE "{unique}"')
        opened.push_async_callback(_admin, stores.database_url, f'DROP DATABASE "{unique}" WITH (FORCE)')
        media = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="faxhook-bench-media-")))
        database_url = with_database(stores.database_url, unique)
        pool = await opened.enter_async_context(asyncpg.create_pool(database_url, min_size=0, max_size=2))
        made = Stack(tree, stores, cores, amqp_url, database_url, media, pool)
        await made.prepare(backoff)
        yield made


async def _admin(database_url: str, statement: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def spent(pids: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU seconds of each process tree so far."""
    return {name: cpu_seconds(pid) for name, pid in pids.items()}
