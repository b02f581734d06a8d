"""Everything of faxhook on this machine: ingress, dispatcher, a listener with its endpoint, a mail catcher."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import asyncpg
import msgspec

from deploy.demo.children import Family
from deploy.demo.mail_catcher import catching_mail
from deploy.demo.settings import LISTEN_PORT, LISTEN_TOKEN
from deploy.services.processes import LOOPBACK, LocalError, StartFailed, Unavailable
from dispatcher.formats import DEFAULT_FORMAT
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import open_pool
from dispatcher.ops.listener.listen import Listened, Started
from dispatcher.policy.endpoint import Endpoint
from dispatcher.settings import DispatcherSettings
from shared.amqp.errors import ConnectionLost
from shared.broker import declare, topology
from shared.ids import uuid7
from shared.settings import load
from shared.sql.migrate import migrate

READY_SECONDS: Final = 60.0
"""Each service takes about 2 s of processor time to start; a laptop may have other things to do."""

POLL_SECONDS: Final = 0.02
ENDPOINT_PATH: Final = "/make-run"
"""Our endpoint is recognised by this path in a ledger that holds others."""

REMOVE_ENDPOINT: Final = "UPDATE endpoints SET removed_at = now() WHERE id = $1"

Line = Callable[[str, str], None]
"""What is told a child's name and a line that it printed."""


class Listening:
    """The listener as its lines tell it."""

    def __init__(self, on_listened: Callable[[Listened], None]) -> None:
        self.url = ""
        self.heard: list[Listened] = []
        self._on_listened = on_listened

    def take(self, line: str) -> None:
        """Take a line that it printed."""
        if not line.startswith("{"):
            return  # what it says when it cannot start; shown as its last lines
        if not self.url:
            self.url = msgspec.json.decode(line, type=Started).listening
            return
        listened = msgspec.json.decode(line, type=Listened)
        self.heard.append(listened)
        self._on_listened(listened)


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """What runs, and where; *environment* is that of both services."""

    ingress_url: str
    ops_url: str
    smtp_url: str
    listening: Listening
    endpoint: Endpoint
    environment: Mapping[str, str]


@asynccontextmanager
async def running_stack(
    family: Family,
    variables: Mapping[str, str],
    on_line: Line,
    on_listened: Callable[[Listened], None],
    *,
    max_concurrent: int = 8,
) -> AsyncIterator[Stack]:
    """Run everything until the body is left. *variables* is the whole environment of the children.

    They are ended in the reverse of their order: first the ingress, last the listener.

    Raises:
        StartFailed: Something did not become ready.
    """
    settings = load(DispatcherSettings, variables)
    listening = Listening(on_listened)
    async with AsyncExitStack() as stack:
        smtp_url = await stack.enter_async_context(catching_mail(lambda line: on_line("mail", line)))
        port = variables.get(LISTEN_PORT, "0")
        arguments = ["-m", "dispatcher.ops", "listen", "--json", "--port", port, "--format", DEFAULT_FORMAT]
        await stack.enter_async_context(family.child("listen", arguments, variables, listening.take))
        amqp_url, database_url = settings.amqp_url.reveal(), settings.database_url.reveal()
        await _answered("DATABASE_URL", migrate(database_url))
        await _answered("AMQP_URL", declare(amqp_url, topology(settings.backoff_seconds())))
        await wait_for(lambda: listening.url, READY_SECONDS, "the listener did not start")
        url = listening.url.rstrip("/") + ENDPOINT_PATH
        endpoint = await own_endpoint(
            database_url, EndpointStore(settings.seal()), url, variables[LISTEN_TOKEN], max_concurrent
        )
        mail_from = variables.get("MAIL_FROM") or "faxhook@localhost"
        environment = {**variables, "SMTP_URL": smtp_url, "MAIL_FROM": mail_from}
        for name in ("dispatcher", "ingress"):
            await stack.enter_async_context(
                family.child(name, ["-m", name], environment, lambda line, name=name: on_line(name, line))  # type: ignore[misc]  # a default binds the name
            )
        ingress_url, ops_url = (f"http://{LOOPBACK}:{variables[name]}" for name in ("INGRESS_PORT", "OPS_PORT"))
        await asyncio.gather(_ready("ingress", ingress_url), _ready("dispatcher", ops_url))
        yield Stack(
            ingress_url=ingress_url,
            ops_url=ops_url,
            smtp_url=smtp_url,
            listening=listening,
            endpoint=endpoint,
            environment=environment,
        )


async def _answered(variable: str, work: Awaitable[object]) -> None:
    try:
        await work
    except (OSError, asyncpg.PostgresError, ConnectionLost) as error:
        raise Unavailable(f"What {variable} names does not answer: {error or type(error).__name__}") from error


async def own_endpoint(database_url: str, store: EndpointStore, url: str, token: str, max_concurrent: int) -> Endpoint:
    """Return the listener's global endpoint; one of an earlier run is used again and leads to *url* from now on."""
    pool = await open_pool(database_url, size=1)
    try:
        found: Endpoint | None = None
        for endpoint in await store.everything(pool):
            if not _is_own(endpoint):
                continue
            if found is None and endpoint.tokens == (token,):
                found = msgspec.structs.replace(endpoint, url=url, enabled=True)
                await store.update(pool, found)
            else:
                await store.remove(pool, endpoint.id)
        if found is None:
            # Inflight events too: what is tried out in the second terminal is shown in the first.
            found = Endpoint(id=uuid7(), url=url, tokens=(token,), inflight=True, max_concurrent=max_concurrent)
            await store.insert(pool, found)
        return found
    finally:
        await pool.close()


async def remove_endpoint(database_url: str, endpoint_id: UUID) -> None:
    """Remove an endpoint; its history stays."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(REMOVE_ENDPOINT, endpoint_id)
    finally:
        await connection.close()


def _is_own(endpoint: Endpoint) -> bool:
    parts = urlsplit(endpoint.url)
    return endpoint.scope == "global" and parts.hostname == LOOPBACK and parts.path == ENDPOINT_PATH


async def _ready(name: str, url: str) -> None:
    last = "it does not answer"

    async def is_ready() -> bool:
        nonlocal last
        try:
            async with session.get(f"{url}/readyz") as response:
                last = (await response.text())[:300]
                return response.status == 200  # noqa: PLR2004 - HTTP
        except (aiohttp.ClientError, OSError):
            return False

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0)) as session:
        deadline = time.monotonic() + READY_SECONDS
        while not await is_ready():
            if time.monotonic() > deadline:
                raise StartFailed(f"{name} was not ready within {READY_SECONDS:.0f} s: {last}")
            await asyncio.sleep(POLL_SECONDS)


async def wait_for(condition: Callable[[], object], seconds: float, otherwise: str) -> None:
    """Wait for *condition*, at most *seconds*.

    Raises:
        LocalError: It did not come true; says *otherwise*.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LocalError(f"{otherwise} (waited {seconds:.0f} s)")
        await asyncio.sleep(POLL_SECONDS)
