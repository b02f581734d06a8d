"""`faxhook endpoints show|pause|resume|test|tokens`: how an endpoint is doing, and what is done with it."""

from contextlib import AsyncExitStack
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import typer
from rich.text import Text

from dispatcher.ops.api.audit import CLI
from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.endpoints.bodies import EndpointWithHealth, RotationAction, TokenBody
from dispatcher.ops.endpoints.commands import BY_CLI, Ledger, app, ask
from dispatcher.ops.endpoints.model import with_health
from dispatcher.ops.endpoints.options import Id
from dispatcher.ops.endpoints.reading.describe import describe, sentence_of_damage
from dispatcher.ops.endpoints.reading.health import EndpointHealthReader
from dispatcher.ops.endpoints.reading.origin import read_origin
from dispatcher.ops.endpoints.reading.rates import EndpointRates, rate_in_words, read_rates
from dispatcher.ops.endpoints.sample import SampleOutcome, audit_sample, send_sample
from dispatcher.ops.endpoints.urls import BadEndpoint
from dispatcher.ops.terminal import Json, console, print_json
from dispatcher.ops.words import counted, printable
from dispatcher.policy.endpoint import Endpoint
from dispatcher.settings import ChannelSettings, EndpointSettings
from shared.domain import EventType, utc_now
from shared.sentences.bad_values import unknown

__all__ = ["app"]  # with every command of `faxhook endpoints`: those of this module, too

EXIT_NOT_TOLD: Final = 1
"""The sample was sent, and the application did not take it."""

ROTATED: Final[dict[RotationAction, str]] = {
    "add": "give it to the application, then --promote it: until then the first one signs (standard-v1 signs with all)",
    "promote": "the newest token signs first now",
    "drop": "only the token that signs is left",
}

SIGNS_AT_ONCE: Final = "give it to the application: webhooks are signed with it from now on"


@app.command(name="rates")
def show_rates(endpoint_id: Id, as_json: Json = False) -> None:
    """Show how many attempts were delivered, and how long they took: over an hour, a day, a week."""

    async def read(ledger: Ledger[EndpointSettings]) -> EndpointRates:
        endpoint = await ledger.changes.known(ledger.pool, read_id(endpoint_id, "endpoint"))
        return await read_rates(ledger.pool, endpoint.id, utc_now())

    rates = ask(EndpointSettings, read)
    if as_json:
        print_json(rates)
        return
    for rate in rates.items:
        console.print(Text(f"last {rate.span:<6}", style="dim").append(rate_in_words(rate), style="not dim"))


@app.command(name="show")
def show_endpoint(endpoint_id: Id, as_json: Json = False) -> None:
    """Show an endpoint and how it is doing: delivered and failed lately, failing since when, owed, dead."""

    async def read(ledger: Ledger[EndpointSettings]) -> tuple[Endpoint, EndpointWithHealth]:
        endpoint = await ledger.changes.known(ledger.pool, read_id(endpoint_id, "endpoint"))
        origin = await read_origin(ledger.pool, endpoint.id)
        dates = await ledger.store.token_dates(ledger.pool, endpoint.id)
        health = (await EndpointHealthReader(ledger.pool).of([endpoint.id]))[endpoint.id]
        return endpoint, with_health(endpoint, origin, dates, health)

    endpoint, body = ask(EndpointSettings, read)
    health = body.health
    if as_json:
        print_json(body)
        return
    lines = [
        ("", str(endpoint.id)),
        *([("name", body.description)] if body.description else []),
        ("url", body.url),
        ("failover", body.failover_url or "none"),
        ("gets", describe(endpoint)),
        ("limits", f"{body.timeout_seconds:g} s for one request, {body.max_concurrent} at once for each dispatcher"),
        ("tokens", _tokens(body)),
        *([("public key", body.public_key)] if body.public_key else []),
        ("created", f"{body.created_at:%Y-%m-%d %H:%M} UTC by {body.created_by or 'an unknown person'}"),
        *([("damaged", sentence_of_damage(endpoint))] if endpoint.is_damaged else []),
        ("health", f"{health.verdict}: {health.sentence}"),
        ("lately", f"{health.told} attempts delivered, {health.failed} failed"),
    ]
    for name, value in lines:
        console.print(Text(f"{name:<11}", style="dim").append(value, style="not dim"), soft_wrap=True)


@app.command(name="pause")
def pause_endpoint(endpoint_id: Id, as_json: Json = False) -> None:
    """Pause an endpoint: what it is owed waits, without attempts, until it is resumed. Nothing dies of it.

    Returns once no dispatcher attempts anything more; requests that are under way are not cut off.
    """
    changed = _switched(endpoint_id, "pause")
    if as_json:
        print_json(changed)
        return
    console.print(f"paused endpoint {changed['id']}: what it is owed waits until `faxhook endpoints resume`")
    if changed["under_way"]:
        console.print(f"{counted(changed['under_way'], 'delivery')} still held: requests under way end by themselves")


@app.command(name="resume")
def resume_endpoint(endpoint_id: Id, as_json: Json = False) -> None:
    """Resume a paused endpoint: what waited is delivered in order, then what comes."""
    changed = _switched(endpoint_id, "resume")
    if as_json:
        print_json(changed)
    else:
        console.print(f"resumed endpoint {changed['id']}: what waited is delivered in order")


def _switched(endpoint_id: str, to: Literal["pause", "resume"]) -> dict[str, Any]:
    async def switch(ledger: Ledger[EndpointSettings]) -> dict[str, Any]:
        change = ledger.changes.pause if to == "pause" else ledger.changes.resume
        return (await change(BY_CLI, read_id(endpoint_id, "endpoint")))[1]

    return ask(EndpointSettings, switch)


@app.command(name="test")
def send_test(
    endpoint_id: Id,
    event_type: Annotated[
        str | None, typer.Option("--type", help="The sample's type, like fax.failed. Default: a fax that succeeded.")
    ] = None,
    failover: Annotated[bool, typer.Option("--failover", help="Send it to the failover URL.")] = False,
    as_json: Json = False,
) -> None:
    """Send a sample event to an endpoint, marked as a test and outside the ledger, and say what came back.

    Ends with 1 if it was not delivered.
    """
    # Slow to import, and only used here.
    from dispatcher.channels.by_scheme import open_channels  # noqa: PLC0415
    from dispatcher.egress.client import EgressClient  # noqa: PLC0415

    async def send(ledger: Ledger[ChannelSettings]) -> SampleOutcome:
        async with AsyncExitStack() as stack:
            endpoint = await ledger.changes.existing(ledger.pool, read_id(endpoint_id, "endpoint"))
            client = EgressClient(ledger.settings.allowed_networks(), ledger.settings.proxy())
            stack.push_async_callback(client.close)
            channels = open_channels(stack, client, ledger.settings.mail())
            outcome = await send_sample(endpoint, channels, _type(event_type), failover=failover)
            await audit_sample(ledger.pool, CLI, endpoint, outcome)
            return outcome

    outcome = ask(ChannelSettings, send)
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


@app.command(name="tokens")
def rotate_tokens(
    endpoint_id: Id,
    add: Annotated[
        bool, typer.Option("--add", help="Add one at the end: the one of --token, or a generated one.")
    ] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Make the newest one the first: it signs now.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Drop all but the first.")] = False,
    token: Annotated[str | None, typer.Option("--token", help="The token to add.")] = None,
    as_json: Json = False,
) -> None:
    """Rotate an endpoint's tokens: --add, give it to the application, --promote, --drop.

    One step at a time; a token is shown when it is added, and never again.
    """
    steps: dict[RotationAction, bool] = {"add": add, "promote": promote, "drop": drop}
    named = [step for step, is_named in steps.items() if is_named]

    async def rotate(ledger: Ledger[EndpointSettings]) -> tuple[dict[str, Any], int]:
        if len(named) != 1:
            raise BadEndpoint("action", "name one of --add, --promote, --drop")
        _, rotated = await ledger.changes.rotate(BY_CLI, read_id(endpoint_id, "endpoint"), named[0], token)
        return rotated, len(await ledger.store.token_dates(ledger.pool, UUID(rotated["id"])))

    rotated, count = ask(EndpointSettings, rotate)
    if as_json:
        print_json(rotated)
        return
    if "token" in rotated:
        console.print(f"token (shown once): {rotated['token']}", soft_wrap=True)
    console.print(ROTATED[named[0]] if count > 1 or named[0] != "add" else SIGNS_AT_ONCE, soft_wrap=True)
    if rotated["public_key"]:
        console.print(f"public key, for the application: {rotated['public_key']}", soft_wrap=True)


def _tokens(endpoint: EndpointWithHealth) -> str:
    if "tokens" in endpoint.damaged:
        return "cannot be read"
    if not endpoint.token_list:
        return "none: not signed"
    return "; ".join(map(_token, endpoint.token_list)) + ": the first one signs"


def _token(token: TokenBody) -> str:
    return f"{token.shown}, added {token.added_at:%Y-%m-%d %H:%M} UTC"


def _type(text: str | None) -> EventType | None:
    if text is None:
        return None
    try:
        return EventType(text)
    except ValueError:
        raise BadEndpoint("type", unknown(text, EventType)) from None
