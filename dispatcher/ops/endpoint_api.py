"""`/v1/endpoints`: where applications want to be told, over HTTP."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from aiohttp import web

from dispatcher.egress import Network
from dispatcher.endpoint_store import EndpointStore
from dispatcher.formats.tokens import new_token
from dispatcher.intake import Intake
from dispatcher.ops.api import MOST_PER_PAGE, WHO, Problem, answered, read_object, take_command_id
from dispatcher.ops.commands import Answer, digest_of, run_once
from dispatcher.ops.endpoint_fields import EndpointFields, changed, new_endpoint, read_fields, shown
from dispatcher.ops.endpoint_input import BadEndpoint
from dispatcher.ops.reachable import check_reachable
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
        *,
        proxied: bool = False,
    ) -> None:
        self._pool = pool
        self._store = store
        self._intake = intake
        self._seal = seal
        self._networks = networks
        self._proxied = proxied

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/v1/endpoints", self.list)
        app.router.add_post("/v1/endpoints", self.add)
        app.router.add_get("/v1/endpoints/{id}", self.show)
        app.router.add_patch("/v1/endpoints/{id}", self.change)
        app.router.add_delete("/v1/endpoints/{id}", self.remove)
        app.router.add_post("/v1/endpoints/{id}/tokens", self.rotate)

    async def list(self, request: web.Request) -> web.Response:
        """Answer a page of endpoints; `next` is the cursor of the following one."""
        most = _limit(request)
        after = _uuid(request.query["after"], "after") if "after" in request.query else None
        found = await self._store.page(self._pool, after, most + 1)
        page = found[:most]
        return answered(
            200,
            {
                "items": [shown(endpoint) for endpoint in page],
                "next": str(page[-1].id) if len(found) > most else None,
            },
        )

    async def show(self, request: web.Request) -> web.Response:
        """Answer one endpoint."""
        return answered(200, shown(await self._existing(self._pool, request)))

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
        action, token = body.pop("action", "add"), body.pop("token", None)
        if body:
            raise Problem(422, "bad_rotation", "there is no such field", next(iter(body)))
        if action not in {"add", "promote", "drop"}:
            raise Problem(422, "bad_rotation", "must be add, promote or drop", "action")
        if token is not None and (action != "add" or not isinstance(token, str)):
            raise Problem(422, "bad_rotation", "a text, and only with the action add", "token")

        async def change(connection: Any) -> Answer:
            before = await self._existing(connection, request, lock=True)
            tokens = list(before.tokens)
            if action == "add":
                tokens.append(token or new_token(before.format))
            elif not tokens:
                raise BadEndpoint("tokens", "the endpoint has none")
            else:
                tokens = [tokens[-1], *tokens[:-1]] if action == "promote" else tokens[:1]
            endpoint = changed(before, EndpointFields(tokens=tokens))
            await self._store.update(connection, endpoint)
            await self._audit(connection, request, f"endpoint.token_{action}", endpoint, [])
            return 200, {**shown(endpoint), **({"token": tokens[-1]} if action == "add" else {})}

        return answered(*await run_once(self._pool, self._seal, command_id, digest, change))

    async def _existing(self, connection: Any, request: web.Request, *, lock: bool = False) -> Endpoint:
        endpoint_id = _uuid(request.match_info["id"], "id")
        endpoint = await self._store.get(connection, endpoint_id, lock=lock)
        if endpoint is None:
            raise Problem(404, "not_found", f"there is no endpoint {endpoint_id}")
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


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(MOST_PER_PAGE))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_PER_PAGE):
        raise Problem(422, "bad_limit", f"must be 1 to {MOST_PER_PAGE}", "limit")
    return int(text)


def _uuid(text: str, field: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Problem(
            404 if field == "id" else 422,
            "not_found" if field == "id" else "bad_cursor",
            f"`{text[:60]}` is no id",
            field,
        ) from None
