"""Fixture: the environments of both services, with least rights on empty stores for this test alone."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from dispatchers import SECRETS_KEY
from processes import SECRETS
from receiver import Receiver
from running_stack import RunningStack
from stores import as_application


@pytest.fixture
async def running_stack(
    amqp_url: str,
    broker_users: dict[str, str],
    database_url: str,
    receiver: Receiver,
    tmp_path: Path,
    backoff: str,
) -> AsyncIterator[RunningStack]:
    media_url = (tmp_path / "media").as_uri()
    common = {"MEDIA_URL": media_url}
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool, aiohttp.ClientSession() as http:
        yield RunningStack(
            amqp_url=amqp_url,
            database_url=database_url,
            receiver=receiver,
            pool=pool,
            http=http,
            ingress=common | SECRETS | {"AMQP_URL": broker_users["ingress"], "INGRESS_PORT": "0"},
            dispatcher=common
            | {
                "AMQP_URL": broker_users["dispatcher"],
                "OPS_AMQP_URL": broker_users["ops"],
                "DATABASE_URL": as_application(database_url),
                "SECRETS_KEY": SECRETS_KEY,
                "OPS_PORT": "0",
                "BACKOFF": backoff,
                "EGRESS_ALLOW_NETWORKS": "127.0.0.0/8",
            },
        )
