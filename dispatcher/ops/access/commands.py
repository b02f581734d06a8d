"""`faxhook tokens`: access tokens created, listed and revoked."""

from datetime import datetime
from functools import partial
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from dispatcher.ledger.pool import open_command_pool, transaction
from dispatcher.ops.access import store
from dispatcher.ops.access.changes import create_token, revoke_token
from dispatcher.ops.access.rights import Right
from dispatcher.ops.access.tokens import AccessToken, NewToken, Revoked, TokenQuery, minute, state_of
from dispatcher.ops.api.audit import CLI
from dispatcher.ops.api.cursor import read_pages
from dispatcher.ops.api.lookups import NoSuch
from dispatcher.ops.api.moments import BadMoment, read_duration, read_moment
from dispatcher.ops.terminal import Json, console, fail, print_json, read_options, run, settings_of
from dispatcher.settings import LedgerSettings
from shared.domain import utc_now
from shared.errors import EXIT_BAD_INPUT
from shared.ids import parse_uuid

app = typer.Typer(no_args_is_help=True, help="Create, list and revoke access tokens for API and console.")


@app.command(name="add")
def add_token(
    name: Annotated[str, typer.Argument(help="What the audit calls its bearer, e.g. billing.")],
    rights: Annotated[
        list[str] | None,
        typer.Option("--right", help=f"One of {', '.join(Right)}; each includes those before it. Default: read."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="Valid for so long (90d, 12h), or until a date or time. Default: for ever.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create an access token; its text is shown now and never again."""
    try:
        given = {"name": name, "rights": rights or [Right.READ], "expires_at": _expiry(expires)}
    except BadMoment as error:
        fail(str(error), EXIT_BAD_INPUT)
    wanted = read_options(given, NewToken, {"rights": "--right", "name": "name"})

    async def work() -> AccessToken:
        async with (
            await open_command_pool(_database_url()) as pool,
            pool.acquire() as connection,
            connection.transaction(),
        ):
            return await create_token(connection, wanted, CLI)

    token = run(work())
    if as_json:
        print_json(token)
        return
    console.print(Text(f"{token.token}"), soft_wrap=True)
    until = "for ever" if token.expires_at is None else f"until {token.expires_at:%Y-%m-%d %H:%M} UTC"
    console.print(f"access token {token.name}, {', '.join(token.rights)}, valid {until}: shown once", style="dim")


@app.command(name="list")
def list_tokens(
    revoked: Annotated[bool, typer.Option("--revoked", help="With those that were revoked.")] = False,
    as_json: Json = False,
) -> None:
    """Show the access tokens without their texts, the newest first."""

    async def work() -> list[AccessToken]:
        async with await open_command_pool(_database_url()) as pool:
            found, _ = await read_pages(partial(store.read_page, pool), TokenQuery(revoked=revoked))
            return found

    found = run(work())
    if as_json:
        print_json({"items": found, "next": None})
        return
    if not found:
        console.print("no access token yet: `faxhook tokens add NAME`")
        return
    now = utc_now()
    table = Table(box=None, pad_edge=False)
    for heading in ("name", "rights", "ends in", "created (UTC)", "by", "used (UTC)", "state", "id"):
        table.add_column(heading, overflow="fold")
    for token in found:
        table.add_row(
            token.name,
            ", ".join(token.rights),
            f"…{token.last_four}",
            minute(token.created_at),
            Text(token.created_by),
            minute(token.used_at) or "never",
            state_of(token, now),
            str(token.id),
        )
    console.print(table)


@app.command(name="revoke")
def revoke_named(
    name: Annotated[str, typer.Argument(metavar="NAME|ID", help="The token's name or id.")], as_json: Json = False
) -> None:
    """Revoke an access token: it and the log-ins made with it are refused from now on."""

    async def work() -> Revoked:
        async with await open_command_pool(_database_url()) as pool:
            token_id = parse_uuid(name) or await store.id_of_name(pool, name.replace("\0", ""))
            if token_id is None:
                raise NoSuch("access token", name)
            async with transaction(pool) as connection:
                await revoke_token(connection, token_id, CLI)
            return Revoked(id=token_id)

    done = run(work())
    if as_json:
        print_json(done)
    else:
        console.print(Text(f"{name} is revoked"))


def _database_url() -> str:
    return settings_of(LedgerSettings).database_url.reveal()


def _expiry(text: str | None) -> datetime | None:
    """Return when a token expires that is valid for *text*, or until it.

    Raises:
        BadMoment: It is neither.
    """
    if text is None:
        return None
    now = utc_now()
    ahead = read_duration(text.strip().lower())
    try:
        return read_moment("expires", text, now) if ahead is None else now + ahead
    except OverflowError:
        raise BadMoment("expires", text, "is too far ahead") from None
