"""`/v1/endpoints`: where applications want to be told, over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from aiohttp import web

from dispatcher.channels import Channel
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.http import (
    WHO,
    Nothing,
    answered,
    convert_body,
    read_body,
    read_object,
    read_query,
    take_command_id,
)
from dispatcher.ops.api.idempotency import digest_of
from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.api.operation import Operation
from dispatcher.ops.endpoints.bodies import (
    ChangedEndpoint,
    EndpointBody,
    EndpointPage,
    EndpointQuery,
    EndpointWithHealth,
    PausedEndpoint,
    RemovalQuery,
    Removed,
    RotatedEndpoint,
    Rotation,
    SampleRequest,
)
from dispatcher.ops.endpoints.changes import Command, EndpointChanges
from dispatcher.ops.endpoints.model import EndpointFields, body_of, read_fields, with_health
from dispatcher.ops.endpoints.reading.health import EndpointHealth, EndpointHealthReader
from dispatcher.ops.endpoints.reading.origin import read_origin
from dispatcher.ops.endpoints.reading.pages import read_page
from dispatcher.ops.endpoints.reading.rates import EndpointRates, read_rates
from dispatcher.ops.endpoints.reading.removal import RemovalPreview, preview_removal
from dispatcher.ops.endpoints.sample import SampleOutcome, audit_sample, send_sample
from dispatcher.policy.endpoint import Endpoint
from shared.domain import utc_now


class EndpointApi:
    """The handlers."""

    def __init__(
        self,
        pool: Pool,
        store: EndpointStore,
        changes: EndpointChanges,
        health: EndpointHealthReader,
        channels: Mapping[str, Channel],
    ) -> None:
        self._pool = pool
        self._store = store
        self._changes = changes
        self._health = health
        self._channels = channels

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        return (
            Operation(
                "GET",
                "/v1/endpoints",
                self.list,
                "Endpoints, the oldest first",
                query=EndpointQuery,
                answer=EndpointPage,
            ),
            Operation(
                "POST",
                "/v1/endpoints",
                self.add,
                "Add an endpoint; its tokens are shown in this answer and never again",
                body=EndpointFields,
                required=("url",),
                example={
                    "url": "https://app.example/faxes",
                    "scope": "number",
                    "match": "+15550100102",
                    "format": "standard-v1",
                },
                answer=EndpointBody,
                status=201,
                is_command=True,
            ),
            Operation(
                "GET", "/v1/endpoints/{id}", self.show, "An endpoint, and how it is doing", answer=EndpointWithHealth
            ),
            Operation(
                "PATCH",
                "/v1/endpoints/{id}",
                self.change,
                "Change an endpoint; a field that is not given stays as it is. Another scope or match leaves faxes: "
                "the answer says which endpoints get them instead",
                body=EndpointFields,
                example={"timeout_seconds": 30, "max_concurrent": 4},
                answer=ChangedEndpoint,
                is_command=True,
            ),
            Operation(
                "DELETE",
                "/v1/endpoints/{id}",
                self.remove,
                "Remove an endpoint, or with dry_run say which endpoints would get its faxes then; its history stays, "
                "what it is still owed becomes dead letters when due",
                query=RemovalQuery,
                answer=(Removed, RemovalPreview),
                is_command=True,
            ),
            Operation(
                "POST",
                "/v1/endpoints/{id}/tokens",
                self.rotate,
                "Rotate an endpoint's tokens",
                body=Rotation,
                example={"action": "add"},
                answer=RotatedEndpoint,
                is_command=True,
            ),
            Operation(
                "POST",
                "/v1/endpoints/{id}/pause",
                self.pause,
                "Pause an endpoint: what it is owed waits, without attempts, until it is resumed",
                answer=PausedEndpoint,
                is_command=True,
            ),
            Operation(
                "POST",
                "/v1/endpoints/{id}/resume",
                self.resume,
                "Resume an endpoint: what waited is delivered in order",
                answer=EndpointBody,
                is_command=True,
            ),
            Operation(
                "GET", "/v1/endpoints/{id}/health", self.health, "How an endpoint is doing", answer=EndpointHealth
            ),
            Operation(
                "GET",
                "/v1/endpoints/{id}/rates",
                self.rates,
                "How many attempts were told (delivered), and how long they took: over an hour, a day, a week",
                answer=EndpointRates,
            ),
            Operation(
                "POST",
                "/v1/endpoints/{id}/test",
                self.test,
                "Send a sample event to an endpoint, outside the ledger, and say what came back",
                body=SampleRequest,
                example={"type": "fax.failed"},
                answer=SampleOutcome,
            ),
        )

    async def list(self, request: web.Request) -> web.Response:
        """Answer a page of endpoints."""
        query = read_query(request, EndpointQuery)
        page = await read_page(self._pool, self._store, query)
        return answered(200, EndpointPage(items=tuple(body_of(endpoint) for endpoint in page.items), next=page.next))

    async def show(self, request: web.Request) -> web.Response:
        """Answer one endpoint, and how it is doing."""
        endpoint = await self._changes.known(self._pool, _id_of(request))
        origin = await read_origin(self._pool, endpoint.id)
        dates = await self._store.token_dates(self._pool, endpoint.id)
        return answered(200, with_health(endpoint, origin, dates, await self._health_of(endpoint)))

    async def health(self, request: web.Request) -> web.Response:
        """Answer how an endpoint is doing."""
        return answered(200, await self._health_of(await self._changes.known(self._pool, _id_of(request))))

    async def rates(self, request: web.Request) -> web.Response:
        """Answer how many attempts were told, and how long they took."""
        return answered(
            200, await read_rates(self._pool, (await self._changes.known(self._pool, _id_of(request))).id, utc_now())
        )

    async def test(self, request: web.Request) -> web.Response:
        """Send a sample to an endpoint, disabled or not, and answer what came back."""
        sample = await read_body(request, SampleRequest)
        endpoint = await self._existing(request)
        outcome = await send_sample(endpoint, self._channels, sample.type, failover=sample.failover)
        await audit_sample(self._pool, request[WHO], endpoint, outcome)
        return answered(200, outcome)

    async def add(self, request: web.Request) -> web.Response:
        """Add an endpoint; only this answer shows its tokens."""
        command, body = await _read_command(request)
        return answered(*await self._changes.add(command, read_fields(body)))

    async def change(self, request: web.Request) -> web.Response:
        """Change the fields that are given."""
        command, body = await _read_command(request)
        return answered(*await self._changes.change(command, _id_of(request), read_fields(body)))

    async def remove(self, request: web.Request) -> web.Response:
        """Remove an endpoint; its history stays, what it was still owed becomes dead letters when due."""
        command, body = await _read_command(request)
        convert_body(body, Nothing)
        if read_query(request, RemovalQuery).dry_run:
            return answered(200, await preview_removal(self._pool, self._store, await self._existing(request)))
        return answered(*await self._changes.remove(command, _id_of(request)))

    async def pause(self, request: web.Request) -> web.Response:
        """Pause an endpoint."""
        command, body = await _read_command(request)
        convert_body(body, Nothing)
        return answered(*await self._changes.pause(command, _id_of(request)))

    async def resume(self, request: web.Request) -> web.Response:
        """Resume an endpoint."""
        command, body = await _read_command(request)
        convert_body(body, Nothing)
        return answered(*await self._changes.resume(command, _id_of(request)))

    async def rotate(self, request: web.Request) -> web.Response:
        """Rotate tokens: `add` one at the end, `promote` the newest to the first place, `drop` all but the first."""
        command, body = await _read_command(request)
        rotation = convert_body(body, Rotation)
        return answered(*await self._changes.rotate(command, _id_of(request), rotation.action, rotation.token))

    async def _health_of(self, endpoint: Endpoint) -> EndpointHealth:
        return (await self._health.of([endpoint.id]))[endpoint.id]

    async def _existing(self, request: web.Request) -> Endpoint:
        return await self._changes.existing(self._pool, _id_of(request))


async def _read_command(request: web.Request) -> tuple[Command, dict[str, Any]]:
    """Return the command that a request is, and its body without the `command_id`."""
    body = await read_object(request)
    command_id = take_command_id(request, body)
    digest = digest_of(request.method, request.path, body)
    return Command(who=request[WHO], command_id=command_id, digest=digest), body


def _id_of(request: web.Request) -> UUID:
    return read_id(request.match_info["id"], "endpoint")
