"""What the platform that runs the dispatcher calls: is it alive, is it ready, its metrics. Open to every client."""

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from aiohttp import web

from dispatcher.metrics import Metrics
from dispatcher.ops.api.http import answered
from dispatcher.ops.api.operation import Operation
from dispatcher.ops.api.problems import Problem

Problems = Callable[[], list[str]]
"""Returns in sentences why the dispatcher cannot work now."""


class Health(msgspec.Struct, frozen=True):
    """Whether the dispatcher runs."""

    status: Literal["alive", "ready"]


class Platform:
    """The handlers."""

    def __init__(self, metrics: Metrics, problems: Problems) -> None:
        self._metrics = metrics
        self._problems = problems

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        ready = "Can it work now? If not, the problem's detail says why"
        metrics = "Metrics, as Prometheus reads them"
        return (
            Operation("GET", "/livez", self.livez, "Is it alive?", answer=Health),
            Operation("GET", "/readyz", self.readyz, ready, answer=Health, problems=(503,)),
            Operation("GET", "/metrics", self.metrics, metrics, media_type="text/plain"),
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
