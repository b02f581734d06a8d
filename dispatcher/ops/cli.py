"""The command line `faxhook`: talks to the stores directly, so it works while a service is down."""

import asyncio
import os
import secrets
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, Literal, TypeVar

import aiormq
import asyncpg
import msgspec
import typer
from rich.console import Console
from rich.table import Table

from dispatcher import ledger
from dispatcher.formats import DEFAULT_FORMAT, FORMATS
from dispatcher.ops.endpoint_input import BadEndpoint, checked_url
from dispatcher.ops.exits import EXIT_AWAY, EXIT_BAD_INPUT, fail
from dispatcher.ops.listen import listen_command
from dispatcher.ops.simulate import simulate_command
from dispatcher.routing import Endpoint
from dispatcher.settings import StoreSettings
from shared.broker import TopologyError, declare, topology
from shared.errors import FaxhookError
from shared.ids import uuid7
from shared.settings import EXIT_BAD_SETTING, BadSetting, load

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Operate faxhook.")
endpoints_app = typer.Typer(no_args_is_help=True, help="Where applications want to be told.")
app.add_typer(endpoints_app, name="endpoints")
app.command(name="simulate")(simulate_command)
app.command(name="listen")(listen_command)

console = Console()
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Value = TypeVar("Value")


@app.command()
def migrate(as_json: Json = False) -> None:
    """Bring the ledger's schema up to date. Doing it twice, or from several places at once, does no harm."""
    from shared.sql.migrate import migrate as migrate_ledger  # noqa: PLC0415 - slow to import, and only used here

    before, after = _run(migrate_ledger(_settings().database_url.reveal()))
    if as_json:
        _print_json({"before": before, "after": after})
    else:
        console.print(f"ledger: {'already at' if before == after else 'now at'} revision {after}")


@app.command(name="topology")
def declare_topology(as_json: Json = False) -> None:
    """Declare exchanges and queues on the broker, the delay queues by the table of BACKOFF."""
    settings = _settings()
    wanted = topology(settings.backoff_seconds())
    _run(declare(settings.amqp_url.reveal(), wanted))
    if as_json:
        _print_json([{"queue": queue.name, "arguments": queue.all_arguments()} for queue in wanted.queues])
        return
    table = Table("queue", "bound to", "key", "wait")
    for queue in wanted.queues:
        wait = queue.arguments.get("x-message-ttl")
        table.add_row(queue.name, queue.exchange, queue.key, f"{wait} ms" if wait else "")
    console.print(table)


@endpoints_app.command(name="list")
def list_endpoints(as_json: Json = False) -> None:
    """Show every endpoint. Tokens are never shown."""
    endpoints = _run(_with_pool(ledger.read_endpoints))
    if as_json:
        _print_json({"items": [_public(endpoint) for endpoint in endpoints], "next": None})
        return
    table = Table("id", "scope", "direction", "format", "url", "inflight", "signed")
    for endpoint in endpoints:
        table.add_row(
            str(endpoint.id),
            endpoint.scope,
            endpoint.direction,
            endpoint.format,
            _public(endpoint)["url"],
            "yes" if endpoint.inflight else "no",
            "yes" if endpoint.tokens else "no",
        )
    console.print(table)


@endpoints_app.command(name="add")
def add_endpoint(
    url: Annotated[
        str,
        typer.Argument(help="http://, https:// (user:password@ becomes Basic) or mailto:"),
    ],
    direction: Annotated[str, typer.Option(help="sent, received or any")] = "any",
    format_name: Annotated[str, typer.Option("--format", help=f"one of {', '.join(FORMATS)}")] = DEFAULT_FORMAT,
    token: Annotated[str | None, typer.Option(help="Signs the webhooks; absent: one is made and shown once.")] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="No token: webhooks are not signed.")] = False,
    failover_url: Annotated[str | None, typer.Option(help="Tried in the same attempt when the URL fails.")] = None,
    inflight: Annotated[bool, typer.Option("--inflight", help="Tell of faxes under way, too.")] = False,
    timeout_seconds: Annotated[float, typer.Option(min=0.1, max=60.0)] = 15.0,
    max_concurrent: Annotated[int, typer.Option(min=1, max=1000)] = 8,
    as_json: Json = False,
) -> None:
    """Add a global endpoint. Its token is shown in this answer and never again."""
    try:
        endpoint = Endpoint(
            id=uuid7(),
            direction=_direction(direction),
            url=checked_url("url", url),
            failover_url=None if failover_url is None else checked_url("failover_url", failover_url),
            format=_format(format_name),
            tokens=() if unsigned else (token or secrets.token_urlsafe(32),),
            inflight=inflight,
            timeout_seconds=timeout_seconds,
            max_concurrent=max_concurrent,
        )
    except BadEndpoint as error:
        fail(str(error), EXIT_BAD_INPUT)
    _run(_with_pool(ledger.add_endpoint, endpoint))
    if as_json:
        _print_json({**_public(endpoint), "tokens": list(endpoint.tokens)})
        return
    console.print(f"added endpoint {endpoint.id}")
    for each in endpoint.tokens:
        console.print(f"token (shown once): {each}", soft_wrap=True)


def _direction(text: str) -> Literal["sent", "received", "any"]:
    if text not in {"sent", "received", "any"}:
        raise BadEndpoint("direction", f"`{text}` is none of sent, received, any")
    return text  # type: ignore[return-value]  # just checked


def _format(text: str) -> str:
    if text not in FORMATS:
        raise BadEndpoint("format", f"`{text}` is unknown; known are {', '.join(FORMATS)}")
    return text


def _public(endpoint: Endpoint) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(endpoint)
    del shown["tokens"]
    for name in ("url", "failover_url"):
        if shown[name] is not None:
            shown[name] = _without_password(shown[name])
    return {**shown, "signed": bool(endpoint.tokens)}


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    authority, slash, tail = rest.partition("/")
    user_info, at, host = authority.rpartition("@")
    return f"{scheme}{separator}{user_info.partition(':')[0] + ':***' if at else ''}{at}{host}{slash}{tail}"


def _settings() -> StoreSettings:
    try:
        return load(StoreSettings, os.environ)
    except BadSetting as error:
        fail(str(error), EXIT_BAD_SETTING)


async def _with_pool(work: Any, *arguments: Any) -> Any:
    pool = await ledger.open_pool(_settings().database_url.reveal(), size=1)
    try:
        return await work(pool, *arguments)
    finally:
        await pool.close()


def _run(work: Coroutine[Any, Any, Value]) -> Value:
    try:
        return asyncio.run(work)
    except TopologyError as error:
        fail(str(error), EXIT_BAD_SETTING)
    except asyncpg.UndefinedTableError:
        fail("the ledger has no tables yet: run `faxhook migrate` first", EXIT_BAD_SETTING)
    except FaxhookError as error:
        fail(str(error), EXIT_BAD_INPUT)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, aiormq.exceptions.AMQPError, TimeoutError) as error:
        fail(f"a store does not answer: {error or type(error).__name__}", EXIT_AWAY)


def _print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def main() -> None:
    """Run the command line."""
    app()
