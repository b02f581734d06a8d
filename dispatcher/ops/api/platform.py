"""The dispatcher's ops port: health, metrics, and the parts of the API."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Literal, Protocol

import msgspec
from aiohttp import web

from dispatcher.metrics import Metrics
from dispatcher.ops.api.http import answered, guard
from dispatcher.ops.api.openapi import openapi
from dispatcher.ops.api.operation import Described, Operation, add_operations
from dispatcher.ops.api.problems import Problem
from shared.runtime.http_server import AppRunner

Problems = Callable[[], list[str]]


class Routes(Protocol):
    """A part of the API."""

    def add_to(self, app: web.Application) -> None:
        """Register its routes."""


class Health(msgspec.Struct, frozen=True):
    """How the dispatcher is."""

    status: Literal["alive", "ready"]


class Platform:
    """What the platform asks for: is it alive, is it ready, its metrics. *problems* are sentences."""

    def __init__(self, metrics: Metrics, problems: Problems) -> None:
        self._metrics = metrics
        self._problems = problems

    def operations(self) -> Sequence[Operation]:
        """Return what is offered, to everybody."""
        return (
            Operation(method="GET", path="/livez", handler=self.livez, summary="Is it alive?", answer=Health),
            Operation(
                method="GET",
                path="/readyz",
                handler=self.readyz,
                summary="Can it work now? If not, the problem's detail says why",
                answer=Health,
                problems=(503,),
            ),
            Operation(
                method="GET",
                path="/metrics",
                handler=self.metrics,
                summary="Metrics, as Prometheus reads them",
                media_type="text/plain",
            ),
        )

    async def livez(self, _request: web.Request) -> web.Response:
        """Answer that the process serves."""
        return answered(200, Health("alive"))

    async def readyz(self, _request: web.Request) -> web.Response:
        """Answer whether the dispatcher can work now."""
        if found := self._problems():
            return Problem(503, "unavailable", "; ".join(found)).response()
        return answered(200, Health("ready"))

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer the metrics."""
        return web.Response(body=self._metrics.render(), content_type="text/plain", charset="utf-8")


def ops_app(
    metrics: Metrics, problems: Problems, parts: Sequence[Routes], token: str | None, read_token: str | None
) -> web.Application:
    """Return the ops surface; *problems* says in sentences why the dispatcher cannot work now."""
    platform = Platform(metrics, problems)
    app = web.Application(middlewares=[guard(token, read_token)])
    described = [platform, *(part for part in parts if isinstance(part, Described))]
    add_operations(app, platform.operations())
    description = msgspec.json.encode(openapi([each for part in described for each in part.operations()]))

    async def describe(_request: web.Request) -> web.Response:
        return web.Response(body=description, content_type="application/json")

    app.router.add_get("/openapi.json", describe)
    for part in parts:
        part.add_to(app)
    return app


def _refuse(_reason: str) -> web.Response:
    return Problem(400, "malformed", "the request is not HTTP that can be read").response()


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve *app* on *host*:*port* (0: any free port) and yield the port."""
    runner = AppRunner(app, _refuse, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
