"""The ingress in this process, on a real broker."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from ingresses import RunningIngress
from processes import SECRETS
from waiting import until

from ingress.__main__ import serve
from ingress.settings import IngressSettings
from shared.service import Stop
from shared.settings import load


@pytest.fixture
def settings() -> dict[str, str]:
    """Variables beside the stores'; a test may override them."""
    return dict(SECRETS)


@pytest.fixture
async def ingress(
    amqp_url: str, settings: dict[str, str], tmp_path: Path, unused_tcp_port: int
) -> AsyncIterator[RunningIngress]:
    media = tmp_path / "media"
    environment = {"AMQP_URL": amqp_url, "MEDIA_URL": media.as_uri(), "INGRESS_PORT": str(unused_tcp_port), **settings}
    stop = Stop()
    serving = asyncio.create_task(serve(load(IngressSettings, environment), stop))
    async with aiohttp.ClientSession() as http:
        running = RunningIngress(f"http://127.0.0.1:{unused_tcp_port}", media, http)
        await until(running.is_ready, "ingress ready")
        yield running
    stop.set()
    await serving
    assert stop.failure is None
