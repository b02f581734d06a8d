"""`faxhook endpoints show|test|tokens`: how an endpoint is doing, a test delivery to it, new tokens for it."""

from contextlib import AsyncExitStack
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from dispatcher.channels.opened import open_channels
from dispatcher.ops.endpoint_bodies import EndpointWithHealth, RotationAction
from dispatcher.ops.endpoint_commands import Id, what_it_is_told
from dispatcher.ops.endpoint_fields import body_of, shown
from dispatcher.ops.endpoint_health import EndpointHealth, EndpointHealthReader
from dispatcher.ops.endpoint_input import BadEndpoint
from dispatcher.ops.endpoint_opened import audit, existing, opened
from dispatcher.ops.endpoint_tokens import rotated
from dispatcher.ops.sample_delivery import SampleOutcome, send_sample
from dispatcher.ops.terminal import Json, console, print_json, run
from dispatcher.ops.words import printable
from dispatcher.routing import Endpoint
from dispatcher.settings import ChannelSettings, EndpointSettings
from dispatcher.way_out import WayOut
from shared.domain import EventType

EXIT_NOT_TOLD = 1
"""The test delivery was made, and the application did not take it."""


def show_endpoint(endpoint_id: Id, as_json: Json = False) -> None:
    """Show an endpoint and how it is doing: told and failed lately, failing since when, owed, dead."""

    async def work() -> tuple[Endpoint, EndpointHealth]:
        async with opened(EndpointSettings) as (pool, store, _):
            endpoint = await existing(pool, store, endpoint_id, lock=False)
            return endpoint, (await EndpointHealthReader(pool).of([endpoint.id]))[endpoint.id]

    endpoint, health = run(work())
    body = body_of(endpoint)
    if as_json:
        print_json(EndpointWithHealth(**msgspec.structs.asdict(body), health=health))
        return
    lines = [
        ("", str(endpoint.id)),
        ("url", body.url),
        ("failover", body.failover_url or "none"),
        ("told of", what_it_is_told(endpoint)),
        ("limits", f"{body.timeout_seconds:g} s for one request, {body.max_concurrent} at once for each dispatcher"),
        ("tokens", f"{len(endpoint.tokens)}, the first one signs" if endpoint.tokens else "none: not signed"),
        *([("public key", body.public_key)] if body.public_key else []),
        ("health", f"{health.verdict}: {health.sentence}"),
        ("lately", f"{health.told} attempts told, {health.failed} failed"),
    ]
    for name, value in lines:
        console.print(Text(f"{name:<11}", style="dim").append(value, style="not dim"), soft_wrap=True)


def send_test(
    endpoint_id: Id,
    event_type: Annotated[str | None, typer.Option("--type", help="The sample's type, like fax.failed.")] = None,
    failover: Annotated[bool, typer.Option("--failover", help="Send it to the failover URL.")] = False,
    as_json: Json = False,
) -> None:
    """Send a sample event to an endpoint, marked as a test and outside the ledger, and say what came back.

    Ends with 1 if it was not told.
    """

    async def work() -> SampleOutcome:
        async with opened(ChannelSettings) as (pool, store, settings), AsyncExitStack() as stack:
            endpoint = await existing(pool, store, endpoint_id, lock=False)
            way_out = WayOut(settings.allowed_networks(), settings.proxy())
            stack.push_async_callback(way_out.close)
            channels = open_channels(stack, settings, way_out)
            outcome = await send_sample(endpoint, channels, _type(event_type), failover=failover)
            await audit(pool, "endpoint.tested", endpoint)
            return outcome

    outcome = run(work())
    if as_json:
        print_json(outcome)
    else:
        style = "green" if outcome.is_told else "red"
        console.print(Text(f"{outcome.type} to {printable(outcome.url or endpoint_id)}"), soft_wrap=True)
        console.print(Text(outcome.verdict, style=style), soft_wrap=True)
        if outcome.answer.strip():
            console.print(Text(f"it said: {outcome.answer.strip()}", style="dim"), soft_wrap=True)
    if not outcome.is_told:
        raise typer.Exit(EXIT_NOT_TOLD)


def rotate_tokens(
    endpoint_id: Id,
    add: Annotated[
        bool, typer.Option("--add", help="Add a new one at the end: the one of --token, or one that is made.")
    ] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Make the last one the first: it signs now.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Drop all but the first.")] = False,
    token: Annotated[str | None, typer.Option("--token", help="The token to add.")] = None,
    as_json: Json = False,
) -> None:
    """Rotate an endpoint's tokens: --add, tell the application, --promote, --drop.

    One step at a time; a token is shown when it is added, and never again.
    """
    named: list[RotationAction] = []
    named += ["add"] if add else []
    named += ["promote"] if promote else []
    named += ["drop"] if drop else []

    async def work() -> Endpoint:
        if len(named) != 1:
            raise BadEndpoint("action", "name one of --add, --promote, --drop")
        async with opened(EndpointSettings) as (pool, store, _), pool.acquire() as connection, connection.transaction():
            endpoint = rotated(await existing(connection, store, endpoint_id), named[0], token)
            await store.update(connection, endpoint)
            await audit(connection, f"endpoint.token_{named[0]}", endpoint)
            return endpoint

    endpoint = run(work())
    added = {"token": endpoint.tokens[-1]} if named[0] == "add" else {}
    if as_json:
        print_json({**shown(endpoint), **added})
        return
    if added:
        console.print(f"token (shown once): {added['token']}", soft_wrap=True)
        signs = "it signs beside the others" if endpoint.format == "standard-v1" else "it signs once it is promoted"
        console.print(signs if len(endpoint.tokens) > 1 else "it signs from now on")
    else:
        console.print(f"{named[0]}: done, {len(endpoint.tokens)} left")
    if public_key := shown(endpoint)["public_key"]:
        console.print(f"public key, for the application: {public_key}", soft_wrap=True)


def _type(text: str | None) -> EventType | None:
    if text is None:
        return None
    try:
        return EventType(text)
    except ValueError:
        raise BadEndpoint("type", f"there is no `{text}`; there are {', '.join(EventType)}") from None
