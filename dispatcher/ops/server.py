"""The ops surface of a dispatcher, composed: the parts of the API, the console, the jobs that it goes on with."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec

from dispatcher.channels import Channel
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pool import Pool
from dispatcher.metrics import Metrics
from dispatcher.ops.api.platform import Problems, ops_app, serving
from dispatcher.ops.console.console import Console
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.dead.api import DeadLetterApi
from dispatcher.ops.dead.opened import serving_dead
from dispatcher.ops.endpoints.api import EndpointApi
from dispatcher.ops.endpoints.changes import EndpointChanges
from dispatcher.ops.endpoints.health import EndpointHealthReader
from dispatcher.ops.faxes.api import FaxApi
from dispatcher.ops.faxes.reader import FaxReader
from dispatcher.ops.queues.api import QueueApi
from dispatcher.ops.queues.history import QueueHistory
from dispatcher.ops.queues.reader import QueueReader
from dispatcher.settings import DispatcherSettings
from shared.runtime.service import Stop, running


class Surface(msgspec.Struct, frozen=True):
    """What of the dispatcher the ops surface shows and changes.

    Attributes:
        problems: Says in sentences why it cannot work now.
        ledger_known: Waits until the ledger's schema was seen to be ours.
    """

    pool: Pool
    store: EndpointStore
    intake: Intake
    channels: Mapping[str, Channel]
    circuit_is_open: Callable[[UUID], bool]
    metrics: Metrics
    problems: Problems
    ledger_known: Callable[[], Awaitable[None]]


@asynccontextmanager
async def serving_ops(settings: DispatcherSettings, stop: Stop, of: Surface) -> AsyncIterator[int]:
    """Serve health, metrics, API and console while the body runs; yield the port."""
    tokens = settings.ops_tokens()
    reader = QueueReader(settings.for_operations(), settings.rabbitmq_api(), of.pool, settings.backoff_seconds())
    queues = QueueHistory(reader)
    async with serving_dead(settings, stop, of.ledger_known) as dead, running(queues.run(), stop, "queues"):
        health = EndpointHealthReader(of.pool, of.circuit_is_open)
        changes = EndpointChanges(of.pool, of.store, of.intake, settings)
        faxes = FaxReader(of.pool)
        sources = Sources(of.pool, of.store, dead, faxes, queues, health)
        parts = (
            EndpointApi(of.pool, of.store, changes, health, of.channels),
            DeadLetterApi(of.pool, dead, settings.seal()),
            FaxApi(faxes),
            QueueApi(queues),
            Console(sources, changes, of.channels, of.problems, tokens),
        )
        app = ops_app(of.metrics, of.problems, parts, *tokens)
        async with serving(app, settings.ops_host, settings.ops_port) as port:
            yield port
