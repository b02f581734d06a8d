"""The ops surface of a dispatcher, composed: health, metrics, API, console, and the jobs of dead letters."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
from aiohttp import web

from dispatcher.channels import Channel
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.health import LedgerHealth
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pool import Pool
from dispatcher.metrics import Metrics
from dispatcher.ops.access.api import TokenApi
from dispatcher.ops.access.authenticator import Authenticator
from dispatcher.ops.access.refusals import Refusals
from dispatcher.ops.accounts.api import AccountApi
from dispatcher.ops.accounts.reader import AccountReader
from dispatcher.ops.alerts.api import AlertApi
from dispatcher.ops.alerts.reader import AlertReader
from dispatcher.ops.alerts.trying import WaysToOperator
from dispatcher.ops.api.description.openapi import openapi
from dispatcher.ops.api.http import guard
from dispatcher.ops.api.operation import ApiPart, add_operations
from dispatcher.ops.api.platform import Platform, Problems
from dispatcher.ops.api.problems import Problem
from dispatcher.ops.audit.api import AuditApi
from dispatcher.ops.audit.entries import AuditReader
from dispatcher.ops.console.console import Console, WaysIn
from dispatcher.ops.console.sources import Sources
from dispatcher.ops.dead.api import DeadLetterApi
from dispatcher.ops.dead.service import serving_dead
from dispatcher.ops.deliveries.api import DeliveryApi
from dispatcher.ops.deliveries.attempts import AttemptReader
from dispatcher.ops.deliveries.requests import RequestReader
from dispatcher.ops.documents.api import DocumentApi
from dispatcher.ops.documents.service import DocumentService
from dispatcher.ops.endpoints.api import EndpointApi
from dispatcher.ops.endpoints.changes import EndpointChanges
from dispatcher.ops.endpoints.reading.health import EndpointHealthReader
from dispatcher.ops.export.api import ExportApi
from dispatcher.ops.export.lists import exported_lists
from dispatcher.ops.faxes.api import FaxApi
from dispatcher.ops.faxes.reader import FaxReader
from dispatcher.ops.queues.api import QueueApi
from dispatcher.ops.queues.history import QueueHistory
from dispatcher.ops.queues.reader import QueueReader
from dispatcher.settings import DispatcherSettings
from shared.media import MediaStore
from shared.runtime.http_server import AppRunner
from shared.runtime.port import open_port
from shared.runtime.service import Stop, running


@asynccontextmanager
async def serving_ops(
    settings: DispatcherSettings,
    stop: Stop,
    *,
    pool: Pool,
    store: EndpointStore,
    intake: Intake,
    channels: Mapping[str, Channel],
    media: MediaStore,
    circuit_is_open: Callable[[UUID], bool],
    metrics: Metrics,
    problems: Problems,
    ledger: LedgerHealth,
) -> AsyncIterator[int]:
    """Serve health, metrics, API and console while the body runs; yield the port."""
    refusals = Refusals(pool)
    authenticator = Authenticator(*settings.ops_tokens(), pool, refusals)
    reader = QueueReader(settings.for_operations(), settings.rabbitmq_api(), pool, settings.backoff_seconds())
    queues = QueueHistory(reader)
    async with (
        serving_dead(settings, stop, ledger) as dead,
        running(queues.run(), stop, "queues"),
        running(refusals.run(), stop, "refusals"),
    ):
        health = EndpointHealthReader(pool, circuit_is_open)
        changes = EndpointChanges(pool, store, intake, settings)
        faxes = FaxReader(pool)
        documents = DocumentService(pool, media)
        requests = RequestReader(pool, media)
        sources = Sources(pool, store, dead, faxes, requests, queues, health)
        parts = (
            Platform(metrics, problems),
            EndpointApi(pool, store, changes, health, channels),
            DeadLetterApi(pool, dead, settings.seal()),
            FaxApi(faxes),
            DeliveryApi(AttemptReader(pool), requests),
            QueueApi(queues),
            TokenApi(pool, settings.seal()),
            AccountApi(AccountReader(pool)),
            AlertApi(AlertReader(pool)),
            AuditApi(AuditReader(pool)),
            ExportApi(pool, exported_lists(pool, store, faxes, dead)),
            DocumentApi(documents),
        )
        app = ops_app(parts, authenticator)
        ways_in = WaysIn(authenticator, settings.ops_tokens(), settings.identity_provider())
        ways_out = (WaysToOperator.of(settings), settings.account_mailing())
        Console(sources, changes, channels, problems, ways_in, documents, *ways_out).add_to(app)
        async with _serving(app, settings.ops_host, settings.ops_port) as port:
            yield port


def ops_app(parts: Sequence[ApiPart], authenticator: Authenticator) -> web.Application:
    """Return the application of the API's *parts* and its description; what is under `/v1/` needs a token."""
    operations = [operation for part in parts for operation in part.operations()]
    description = msgspec.json.encode(openapi(operations))

    async def describe(_request: web.Request) -> web.Response:
        return web.Response(body=description, content_type="application/json")

    app = web.Application(middlewares=[guard(authenticator)])
    add_operations(app, operations)
    app.router.add_get("/openapi.json", describe)
    return app


@asynccontextmanager
async def _serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve *app* on *host*:*port* (0: any free port) and yield the port."""
    runner = AppRunner(app, _refuse, access_log=None)
    await runner.setup()
    try:
        yield await open_port(runner, "OPS", host, port)
    finally:
        await runner.cleanup()


def _refuse(_reason: str) -> web.Response:
    return Problem(400, "malformed", "the request is not HTTP that can be read").response()
