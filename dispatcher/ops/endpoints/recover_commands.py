"""`faxhook endpoints recover`: what an endpoint was not owed while it was off is owed to it after all."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from dispatcher.ops.api.lookups import read_id
from dispatcher.ops.api.moments import HOW
from dispatcher.ops.dead.commands import DryRun, Rate, do_job
from dispatcher.ops.dead.jobs.bodies import Selection, Skipped
from dispatcher.ops.dead.jobs.pace import RATE
from dispatcher.ops.dead.options import moment_of
from dispatcher.ops.endpoints.care_commands import app
from dispatcher.ops.endpoints.options import Id
from dispatcher.ops.terminal import Json, Yes, fail
from shared.errors import FaxhookError

__all__ = ["app"]  # with every command of `faxhook endpoints`: those of this module, too


@app.command(name="recover")
def recover_endpoint(
    endpoint_id: Id,
    since: Annotated[str, typer.Option(help=f"From when on: {HOW}.")],
    until: Annotated[str | None, typer.Option(help="Before when, in the same notation; else until now.")] = None,
    told: Annotated[bool, typer.Option("--told", help="What was delivered, too: it is sent again.")] = False,
    overtaken: Annotated[
        bool, typer.Option("--overtaken", help="With --told: also what a later event has overtaken.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    rate: Rate = RATE,
    as_json: Json = False,
) -> None:
    """Owe an endpoint what it was not owed: it was disabled, had answered 410, or did not exist yet.

    Enable it first. Shows first what it would do, and asks. If it is killed in the middle, a dispatcher goes on with
    it. Ends with 1 if some stay skipped.
    """
    try:
        known_id = read_id(endpoint_id, "endpoint")
    except FaxhookError as error:
        fail(str(error), error.exit_code)
    now = datetime.now(UTC)
    skipped = Skipped(
        endpoint_id=known_id,
        since=moment_of("--since", since, now),
        until=None if until is None else moment_of("--until", until, now),
        told=told,
    )
    selection = Selection(skipped=skipped, overtaken=overtaken)
    do_job("endpoint.recover", selection, None, yes=yes, dry_run=dry_run, rate=rate, as_json=as_json)
