"""`faxhook attempts`: what was tried, when, and how it ended."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from dispatcher.ledger.pool import open_command_pool
from dispatcher.ops.api.cursor import read_pages
from dispatcher.ops.api.moments import HOW
from dispatcher.ops.contradictions import contradiction
from dispatcher.ops.deliveries.attempts import AttemptReader
from dispatcher.ops.deliveries.bodies import AttemptInList
from dispatcher.ops.faxes.lists.queries import AttemptQuery
from dispatcher.ops.terminal import Json, console, print_json, read_options, run, settings_of
from dispatcher.ops.words import STATES, clock, duration, printable
from dispatcher.settings import LedgerSettings
from shared.domain import EventType

app = typer.Typer(
    no_args_is_help=True, help="Show attempts at deliveries: when, at which endpoint, and how they ended."
)

OPTIONS = {
    "delivery_id": "--delivery",
    "event_id": "--event",
    "endpoint_id": "--endpoint",
    "provider": "--fax",
    "fax_id": "--fax",
}


@app.callback()
def attempts() -> None:
    """Hold the commands together: a group stays one, however few it has."""


@app.command(name="list")
def list_attempts(
    endpoint: Annotated[str | None, typer.Option(help="Only those at this endpoint, by its id.")] = None,
    failed: Annotated[
        bool | None, typer.Option("--failed/--delivered", help="Only those that failed, or only the others.")
    ] = None,
    error: Annotated[
        str | None, typer.Option(help="Only those that failed with this code, or of this group: timeout, http_5xx.")
    ] = None,
    event_type: Annotated[
        str | None, typer.Option("--type", help=f"Of the event, e.g. {EventType.DELIVERED.value}.")
    ] = None,
    fax: Annotated[str | None, typer.Option(metavar="PROVIDER:FAX_ID", help="Only those for this fax.")] = None,
    event: Annotated[str | None, typer.Option(help="Only those for this event, by its id.")] = None,
    delivery: Annotated[str | None, typer.Option(help="Only those of this delivery, by its id.")] = None,
    number: Annotated[
        str | None, typer.Option(help="A number of the fax, in any notation or by its last digits.")
    ] = None,
    job_id: Annotated[str | None, typer.Option(help="The job_id that the application gave.")] = None,
    since: Annotated[str | None, typer.Option(help=f"From when on: {HOW}.")] = None,
    until: Annotated[str | None, typer.Option(help="Before when, in the same notation.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """Show attempts, the newest first. `faxhook deliveries show ID --attempt N` shows the request of one."""
    if failed is False and error is not None:
        contradiction("--delivered", "--error", "what was delivered has no error")
    provider, _, fax_id = (fax or "").partition(":")
    given = {
        "outcome": {True: "not_told", False: "told", None: None}[failed],
        "error": error,
        "delivery_id": delivery,
        "event_id": event,
        "endpoint_id": endpoint,
        "provider": None if fax is None else provider,
        "fax_id": None if fax is None else fax_id,
        "type": event_type,
        "number": number,
        "job_id": job_id,
        "since": since,
        "until": until,
    }
    named = {name: value for name, value in given.items() if value is not None}
    found, cursor = run(_found(read_options(named, AttemptQuery, OPTIONS), limit))
    if as_json:
        print_json({"items": found, "next": cursor})
    elif found:
        console.print(_table(found))
    else:
        console.print("no attempt matches" if named else "no attempt yet")


async def _found(query: AttemptQuery, limit: int) -> tuple[list[AttemptInList], str | None]:
    pool = await open_command_pool(settings_of(LedgerSettings).database_url.reveal(), size=1)
    try:
        return await read_pages(AttemptReader(pool).page, query, limit)
    finally:
        await pool.close()


def _table(found: list[AttemptInList]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("began", "took", "outcome", "no.", "event", "fax", "to", "webhook", "delivery"):
        table.add_column(name, overflow="fold", justify="right" if name in {"took", "no."} else "left")
    for each in found:
        is_told = each.outcome == "told"
        table.add_row(
            clock(each.started_at),
            duration(each.seconds),
            Text(f"delivered ({each.http_status})" if is_told and each.http_status else STATES["told"], style="green")
            if is_told
            else Text(printable(each.error or "failed"), style="red"),
            str(each.number),
            each.type,
            Text(printable(f"{each.provider}:{each.fax_id}")),
            Text(printable(each.endpoint_name or str(each.endpoint_id))),
            STATES[each.delivery_state],
            str(each.delivery_id),
        )
    return table
