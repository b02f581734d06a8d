"""The dispatcher's ops port: health, metrics, and the parts of the API."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec
from aiohttp import web

from dispatcher.metrics import Metrics
from dispatcher.ops.api import guard

Problems = Callable[[], list[str]]


class Routes(Protocol):
    """A part of the API."""

    def add_to(self, app: web.Application) -> None:
        """Register its routes."""


def ops_app(
    metrics: Metrics, problems: Problems, parts: Sequence[Routes], token: str | None, read_token: str | None
) -> web.Application:
    """Return the ops surface; *problems* says in sentences why the dispatcher cannot work now."""

    async def livez(_request: web.Request) -> web.Response:
        return _json(200, {"status": "alive"})

    async def readyz(_request: web.Request) -> web.Response:
        found = problems()
        if found:
            return _json(503, {"error": "unavailable", "detail": "; ".join(found)})
        return _json(200, {"status": "ready"})

    async def render(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), content_type="text/plain", charset="utf-8")

    app = web.Application(middlewares=[guard(token, read_token)])
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", render)
    for part in parts:
        part.add_to(app)
    return app


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve *app* on *host*:*port* (0: any free port) and yield the port."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _json(status: int, body: dict[str, str]) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
