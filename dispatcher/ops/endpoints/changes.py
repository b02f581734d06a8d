"""Changes to endpoints, whoever asks: API, console, command line. Each is one transaction with its line in the audit.

Nothing here knows of HTTP: refusals are `BadEndpoint` (it names the field) and `NoSuch`.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.api.idempotency import Answer, Change, run_once
from dispatcher.ops.api.lookups import NoSuch
from dispatcher.ops.endpoints.bodies import RotationAction
from dispatcher.ops.endpoints.model import EndpointFields, apply_fields, new_endpoint, shown
from dispatcher.ops.endpoints.reachable import check_reachable
from dispatcher.ops.endpoints.tokens import rotated
from dispatcher.policy.endpoint import Endpoint
from dispatcher.settings import EndpointSettings


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for a change, and which command it is: the same one within a minute changes nothing again."""

    who: str
    command_id: str | None = None
    digest: bytes = b""


class EndpointChanges:
    """Adds, changes, removes endpoints, and rotates their tokens. Answers are status and body, as the API's.

    *settings* say which networks may be reached, by which way out, and what seals tokens.
    """

    def __init__(self, pool: Pool, store: EndpointStore, intake: Intake, settings: EndpointSettings) -> None:
        self._pool = pool
        self._store = store
        self._intake = intake
        self._seal = settings.seal()
        self._networks = settings.allowed_networks()
        self._is_proxied = settings.proxy() is not None

    async def add(self, asked: Asked, fields: EndpointFields) -> Answer:
        """Make an endpoint; the only answer that shows its tokens.

        Raises:
            BadEndpoint: Names the field that is wrong.
        """
        endpoint = new_endpoint(fields)
        await self._check_reachable(endpoint)
        added: list[Endpoint] = []

        async def change(connection: Any) -> Answer:
            await self._store.insert(connection, endpoint)
            await write_audit(connection, asked.who, "endpoint.added", endpoint.id, {"fields": []})
            added.append(endpoint)
            return 201, shown(endpoint, tokens=True)

        return await self._made(asked, change, added)

    async def change(self, asked: Asked, endpoint_id: UUID, fields: EndpointFields) -> Answer:
        """Change some fields; what is not given stays. The audit names the fields, not their values: some are secret.

        Raises:
            BadEndpoint: Names the field that is wrong.
            NoSuch: There is no such endpoint.
        """
        after: list[Endpoint] = []
        given = [name for name in fields.__struct_fields__ if getattr(fields, name) is not msgspec.UNSET]

        async def change(connection: Any) -> Answer:
            endpoint = apply_fields(await self.existing(connection, endpoint_id, lock=True), fields)
            await self._check_reachable(endpoint)
            await self._store.update(connection, endpoint)
            await write_audit(connection, asked.who, "endpoint.changed", endpoint_id, {"fields": given})
            after.append(endpoint)
            return 200, shown(endpoint, tokens="tokens" in given)

        return await self._made(asked, change, after)

    async def remove(self, asked: Asked, endpoint_id: UUID) -> Answer:
        """Remove an endpoint; its history stays, what it was still owed becomes dead letters when due.

        Raises:
            NoSuch: There is no such endpoint.
        """

        async def change(connection: Any) -> Answer:
            await self.existing(connection, endpoint_id, lock=True)
            await self._store.remove(connection, endpoint_id)
            await write_audit(connection, asked.who, "endpoint.removed", endpoint_id, {"fields": []})
            return 200, {"id": str(endpoint_id), "removed": True}

        return await self._once(asked, change)

    async def rotate(self, asked: Asked, endpoint_id: UUID, action: RotationAction, token: str | None = None) -> Answer:
        """Rotate tokens, see `rotated`; the answer shows the one that was added.

        Raises:
            BadEndpoint: *token* cannot sign, or there is none to promote or drop.
            NoSuch: There is no such endpoint.
        """

        async def change(connection: Any) -> Answer:
            endpoint = rotated(await self.existing(connection, endpoint_id, lock=True), action, token)
            await self._store.update(connection, endpoint)
            await write_audit(connection, asked.who, f"endpoint.token_{action}", endpoint_id, {"fields": []})
            return 200, {**shown(endpoint), **({"token": endpoint.tokens[-1]} if action == "add" else {})}

        return await self._once(asked, change)

    async def existing(self, connection: Any, endpoint_id: UUID, *, lock: bool = False) -> Endpoint:
        """Return an endpoint.

        Raises:
            NoSuch: There is no such endpoint.
        """
        endpoint = await self._store.get(connection, endpoint_id, lock=lock)
        if endpoint is None:
            raise NoSuch("endpoint", endpoint_id)
        return endpoint

    async def _made(self, asked: Asked, change: Change, made: Sequence[Endpoint]) -> Answer:
        answer = await self._once(asked, change)
        for endpoint in made:  # none if the command was a repeated one
            await self._intake.owe_registered(endpoint)
        return answer

    async def _once(self, asked: Asked, change: Change) -> Answer:
        return await run_once(self._pool, self._seal, asked.command_id, asked.digest, change)

    async def _check_reachable(self, endpoint: Endpoint) -> None:
        for field, url in (("url", endpoint.url), ("failover_url", endpoint.failover_url)):
            if url is not None:
                await check_reachable(field, url, self._networks, proxied=self._is_proxied)
