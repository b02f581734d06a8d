"""`faxhook deliveries resend`: what was told, or given up on, is sent again."""

from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from dispatcher.ops.api.moments import HOW
from dispatcher.ops.dead.commands import DryRun, Rate, do_job
from dispatcher.ops.dead.jobs.bodies import ResendFilter, Selection
from dispatcher.ops.dead.jobs.pace import RATE
from dispatcher.ops.dead.jobs.planner import check_resend
from dispatcher.ops.dead.options import moment_of
from dispatcher.ops.deliveries.commands import app
from dispatcher.ops.terminal import Json, Yes, fail, read_options
from dispatcher.ops.words import STATE_VALUES
from shared.errors import EXIT_BAD_INPUT, FaxhookError

__all__ = ["app"]  # with every command of `faxhook deliveries`: those of this module, too

_OPTION_NAMES: Final = {"provider": "--fax", "fax_id": "--fax", "event_id": "--event", "endpoint_id": "--endpoint"}


@app.command(name="resend")
def resend_deliveries(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of deliveries; or give a filter.")] = None,
    fax: Annotated[str | None, typer.Option(metavar="PROVIDER:FAX_ID", help="Those of a fax.")] = None,
    event: Annotated[str | None, typer.Option(help="Those of an event, by its id.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Those to an endpoint, by its id.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Of the event, e.g. fax.delivered.")] = None,
    state: Annotated[
        str | None, typer.Option(help="One of delivered, dead, skipped; else what is delivered or dead.")
    ] = None,
    since: Annotated[str | None, typer.Option(help=f"Of events since: {HOW}.")] = None,
    until: Annotated[str | None, typer.Option(help="And before, in the same notation.")] = None,
    overtaken: Annotated[bool, typer.Option("--overtaken", help="Also what a later event has overtaken.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    rate: Rate = RATE,
    as_json: Json = False,
) -> None:
    """Send deliveries again, under the same ids, with their next attempt numbers and a new budget.

    What is still owed is left out: it is delivered anyway. Shows first what it would do, and asks. If it is killed
    in the middle, a dispatcher goes on with it. Ends with 1 if some are left out.
    """
    provider, _, fax_id = (fax or "").partition(":")
    now = datetime.now(UTC)
    given = {
        "provider": provider or None,
        "fax_id": fax_id or None,
        "event_id": event,
        "endpoint_id": endpoint,
        "type": event_type,
        "state": None if state is None else STATE_VALUES.get(state, state),
        "since": None if since is None else moment_of("--since", since, now),
        "until": None if until is None else moment_of("--until", until, now),
    }
    named = {name: value for name, value in given.items() if value is not None}
    if not ids and not named:
        fail("say which: ids, --fax PROVIDER:FAX_ID, --event ID, or --since when, with --endpoint ID", EXIT_BAD_INPUT)
    selection = Selection(
        ids=tuple(sorted(set(ids))) if ids else None,
        deliveries=read_options(named, ResendFilter, _OPTION_NAMES) if named or not ids else None,
        overtaken=overtaken,
    )
    try:
        check_resend(selection)
    except FaxhookError as error:
        fail(str(error), EXIT_BAD_INPUT)
    do_job("delivery.resend", selection, None, yes=yes, dry_run=dry_run, rate=rate, as_json=as_json)
