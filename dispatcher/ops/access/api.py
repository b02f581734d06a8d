"""`/v1/tokens`: access tokens over HTTP, for those with the right `admin`."""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from dispatcher.ledger.pool import Pool
from dispatcher.ops.access import store
from dispatcher.ops.access.changes import create_token, revoke_token
from dispatcher.ops.access.rights import Right
from dispatcher.ops.access.tokens import AccessToken, NewToken, Revoked, TokenPage, TokenQuery
from dispatcher.ops.api.http import (
    WHO,
    Nothing,
    answered,
    check_right,
    convert_body,
    read_object,
    read_query,
    take_command_id,
)
from dispatcher.ops.api.idempotency import Answer, digest_of, run_once
from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.api.operation import Operation
from shared.seal import Seal


class TokenApi:
    """The handlers."""

    def __init__(self, pool: Pool, seal: Seal) -> None:
        self._pool = pool
        self._seal = seal

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        return (
            Operation(
                "GET",
                "/v1/tokens",
                self.list,
                "Access tokens, the newest first, without their texts; needs the right admin",
                query=TokenQuery,
                answer=TokenPage,
                right=Right.ADMIN,
            ),
            Operation(
                "POST",
                "/v1/tokens",
                self.create,
                "Create an access token with a name, rights and an expiry; its text is shown in this answer and never "
                "again; needs the right admin",
                body=NewToken,
                example={"name": "billing", "rights": ["operate"], "expires_at": "2027-02-28T00:00:00Z"},
                answer=AccessToken,
                status=201,
                problems=(409,),
                is_command=True,
                right=Right.ADMIN,
            ),
            Operation(
                "DELETE",
                "/v1/tokens/{id}",
                self.revoke,
                "Revoke an access token: it and its log-ins are refused from now on; needs the right admin",
                answer=Revoked,
                is_command=True,
                right=Right.ADMIN,
            ),
        )

    async def list(self, request: web.Request) -> web.Response:
        """Answer a page of tokens."""
        check_right(request, Right.ADMIN)
        return answered(200, await store.read_page(self._pool, read_query(request, TokenQuery)))

    async def create(self, request: web.Request) -> web.Response:
        """Create a token; only this answer shows its text."""
        check_right(request, Right.ADMIN)
        body = await read_object(request)
        command_id = take_command_id(request, body)
        digest = digest_of(request.method, request.path, body)
        wanted = convert_body(body, NewToken)

        async def change(connection: Any) -> Answer:
            return 201, msgspec.to_builtins(await create_token(connection, wanted, request[WHO]))

        return answered(*await run_once(self._pool, self._seal, command_id, digest, change))

    async def revoke(self, request: web.Request) -> web.Response:
        """Revoke a token."""
        check_right(request, Right.ADMIN)
        body = await read_object(request)
        command_id = take_command_id(request, body)
        convert_body(body, Nothing)
        token_id = read_id(request.match_info["id"], "access token")

        async def change(connection: Any) -> Answer:
            await revoke_token(connection, token_id, request[WHO])
            return 200, msgspec.to_builtins(Revoked(id=token_id))

        digest = digest_of(request.method, request.path, body)
        return answered(*await run_once(self._pool, self._seal, command_id, digest, change))
