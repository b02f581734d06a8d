"""The ingress in this process, on a real broker."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ingresses import RunningIngress, serving_ingress
from processes import SECRETS


@pytest.fixture
def settings() -> dict[str, str]:
    """Variables beside the stores'; a test may override them."""
    return dict(SECRETS)


@pytest.fixture
async def ingress(
    amqp_url: str, settings: dict[str, str], tmp_path: Path, unused_tcp_port: int
) -> AsyncIterator[RunningIngress]:
    async with serving_ingress(amqp_url, tmp_path / "media", unused_tcp_port, **settings) as running:
        yield running
