"""`faxhook endpoints list|add|set|remove`: where applications want to be told."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Generic, TypeVar
from uuid import UUID

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pool import Pool, open_command_pool
from dispatcher.ops.api.audit import CLI
from dispatcher.ops.api.cursor import MOST_PER_PAGE
from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.contradictions import contradiction
from dispatcher.ops.endpoints.bodies import EndpointQuery
from dispatcher.ops.endpoints.changes import Command, EndpointChanges
from dispatcher.ops.endpoints.model import read_fields, shown
from dispatcher.ops.endpoints.options import (
    Concurrent,
    Description,
    Direction,
    Duplicate,
    Enabled,
    Failover,
    Fax,
    FormatName,
    Id,
    Inflight,
    Job,
    Number,
    Overtaken,
    StaticHeaders,
    Timeout,
    Tokens,
    Types,
    Unsigned,
    given_options,
    header_options,
    match_options,
    token_option,
)
from dispatcher.ops.endpoints.reading.describe import describe, sentence_of_damage
from dispatcher.ops.endpoints.reading.disabling import sentence_of_disabling, sentence_of_removal
from dispatcher.ops.endpoints.reading.health import EndpointHealth, EndpointHealthReader
from dispatcher.ops.endpoints.reading.pages import Page, read_page
from dispatcher.ops.endpoints.reading.removal import RemovalPreview, preview_removal
from dispatcher.ops.endpoints.urls import BadEndpoint
from dispatcher.ops.terminal import Json, Yes, confirm, console, print_json, read_options, run, settings_of
from dispatcher.settings import EndpointSettings

BY_CLI: Final = Command(who=CLI)
HEALTH_STYLES: Final = {
    "healthy": "green",
    "failing": "red",
    "gone": "red",
    "paused": "yellow",
    "disabled": "dim",
    "removed": "dim",
    "idle": "dim",
}

Value = TypeVar("Value")
Kind = TypeVar("Kind", bound=EndpointSettings)


app = typer.Typer(no_args_is_help=True, help="Show, change and test endpoints: where an application gets its events.")


class Ledger(msgspec.Struct, Generic[Kind], frozen=True):
    """The opened ledger, its endpoints, the changes to them, and the settings that name it."""

    pool: Pool
    store: EndpointStore
    changes: EndpointChanges
    settings: Kind


def ask(kind: type[Kind], question: Callable[[Ledger[Kind]], Awaitable[Value]]) -> Value:
    """Run *question* on the ledger that the settings of *kind* name; an error ends the command."""

    async def work() -> Value:
        settings = settings_of(kind)
        pool = await open_command_pool(settings.database_url.reveal(), size=2)
        try:
            store = EndpointStore(settings.seal())
            intake = Intake(pool, store)
            return await question(Ledger(pool, store, EndpointChanges(pool, store, intake, settings), settings))
        finally:
            await pool.close()

    return run(work())


@app.command(name="list")
def list_endpoints(
    scope: Annotated[str | None, typer.Option(help="One of global, number, fax.")] = None,
    number: Number = None,
    job_id: Job = None,
    fax_id: Annotated[str | None, typer.Option(help="Only those of this sent fax.")] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="Only those that are enabled, or only the others.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_PER_PAGE, help="How many at most.")] = MOST_PER_PAGE,
    after: Annotated[str | None, typer.Option(help="Go on behind a page: its `next`.")] = None,
    as_json: Json = False,
) -> None:
    """Show endpoints, the oldest first, and how they are doing. Tokens are never shown."""
    given = given_options(scope=scope, number=number, job_id=job_id, fax_id=fax_id, enabled=enabled, after=after)
    given["limit"] = limit
    query = read_options(given, EndpointQuery)

    async def read(ledger: Ledger[EndpointSettings]) -> tuple[Page, dict[UUID, EndpointHealth]]:
        page = await read_page(ledger.pool, ledger.store, query)
        ids = [endpoint.id for endpoint in page.items]
        return page, {} if as_json else await EndpointHealthReader(ledger.pool).of(ids)

    page, health = ask(EndpointSettings, read)
    if as_json:
        print_json({"items": [shown(endpoint) for endpoint in page.items], "next": page.next})
        return
    table = Table(show_lines=True)
    table.add_column("url, id", overflow="fold", ratio=2, min_width=36)  # an id is copied from here
    for name in ("what", "health"):
        table.add_column(name, overflow="fold", ratio=1)
    for endpoint in page.items:
        doing = health[endpoint.id]
        sentence = Text(doing.sentence, style=HEALTH_STYLES[doing.verdict])
        if endpoint.is_damaged:
            sentence.append(f"\n{sentence_of_damage(endpoint)}", style="red")
        where = Text(shown(endpoint)["url"]).append(f"\n{endpoint.id}", style="dim")
        table.add_row(where, Text(describe(endpoint)), sentence)
    console.print(table)
    if page.next is not None:
        console.print(f"there are more: --after {page.next}", soft_wrap=True)


@app.command(name="add")
def add_endpoint(
    url: Annotated[str, typer.Argument(help="http://, https:// or mailto:; user:password@ becomes Basic.")],
    number: Number = None,
    job_id: Job = None,
    fax: Fax = None,
    direction: Direction = None,
    format_name: FormatName = None,
    token: Tokens = None,
    unsigned: Unsigned = False,
    failover_url: Failover = None,
    inflight: Inflight = None,
    overtaken: Overtaken = None,
    timeout_seconds: Timeout = None,
    max_concurrent: Concurrent = None,
    types: Types = None,
    headers: StaticHeaders = None,
    description: Description = None,
    allow_duplicate: Duplicate = False,
    as_json: Json = False,
) -> None:
    """Add an endpoint: global, or of a number, or of one sent fax. Its token is shown once, now, and never again."""
    given = given_options(
        **match_options(number, job_id, fax),
        url=url,
        direction=direction,
        format=format_name,
        tokens=token_option(token, unsigned=unsigned),
        failover_url=failover_url,
        inflight=inflight,
        overtaken=overtaken,
        timeout_seconds=timeout_seconds,
        max_concurrent=max_concurrent,
        types=None if types is None else [each for each in types if each],
        headers=header_options(headers),
        description=description,
        allow_duplicate=allow_duplicate or None,
    )
    option = "--number" if number is not None else "--fax" if fax is not None else "--job-id"

    async def add(ledger: Ledger[EndpointSettings]) -> dict[str, Any]:
        try:
            return (await ledger.changes.add(BY_CLI, read_fields(given)))[1]
        except BadEndpoint as error:
            named = {option if field == "match" else field: why for field, why in error.wrong.items()}
            raise BadEndpoint.of(named) from None

    added = ask(EndpointSettings, add)
    if as_json:
        print_json(added)
        return
    console.print(f"added endpoint {added['id']}")
    for each in added["tokens"]:
        console.print(f"token (shown once): {each}", soft_wrap=True)
    if added["public_key"]:
        console.print(f"public key, for the application: {added['public_key']}", soft_wrap=True)


@app.command(name="set")
def set_endpoint(
    endpoint_id: Id,
    url: Annotated[str | None, typer.Option("--url", help="The new URL.")] = None,
    direction: Direction = None,
    format_name: FormatName = None,
    token: Tokens = None,
    unsigned: Unsigned = False,
    failover_url: Failover = None,
    inflight: Inflight = None,
    overtaken: Overtaken = None,
    enabled: Enabled = None,
    timeout_seconds: Timeout = None,
    max_concurrent: Concurrent = None,
    types: Types = None,
    headers: StaticHeaders = None,
    description: Description = None,
    allow_duplicate: Duplicate = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Change an endpoint; what is not named stays as it is. Before it disables one, it says what follows, and asks."""
    given = given_options(
        url=url,
        direction=direction,
        format=format_name,
        tokens=token_option(token, unsigned=unsigned),
        failover_url=failover_url,
        inflight=inflight,
        overtaken=overtaken,
        enabled=enabled,
        timeout_seconds=timeout_seconds,
        max_concurrent=max_concurrent,
        types=None if types is None else [each for each in types if each],
        headers=header_options(headers),
        description=description,
        allow_duplicate=allow_duplicate or None,
    )
    if failover_url == "":
        given["failover_url"] = None
    if enabled is False and not yes:
        _confirm_disabling(endpoint_id, as_json=as_json)
    _, changed = ask(
        EndpointSettings,
        lambda ledger: ledger.changes.change(BY_CLI, read_id(endpoint_id, "endpoint"), read_fields(given)),
    )
    if as_json:
        print_json(changed)
    else:
        console.print(f"changed endpoint {changed['id']}: {', '.join(given) or 'nothing'}")


def _confirm_disabling(endpoint_id: str, *, as_json: bool) -> None:
    async def preview(ledger: Ledger[EndpointSettings]) -> str | None:
        endpoint = await ledger.changes.existing(ledger.pool, read_id(endpoint_id, "endpoint"))
        health = (await EndpointHealthReader(ledger.pool).of([endpoint.id]))[endpoint.id]
        return sentence_of_disabling(endpoint, health.owed) if endpoint.enabled else None

    if (sentence := ask(EndpointSettings, preview)) is not None:
        confirm(sentence, f"Disable {endpoint_id}?", as_json=as_json)


@app.command(name="remove")
def remove_endpoint(
    endpoint_id: Id,
    yes: Yes = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which endpoints would get its faxes then.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove an endpoint. Its history stays; what it was still owed becomes dead letters when due.

    Only then do more general endpoints get its faxes: while it is disabled, they do not. Says what follows, and asks.
    """
    if dry_run and yes:
        contradiction("--dry-run", "--yes", "--dry-run changes nothing")

    async def look(ledger: Ledger[EndpointSettings]) -> tuple[RemovalPreview, str]:
        endpoint = await ledger.changes.existing(ledger.pool, read_id(endpoint_id, "endpoint"))
        health = (await EndpointHealthReader(ledger.pool).of([endpoint.id]))[endpoint.id]
        preview = await preview_removal(ledger.pool, ledger.store, endpoint)
        return preview, sentence_of_removal(preview.sentence, health.owed)

    preview, sentence = ask(EndpointSettings, look)
    if dry_run:
        if as_json:
            print_json(preview)
        else:
            console.print(f"would remove endpoint {preview.id}\n{sentence}", soft_wrap=True)
        return
    if not yes:
        confirm(sentence, f"Remove {preview.id}?", as_json=as_json)
    _, removed = ask(EndpointSettings, lambda ledger: ledger.changes.remove(BY_CLI, preview.id))
    if as_json:
        print_json(removed)
    else:
        console.print(f"removed endpoint {preview.id}\n{preview.sentence}", soft_wrap=True)
