"""Fixtures: an alerter that sends to a webhook and by mail, both on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ipaddress import ip_network
from typing import Any

import asyncpg
import pytest
from mailserver import Relay, relaying
from receiver import Receiver

from dispatcher.alerts.alerter import Alerter
from dispatcher.alerts.transport import Transport
from dispatcher.channels.mail.address import Mailbox, parse_relay
from dispatcher.configuration.alerts import read_alerting
from dispatcher.egress.client import EgressClient
from dispatcher.metrics import Metrics
from shared.runtime.service import end
from shared.settings import Secret

SECRET = "whsec_" + "QUJD" * 8

Alerting = Callable[..., AbstractAsyncContextManager[Metrics]]


@pytest.fixture
async def mails() -> AsyncIterator[Relay]:
    async with relaying() as relay:
        yield relay


@pytest.fixture
def alerting(pool: asyncpg.Pool, receiver: Receiver, mails: Relay) -> Alerting:
    """Call it to run an alerter until the body ends."""

    @asynccontextmanager
    async def run(checks: Sequence[Any] = (), urls: Sequence[str] | None = None) -> AsyncIterator[Metrics]:
        wanted = urls or [f"{receiver.base_url}/alerts", "mailto:ops@example.com"]
        client = EgressClient([ip_network("127.0.0.0/8")])
        settings = read_alerting([Secret(url) for url in wanted], [Secret(SECRET)], has_relay=True)
        relay = parse_relay(f"smtp://127.0.0.1:{mails.port}"), Mailbox("fax@example.net")
        transport, metrics = Transport(settings, client, relay), Metrics()
        alerter = Alerter(pool, checks, transport, metrics, console_url=None, retention_days=30, look_seconds=0.02)
        task = asyncio.create_task(alerter.run(_at_once))
        try:
            yield metrics
        finally:
            await end({task})
            await transport.close()
            await client.close()

    return run


async def _at_once() -> None:
    return
