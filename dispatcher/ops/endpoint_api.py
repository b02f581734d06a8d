"""`/v1/endpoints`: where applications want to be told, over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from aiohttp import web

from dispatcher.channels import Channel
from dispatcher.egress import Network
from dispatcher.endpoint_store import EndpointStore
from dispatcher.intake import Intake
from dispatcher.ops.api import (
    WHO,
    Nothing,
    Problem,
    answered,
    convert_body,
    read_body,
    read_object,
    read_query,
    take_command_id,
)
from dispatcher.ops.commands import Answer, digest_of, run_once
from dispatcher.ops.cursor import read_cursor, write_cursor
from dispatcher.ops.description.operation import Operation, add_operations
from dispatcher.ops.endpoint_bodies import (
    EndpointPage,
    EndpointQuery,
    EndpointWithHealth,
    Rotation,
    SampleRequest,
)
from dispatcher.ops.endpoint_fields import EndpointFields, body_of, changed, new_endpoint, read_fields, shown
from dispatcher.ops.endpoint_health import EndpointHealth, EndpointHealthReader
from dispatcher.ops.endpoint_operations import endpoint_operations
from dispatcher.ops.endpoint_tokens import rotated
from dispatcher.ops.reachable import check_reachable
from dispatcher.ops.sample_delivery import send_sample
from dispatcher.pool import Pool
from dispatcher.routing import Endpoint
from shared.seal import Seal

AUDIT: Final = "INSERT INTO audit (who, what, subject, details) VALUES ($1, $2, $3, $4::jsonb)"


class EndpointApi:
    """The handlers."""

    def __init__(
        self,
        pool: Pool,
        store: EndpointStore,
        intake: Intake,
        seal: Seal,
        networks: Sequence[Network],
        health: EndpointHealthReader,
        channels: Mapping[str, Channel],
        *,
        proxied: bool = False,
    ) -> None:
        self._pool = pool
        self._store = store
        self._intake = intake
        self._seal = seal
        self._networks = networks
        self._proxied = proxied
        self._health = health
        self._channels = channels

    def operations(self) -> Sequence[Operation]:
        """Return what is offered."""
        return endpoint_operations(self)

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        add_operations(app, self.operations())

    async def list(self, request: web.Request) -> web.Response:
        """Answer a page of endpoints; `next` is the cursor of the following one."""
        query = read_query(request, EndpointQuery)
        after = None if query.after is None else read_cursor(query.after, tuple[UUID])[0]
        found = await self._store.page(self._pool, after, query.limit + 1)
        page = found[: query.limit]
        return answered(
            200,
            EndpointPage(
                items=tuple(body_of(endpoint) for endpoint in page),
                next=write_cursor([page[-1].id]) if len(found) > query.limit else None,
            ),
        )

    async def show(self, request: web.Request) -> web.Response:
        """Answer one endpoint, and how it is doing."""
        endpoint = await self._existing(self._pool, request)
        fields = msgspec.structs.asdict(body_of(endpoint))
        return answered(200, EndpointWithHealth(**fields, health=await self._health_of(endpoint)))

    async def health(self, request: web.Request) -> web.Response:
        """Answer how an endpoint is doing."""
        return answered(200, await self._health_of(await self._existing(self._pool, request)))

    async def test(self, request: web.Request) -> web.Response:
        """Send a sample to an endpoint, disabled or not, and answer what came back."""
        asked = await read_body(request, SampleRequest)
        endpoint = await self._existing(self._pool, request)
        outcome = await send_sample(endpoint, self._channels, asked.type, failover=asked.failover)
        await self._audit(self._pool, request, "endpoint.tested", endpoint, [])
        return answered(200, outcome)

    async def add(self, request: web.Request) -> web.Response:
        """Make an endpoint; the only answer that shows its tokens."""
        body = await read_object(request)
        command_id = take_command_id(request, body)
        digest = digest_of("POST", request.path, body)
        endpoint = new_endpoint(read_fields(body))
        await self._check_reachable(endpoint)

        async def change(connection: Any) -> Answer:
            await self._store.insert(connection, endpoint)
            await self._audit(connection, request, "endpoint.added", endpoint, [])
            return 201, shown(endpoint, tokens=True)

        status, answer = await run_once(self._pool, self._seal, command_id, digest, change)
        await self._intake.owe_registered(endpoint)
        return answered(status, answer)

    async def change(self, request: web.Request) -> web.Response:
        """Change some fields; what is not named stays."""
        body = await read_object(request)
        command_id = take_command_id(request, body)
        digest = digest_of("PATCH", request.path, body)
        fields = read_fields(body)
        after: list[Endpoint] = []

        async def change(connection: Any) -> Answer:
            before = await self._existing(connection, request, lock=True)
            endpoint = changed(before, fields)
            await self._check_reachable(endpoint)
            await self._store.update(connection, endpoint)
            await self._audit(connection, request, "endpoint.changed", endpoint, _given(fields))
            after.append(endpoint)
            return 200, shown(endpoint, tokens="tokens" in _given(fields))

        status, answer = await run_once(self._pool, self._seal, command_id, digest, change)
        for endpoint in after:
            await self._intake.owe_registered(endpoint)
        return answered(status, answer)

    async def remove(self, request: web.Request) -> web.Response:
        """Remove an endpoint; its history stays, what it was still owed becomes dead letters when due."""
        body = await read_object(request)
        command_id = take_command_id(request, body)
        convert_body(body, Nothing)

        async def change(connection: Any) -> Answer:
            endpoint = await self._existing(connection, request, lock=True)
            await self._store.remove(connection, endpoint.id)
            await self._audit(connection, request, "endpoint.removed", endpoint, [])
            return 200, {"id": str(endpoint.id), "removed": True}

        digest = digest_of("DELETE", request.path, body)
        return answered(*await run_once(self._pool, self._seal, command_id, digest, change))

    async def rotate(self, request: web.Request) -> web.Response:
        """Rotate tokens: `add` one at the end, `promote` the last to the first place, `drop` all but the first."""
        body = await read_object(request)
        command_id = take_command_id(request, body)
        digest = digest_of("POST", request.path, body)
        rotation = convert_body(body, Rotation)

        async def change(connection: Any) -> Answer:
            before = await self._existing(connection, request, lock=True)
            endpoint = rotated(before, rotation.action, rotation.token)
            await self._store.update(connection, endpoint)
            await self._audit(connection, request, f"endpoint.token_{rotation.action}", endpoint, [])
            added = {"token": endpoint.tokens[-1]} if rotation.action == "add" else {}
            return 200, {**shown(endpoint), **added}

        return answered(*await run_once(self._pool, self._seal, command_id, digest, change))

    async def _health_of(self, endpoint: Endpoint) -> EndpointHealth:
        return (await self._health.of([endpoint.id]))[endpoint.id]

    async def _existing(self, connection: Any, request: web.Request, *, lock: bool = False) -> Endpoint:
        text = request.match_info["id"]
        try:
            endpoint = await self._store.get(connection, UUID(text), lock=lock)
        except ValueError:
            endpoint = None
        if endpoint is None:
            raise Problem(404, "not_found", f"there is no endpoint `{text[:60]}`")
        return endpoint

    async def _check_reachable(self, endpoint: Endpoint) -> None:
        await check_reachable("url", endpoint.url, self._networks, proxied=self._proxied)
        if endpoint.failover_url is not None:
            await check_reachable("failover_url", endpoint.failover_url, self._networks, proxied=self._proxied)

    async def _audit(
        self, connection: Any, request: web.Request, what: str, endpoint: Endpoint, fields: Sequence[str]
    ) -> None:
        details = msgspec.json.encode({"fields": list(fields)}).decode()
        await connection.execute(AUDIT, request[WHO], what, str(endpoint.id), details)


def _given(fields: EndpointFields) -> Sequence[str]:
    return [name for name in fields.__struct_fields__ if getattr(fields, name) is not msgspec.UNSET]
