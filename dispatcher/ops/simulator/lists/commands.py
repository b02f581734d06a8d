"""`faxhook simulate-provider`: faxes end, some of their callbacks are never sent, and the lists name all of them."""

import asyncio
import os
import random
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import aiohttp
import typer
from aiohttp import web

from dispatcher.ops.endpoints.urls import BadEndpoint, checked_web_url
from dispatcher.ops.simulator.lists.provider import EVENTS, ProvidedFax, SimulatedProvider, environment, make_fax
from dispatcher.ops.simulator.samples import make_sample
from dispatcher.ops.simulator.sending import reason_of, send
from dispatcher.ops.simulator.settings import VARIABLES, SimulateSettings, read_env_file
from dispatcher.ops.simulator.signing import MissingSecret
from dispatcher.ops.terminal import fail
from shared.domain import utc_now
from shared.errors import EXIT_AWAY, EXIT_BAD_INPUT, EXIT_BAD_SETTING
from shared.settings import BadSetting, load

PORT: Final = 8090
PROVIDERS: Final = ("phaxio", "telnyx", "sinch")
PERCENT: Final = 100


def simulate_provider_command(
    drop: Annotated[int, typer.Option(min=0, max=100, help="Percent of the callbacks that are never sent.")] = 20,
    every: Annotated[float, typer.Option(min=0.05, help="Seconds between two faxes.")] = 2.0,
    faxes: Annotated[int, typer.Option(min=0, help="How many; 0: until Ctrl-C. The lists stay until Ctrl-C.")] = 0,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Of the list APIs, on 127.0.0.1.")] = PORT,
    seed: Annotated[int | None, typer.Option(help="Decides what is random. Default: a new one.")] = None,
    to: Annotated[
        str | None, typer.Option(help="URL of the ingress. Default: http://INGRESS_HOST:INGRESS_PORT, 127.0.0.1:8080.")
    ] = None,
    env: Annotated[Path | None, typer.Option(help="File of KEY=value lines; they override the environment.")] = None,
    print_env: Annotated[
        bool, typer.Option("--print-env", help="Only print the dispatcher's settings that lead to these lists.")
    ] = False,
) -> None:
    """Be Telnyx, Phaxio and Sinch: list APIs on 127.0.0.1, and callbacks of which some are never sent.

    A dispatcher with the settings that --print-env shows finds these faxes on the lists, and tells them.
    """
    if print_env:
        print("\n".join(f"{name}={value}" for name, value in environment(port).items()))
        return
    try:
        loaded = load(SimulateSettings, {**os.environ, **(read_env_file(env) if env else {})})
        base_url = checked_web_url("--to", to or f"http://{loaded.ingress_host}:{loaded.ingress_port}")
        for provider in PROVIDERS:
            make_sample(loaded, base_url, provider, EVENTS[0])
    except MissingSecret as error:
        fail(f"{error}: set {', '.join(VARIABLES[each] for each in PROVIDERS)}, or --env FILE", EXIT_BAD_SETTING)
    except BadSetting as error:
        fail(str(error), EXIT_BAD_SETTING)
    except BadEndpoint as error:
        fail(str(error), EXIT_BAD_INPUT)
    dice = random.Random(secrets.randbelow(1_000_000) if seed is None else seed)  # noqa: S311 - a simulation
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(loaded, base_url, port, dice, drop, every, faxes))


async def _serve(
    settings: SimulateSettings, base_url: str, port: int, dice: random.Random, drop: int, every: float, faxes: int
) -> None:
    provider = SimulatedProvider()
    runner = web.AppRunner(provider.application(), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError as error:
            fail(
                f"the lists cannot be served on 127.0.0.1:{port}: {error.strerror or error}; choose a --port", EXIT_AWAY
            )
        print(f"lists     of {', '.join(PROVIDERS)} on http://127.0.0.1:{port}", flush=True)
        async with aiohttp.ClientSession() as session:
            number = 0
            while not faxes or number < faxes:
                number += 1
                fax = make_fax(dice.choice(PROVIDERS), dice.choice(EVENTS), utc_now())
                provider.faxes.insert(0, fax)
                is_dropped = dice.randrange(PERCENT) < drop
                print(await _told(session, settings, base_url, fax, is_dropped=is_dropped), flush=True)
                await asyncio.sleep(every)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def _told(
    session: aiohttp.ClientSession, settings: SimulateSettings, base_url: str, fax: ProvidedFax, *, is_dropped: bool
) -> str:
    """Send the callback of a fax, unless it is dropped; return what happened, for people."""
    what = f"{fax.provider} {fax.event} of fax {fax.fax_id}"
    if is_dropped:
        return f"dropped   {what}: only the list has it"
    sample = make_sample(settings, base_url, fax.provider, fax.event, fax_id=fax.fax_id, occurred_at=fax.finished_at)
    try:
        answer = await send(session, base_url, sample)
    except (aiohttp.ClientError, OSError) as error:
        return f"lost      {what}: nothing answers at {base_url} ({reason_of(error)})"
    return f"sent      {what}: answered {answer.http_status}"
