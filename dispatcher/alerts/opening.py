"""Puts the alerts together: what is looked at, and the ways to the operator."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from dispatcher.alerts.alerter import Alerter
from dispatcher.alerts.checks.dead import DeadLetterCheck, queue_depths
from dispatcher.alerts.checks.endpoints import EndpointCheck, HealthReader
from dispatcher.alerts.checks.refusals import RefusalCheck
from dispatcher.alerts.silence.check import SilenceCheck
from dispatcher.alerts.transport import Transport
from dispatcher.egress.client import EgressClient
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import Pool
from dispatcher.metrics import Metrics
from dispatcher.settings import DispatcherSettings
from shared.media import MediaStore


@asynccontextmanager
async def open_alerter(
    pool: Pool,
    reader: HealthReader,
    store: EndpointStore,
    media: MediaStore,
    metrics: Metrics,
    settings: DispatcherSettings,
) -> AsyncIterator[Alerter]:
    """Yield the alerter, and close its connections at the end."""
    client = EgressClient(settings.allowed_networks(), settings.proxy())
    transport = Transport(settings.alerting(), client, settings.mail())
    checks = (
        EndpointCheck(reader, store),
        DeadLetterCheck(partial(queue_depths, settings.for_operations())),
        RefusalCheck(media),
        SilenceCheck(),
    )
    try:
        yield Alerter(
            pool,
            checks,
            transport,
            metrics,
            console_url=None if settings.console_url is None else settings.console_url.rstrip("/"),
            retention_days=settings.retention_days,
        )
    finally:
        await transport.close()
        await client.close()
