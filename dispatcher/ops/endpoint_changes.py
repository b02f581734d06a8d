"""Changes to endpoints, whoever asks: API and console. Each is one transaction with its line in the audit.

Nothing here knows of HTTP: refusals are `BadEndpoint` (it names the field) and `NoSuchEndpoint`.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from dispatcher.egress import Network
from dispatcher.endpoint_store import EndpointStore
from dispatcher.formats.tokens import new_token
from dispatcher.intake import Intake
from dispatcher.ops.commands import Answer, Change, run_once
from dispatcher.ops.endpoint_fields import EndpointFields, changed, new_endpoint, shown
from dispatcher.ops.endpoint_input import BadEndpoint
from dispatcher.ops.reachable import check_reachable
from dispatcher.pool import Pool
from dispatcher.routing import Endpoint
from shared.errors import FaxhookError
from shared.seal import Seal

Rotation = Literal["add", "promote", "drop"]

AUDIT: Final = "INSERT INTO audit (who, what, subject, details) VALUES ($1, $2, $3, $4::jsonb)"


class NoSuchEndpoint(FaxhookError):
    """There is no such endpoint, or it was removed."""

    code = "not_found"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for a change, and which command it is: the same one within a minute changes nothing again."""

    who: str
    command_id: str | None
    digest: bytes


class EndpointChanges:
    """Adds, changes, removes endpoints, and rotates their tokens. Answers are status and body, as the API's."""

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
            await audit(connection, asked.who, "endpoint.added", endpoint.id, [])
            added.append(endpoint)
            return 201, shown(endpoint, tokens=True)

        return await self._made(asked, change, added)

    async def change(self, asked: Asked, endpoint_id: UUID, fields: EndpointFields) -> Answer:
        """Change some fields; what is not given stays.

        Raises:
            BadEndpoint: Names the field that is wrong.
            NoSuchEndpoint: There is none.
        """
        after: list[Endpoint] = []
        given = [name for name in fields.__struct_fields__ if getattr(fields, name) is not msgspec.UNSET]

        async def change(connection: Any) -> Answer:
            endpoint = changed(await self.existing(connection, endpoint_id, lock=True), fields)
            await self._check_reachable(endpoint)
            await self._store.update(connection, endpoint)
            await audit(connection, asked.who, "endpoint.changed", endpoint_id, given)
            after.append(endpoint)
            return 200, shown(endpoint, tokens="tokens" in given)

        return await self._made(asked, change, after)

    async def remove(self, asked: Asked, endpoint_id: UUID) -> Answer:
        """Remove an endpoint; its history stays, what it was still owed becomes dead letters when due.

        Raises:
            NoSuchEndpoint: There is none.
        """

        async def change(connection: Any) -> Answer:
            await self.existing(connection, endpoint_id, lock=True)
            await self._store.remove(connection, endpoint_id)
            await audit(connection, asked.who, "endpoint.removed", endpoint_id, [])
            return 200, {"id": str(endpoint_id), "removed": True}

        return await self._once(asked, change)

    async def rotate(self, asked: Asked, endpoint_id: UUID, rotation: Rotation, token: str | None = None) -> Answer:
        """Rotate tokens: `add` one at the end, `promote` the last to the first place, `drop` all but the first.

        Raises:
            BadEndpoint: *token* cannot sign, or there is none to promote.
            NoSuchEndpoint: There is none.
        """

        async def change(connection: Any) -> Answer:
            before = await self.existing(connection, endpoint_id, lock=True)
            tokens = list(before.tokens)
            if rotation == "add":
                tokens.append(token or new_token(before.format))
            elif not tokens:
                raise BadEndpoint("tokens", "the endpoint has none")
            else:
                tokens = [tokens[-1], *tokens[:-1]] if rotation == "promote" else tokens[:1]
            endpoint = changed(before, EndpointFields(tokens=tokens))
            await self._store.update(connection, endpoint)
            await audit(connection, asked.who, f"endpoint.token_{rotation}", endpoint_id, [])
            return 200, {**shown(endpoint), **({"token": tokens[-1]} if rotation == "add" else {})}

        return await self._once(asked, change)

    async def existing(self, connection: Any, endpoint_id: UUID, *, lock: bool = False) -> Endpoint:
        """Return an endpoint.

        Raises:
            NoSuchEndpoint: There is none.
        """
        endpoint = await self._store.get(connection, endpoint_id, lock=lock)
        if endpoint is None:
            raise NoSuchEndpoint(f"there is no endpoint {endpoint_id}")
        return endpoint

    async def _made(self, asked: Asked, change: Change, made: Sequence[Endpoint]) -> Answer:
        answer = await self._once(asked, change)
        for endpoint in made:  # none if the command was a repeated one
            await self._intake.owe_registered(endpoint)
        return answer

    async def _once(self, asked: Asked, change: Change) -> Answer:
        return await run_once(self._pool, self._seal, asked.command_id, asked.digest, change)

    async def _check_reachable(self, endpoint: Endpoint) -> None:
        await check_reachable("url", endpoint.url, self._networks, proxied=self._proxied)
        if endpoint.failover_url is not None:
            await check_reachable("failover_url", endpoint.failover_url, self._networks, proxied=self._proxied)


async def audit(connection: Any, who: str, what: str, endpoint_id: UUID, fields: Sequence[str]) -> None:
    """Write down who changed which fields of an endpoint; not to what, which may be secret."""
    details = msgspec.json.encode({"fields": list(fields)}).decode()
    await connection.execute(AUDIT, who, what, str(endpoint_id), details)
