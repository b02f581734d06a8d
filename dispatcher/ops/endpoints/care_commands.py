"""`faxhook endpoints show|test|tokens`: how an endpoint is doing, a test delivery to it, new tokens for it."""

from contextlib import AsyncExitStack
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.text import Text

from dispatcher.channels.by_scheme import open_channels
from dispatcher.egress.client import EgressClient
from dispatcher.ops.api.audit import CLI
from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.endpoints.bodies import EndpointWithHealth, RotationAction
from dispatcher.ops.endpoints.commands import Id, what_it_is_told
from dispatcher.ops.endpoints.health import EndpointHealth, EndpointHealthReader
from dispatcher.ops.endpoints.model import body_of
from dispatcher.ops.endpoints.opened import BY_CLI, opened
from dispatcher.ops.endpoints.sample import SampleOutcome, audit_sample, send_sample
from dispatcher.ops.endpoints.urls import BadEndpoint
from dispatcher.ops.terminal import Json, console, print_json, run
from dispatcher.ops.words import printable
from dispatcher.policy.endpoint import Endpoint
from dispatcher.settings import ChannelSettings, EndpointSettings
from shared.domain import EventType

EXIT_NOT_TOLD: Final = 1
"""The test delivery was made, and the application did not take it."""

ROTATED: Final[dict[RotationAction, str]] = {
    "add": "tell the application, then --promote it: until then the first one signs (standard-v1 signs with all)",
    "promote": "the newest token signs first now",
    "drop": "only the token that signs is left",
}


def show_endpoint(endpoint_id: Id, as_json: Json = False) -> None:
    """Show an endpoint and how it is doing: told and failed lately, failing since when, owed, dead."""

    async def work() -> tuple[Endpoint, EndpointHealth]:
        async with opened(EndpointSettings) as ledger:
            endpoint = await ledger.changes.existing(ledger.pool, read_id(endpoint_id, "endpoint"))
            return endpoint, (await EndpointHealthReader(ledger.pool).of([endpoint.id]))[endpoint.id]

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
        async with opened(ChannelSettings) as ledger, AsyncExitStack() as stack:
            endpoint = await ledger.changes.existing(ledger.pool, read_id(endpoint_id, "endpoint"))
            way_out = EgressClient(ledger.settings.allowed_networks(), ledger.settings.proxy())
            stack.push_async_callback(way_out.close)
            channels = open_channels(stack, ledger.settings, way_out)
            outcome = await send_sample(endpoint, channels, _type(event_type), failover=failover)
            await audit_sample(ledger.pool, CLI, endpoint, outcome)
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

    async def work() -> dict[str, Any]:
        if len(named) != 1:
            raise BadEndpoint("action", "name one of --add, --promote, --drop")
        async with opened(EndpointSettings) as ledger:
            return (await ledger.changes.rotate(BY_CLI, read_id(endpoint_id, "endpoint"), named[0], token))[1]

    rotated = run(work())
    if as_json:
        print_json(rotated)
        return
    if "token" in rotated:
        console.print(f"token (shown once): {rotated['token']}", soft_wrap=True)
    console.print(ROTATED[named[0]])
    if rotated["public_key"]:
        console.print(f"public key, for the application: {rotated['public_key']}", soft_wrap=True)


def _type(text: str | None) -> EventType | None:
    if text is None:
        return None
    try:
        return EventType(text)
    except ValueError:
        raise BadEndpoint("type", f"there is no `{text}`; there are {', '.join(EventType)}") from None
