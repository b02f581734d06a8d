"""The applications that are told, each with its own manners, and what they know of having been told."""

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from aiohttp import web

Manner = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Applications:
    """One server for all of them; the first part of the path says which one is meant.

    | path | manner |
    |---|---|
    | `/steady/…` | answers 200; for one event in six only from the second attempt on |
    | `/moody/…` | answers 200, or always 500 for one event in eight |
    | `/gone/…` | answers 410 |

    `misbehave` gives *steady* other manners for a while.

    Attributes:
        told: By event and application: how often a complete 2xx was answered.
        delivery_ids: By the same: under which ids.
        asked: Requests that came.
        answering: What is being answered at this moment.
    """

    def __init__(self) -> None:
        self.told: Counter[tuple[str, str]] = Counter()
        self.delivery_ids: dict[tuple[str, str], set[str]] = {}
        self.asked = 0
        self.answering: Counter[tuple[str, str]] = Counter()
        self.misbehaviour: Manner | None = None
        self.seconds = 0.0
        self.base_url = ""

    def url(self, name: str) -> str:
        """Return where application *name* wants to be told."""
        return f"{self.base_url}/{name}/hook"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.path.split("/")[1]
        event_id = request.headers["X-Faxhook-Event-Id"]
        attempt = int(request.headers["X-Faxhook-Attempt"])
        key = (event_id, name)
        self.asked += 1
        self.answering[key] += 1
        try:
            await request.read()
            if self.seconds:
                await asyncio.sleep(self.seconds)  # an application that takes its time
            if name == "steady" and self.misbehaviour is not None:
                return await self.misbehaviour(request)
            status = status_of(name, event_id, attempt)
            response = web.Response(status=status)
            if status == 200:
                # Counted before it is sent: what dies on the way may have arrived.
                self.told[key] += 1
                self.delivery_ids.setdefault(key, set()).add(request.headers["X-Faxhook-Delivery-Id"])
            return response
        finally:
            self.answering[key] -= 1


def status_of(name: str, event_id: str, attempt: int) -> int:
    """Return what an application answers; the same for the same event, whoever asks and whenever."""
    dice = zlib.crc32(f"{name} {event_id}".encode())
    if name == "gone":
        return 410
    if name == "moody":
        return 500 if dice % 8 == 0 else 200
    return 503 if dice % 6 == 0 and attempt == 1 else 200


async def hang(_request: web.Request) -> web.StreamResponse:
    """Accept, and say nothing."""
    await asyncio.sleep(30)  # longer than anybody waits
    return web.Response(status=500)


async def drip(request: web.Request) -> web.StreamResponse:
    """Answer 200, a byte at a time, for longer than anybody waits."""
    response = web.StreamResponse(status=200)
    response.content_length = 100
    with suppress(OSError):
        await response.prepare(request)
        for _ in range(100):
            await response.write(b".")
            await asyncio.sleep(0.5)  # how it drips
    return response


async def flood(request: web.Request) -> web.StreamResponse:
    """Answer 500 with a body of a gigabyte; nobody shall read all of it."""
    response = web.StreamResponse(status=500)
    chunk = b"x" * 1024 * 1024
    with suppress(OSError):
        await response.prepare(request)
        for _ in range(1024):
            await response.write(chunk)
    return response


async def close_early(request: web.Request) -> web.StreamResponse:
    """Cut the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response(status=500)


async def redirect(request: web.Request) -> web.StreamResponse:
    """Point elsewhere: to an application that would take it."""
    return web.Response(status=307, headers={"Location": str(request.url.with_path("/elsewhere/hook"))})


@asynccontextmanager
async def serving_applications() -> AsyncIterator[Applications]:
    """Run them on a free loopback port."""
    applications = Applications()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{tail:.*}", applications.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    applications.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield applications
    finally:
        await runner.cleanup()
