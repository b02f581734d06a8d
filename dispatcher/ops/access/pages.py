"""Access tokens on the console, for those with the right `admin`: listed, created, revoked."""

from datetime import timedelta
from typing import Final

from aiohttp import web

from dispatcher.ledger.pool import Pool
from dispatcher.ops.access import store
from dispatcher.ops.access.changes import create_token, revoke_token
from dispatcher.ops.access.rights import Right
from dispatcher.ops.access.tokens import NewToken, TokenQuery, state_of
from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.console.access.guard import Visit
from dispatcher.ops.console.errors import PageError
from dispatcher.ops.console.pages.filters import filter_of
from shared.domain import utc_now

EXPIRIES: Final = {"30": "in 30 days", "90": "in 90 days", "365": "in a year", "": "never"}
"""Days, as the form sends them."""


class TokenPages:
    """The handlers."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def show(self, visit: Visit) -> web.Response:
        """Show the tokens that were not revoked, and the form of a new one."""
        _check(visit)
        page = await store.read_page(self._pool, TokenQuery(after=visit.request.query.get("after") or None))
        return visit.page(
            "tokens.html", page=page, now=utc_now(), state_of=state_of, rights=list(Right), expiries=EXPIRIES.items()
        )

    async def create(self, visit: Visit) -> web.Response:
        """Create a token; the next page shows it, once."""
        _check(visit)
        days = visit.form.get("expires", "")
        if days not in EXPIRIES:
            raise PageError(422, "Nothing was changed", "A token expires in 30, 90 or 365 days, or never.")
        fields = {
            "name": visit.form.get("name", "").strip(),
            "rights": [visit.form.get("right", "")],
            "expires_at": utc_now() + timedelta(days=int(days)) if days else None,
        }
        wanted = filter_of(fields, NewToken)
        async with self._pool.acquire() as connection, connection.transaction():
            token = await create_token(connection, wanted, visit.session.who)
        said = f"The token {token.name} was created. It is shown here once: copy it now."
        return visit.go("/tokens", said, token=token.token or None)

    async def revoke(self, visit: Visit) -> web.Response:
        """Revoke a token."""
        _check(visit)
        token_id = read_id(visit.request.match_info["id"], "access token")
        async with self._pool.acquire() as connection, connection.transaction():
            await revoke_token(connection, token_id, visit.session.who)
        return visit.go("/tokens", "The token was revoked: it and its log-ins are refused from now on.")


def _check(visit: Visit) -> None:
    if not visit.session.may_manage_tokens:
        raise PageError(403, "The right admin is missing", "Your log-in may not manage access tokens.")
