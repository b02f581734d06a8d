"""The applications that are told, each with its own behaviour, and what they were told."""

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from aiohttp import web

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Applications:
    """One server for all applications; the first part of the path names the application.

    | path | behaviour |
    |---|---|
    | `/steady/…` | answers 200; for one event in six only from the second attempt on |
    | `/moody/…` | answers 200, or always 500 for one event in eight |
    | `/gone/…` | answers 410 |

    While `misbehaviour` is set, *steady* answers with it.

    Attributes:
        told: By event and application: how often a complete 2xx was answered.
        delivery_ids: By event and application: the delivery ids of those answers.
        answering: By event and application: requests that wait for their answer.
        seconds: How long each answer takes.
    """

    def __init__(self) -> None:
        self.told: Counter[tuple[str, str]] = Counter()
        self.delivery_ids: dict[tuple[str, str], set[str]] = {}
        self.answering: Counter[tuple[str, str]] = Counter()
        self.misbehaviour: Behaviour | None = None
        self.seconds = 0.0
        self.base_url = ""

    def url(self, name: str) -> str:
        """Return the URL of application *name*."""
        return f"{self.base_url}/{name}/hook"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.path.split("/")[1]
        event_id = request.headers["X-Faxhook-Event-Id"]
        attempt = int(request.headers["X-Faxhook-Attempt"])
        key = (event_id, name)
        self.answering[key] += 1
        try:
            await request.read()
            if self.seconds:
                await asyncio.sleep(self.seconds)  # the answer time that the fault asks for
            if name == "steady" and self.misbehaviour is not None:
                return await self.misbehaviour(request)
            status = status_of(name, event_id, attempt)
            response = web.Response(status=status)
            if status == 200:
                # Counted before it is sent: an answer whose connection breaks may have arrived.
                self.told[key] += 1
                self.delivery_ids.setdefault(key, set()).add(request.headers["X-Faxhook-Delivery-Id"])
            return response
        finally:
            self.answering[key] -= 1


def status_of(name: str, event_id: str, attempt: int) -> int:
    """Return what an application answers: always the same for the same event and attempt."""
    dice = zlib.crc32(f"{name} {event_id}".encode())
    if name == "gone":
        return 410
    if name == "moody":
        return 500 if dice % 8 == 0 else 200
    return 503 if dice % 6 == 0 and attempt == 1 else 200


async def hang(_request: web.Request) -> web.StreamResponse:
    """Accept the connection and do not answer."""
    await asyncio.sleep(30)  # longer than every timeout
    return web.Response(status=500)


async def drip(request: web.Request) -> web.StreamResponse:
    """Answer 200, a byte at a time, for longer than every timeout."""
    response = web.StreamResponse(status=200)
    response.content_length = 100
    with suppress(OSError):
        await response.prepare(request)
        for _ in range(100):
            await response.write(b".")
            await asyncio.sleep(0.5)  # the pause between two bytes
    return response


async def flood(request: web.Request) -> web.StreamResponse:
    """Answer 500 with a body of a gigabyte, which a client must not read whole."""
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
    """Redirect to an application that would answer 200."""
    return web.Response(status=307, headers={"Location": str(request.url.with_path("/elsewhere/hook"))})


@asynccontextmanager
async def serving_applications() -> AsyncIterator[Applications]:
    """Run the applications on a free loopback port until the body ends."""
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
