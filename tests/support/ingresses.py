"""An ingress that a test talks to, in the test's own process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from waiting import until

from ingress.__main__ import serve
from ingress.settings import IngressSettings
from shared.runtime.service import Stop
from shared.settings import load


@dataclass
class RunningIngress:
    """A served ingress and what it was started with."""

    url: str
    media: Path
    http: aiohttp.ClientSession

    async def is_ready(self) -> bool:
        try:
            async with self.http.get(f"{self.url}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientConnectorError:
            return False


@asynccontextmanager
async def serving_ingress(amqp_url: str, media: Path, port: int, **settings: str) -> AsyncIterator[RunningIngress]:
    """Serve an ingress on *port* until the body ends; it must end well."""
    environment = {"AMQP_URL": amqp_url, "MEDIA_URL": media.as_uri(), "INGRESS_PORT": str(port), **settings}
    stop = Stop()
    serving = asyncio.create_task(serve(load(IngressSettings, environment), stop))
    async with aiohttp.ClientSession() as http:
        running = RunningIngress(f"http://127.0.0.1:{port}", media, http)
        await until(running.is_ready, "ingress ready")
        yield running
    stop.set()
    await serving
    assert stop.failure is None
