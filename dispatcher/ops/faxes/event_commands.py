"""`faxhook events`: what came from the providers, and to how many endpoints it was owed."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from dispatcher.ledger.pool import open_command_pool
from dispatcher.ops.api.cursor import read_pages
from dispatcher.ops.api.moments import HOW
from dispatcher.ops.contradictions import contradiction
from dispatcher.ops.faxes.bodies import RecordedEvent
from dispatcher.ops.faxes.explain import notes_on
from dispatcher.ops.faxes.lists.queries import EventQuery
from dispatcher.ops.faxes.reader import FaxReader
from dispatcher.ops.terminal import Json, console, print_json, read_options, run, settings_of
from dispatcher.ops.words import clock, printable
from dispatcher.settings import LedgerSettings
from shared.domain import EventType, Provider

app = typer.Typer(
    no_args_is_help=True, help="Show events: what came from the providers, and how many endpoints it is owed to."
)

OPTIONS = {"fax_id": "--fax", "endpoint_id": "--endpoint"}


@app.callback()
def events() -> None:
    """Hold the commands together: a group stays one, however few it has."""


@app.command(name="list")
def list_events(
    provider: Annotated[str | None, typer.Option(help=f"One of {', '.join(Provider)}.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help=f"E.g. {EventType.DELIVERED.value}.")] = None,
    fax: Annotated[str | None, typer.Option(metavar="PROVIDER:FAX_ID", help="Only those of this fax.")] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="The id of an endpoint: only those that it is owed, or was.")
    ] = None,
    number: Annotated[
        str | None, typer.Option(help="A number of the fax, in any notation or by its last digits.")
    ] = None,
    job_id: Annotated[str | None, typer.Option(help="The job_id that the application gave.")] = None,
    since: Annotated[str | None, typer.Option(help=f"Recorded from when on: {HOW}.")] = None,
    until: Annotated[str | None, typer.Option(help="Before when, in the same notation.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """Show events, the newest first. `faxhook faxes show ID` shows the story of one: its id will do."""
    of_fax, _, fax_id = (fax or "").partition(":")
    if fax is not None and provider not in {None, of_fax}:
        contradiction(f"--provider {provider}", f"--fax {fax}", f"that fax is of {of_fax or 'no provider'}")
    given = {
        "provider": provider if fax is None else of_fax,
        "fax_id": None if fax is None else fax_id,
        "type": event_type,
        "endpoint_id": endpoint,
        "number": number,
        "job_id": job_id,
        "since": since,
        "until": until,
    }
    named = {name: value for name, value in given.items() if value is not None}
    names = OPTIONS if fax is None else {**OPTIONS, "provider": "--fax"}
    found, cursor = run(_found(read_options(named, EventQuery, names), limit))
    if as_json:
        print_json({"items": found, "next": cursor})
    elif found:
        console.print(_table(found))
    else:
        console.print("no event matches" if named else "no event yet")


async def _found(query: EventQuery, limit: int) -> tuple[list[RecordedEvent], str | None]:
    pool = await open_command_pool(settings_of(LedgerSettings).database_url.reveal(), size=1)
    try:
        return await read_pages(FaxReader(pool).events, query, limit)
    finally:
        await pool.close()


def _table(found: list[RecordedEvent]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("recorded", "type", "fax", "owed to", "event", "notes"):
        table.add_column(name, overflow="fold", justify="right" if name == "owed to" else "left")
    for each in found:
        table.add_row(
            clock(each.recorded_at),
            each.type,
            Text(printable(f"{each.provider}:{each.fax_id}")),
            str(each.owed),
            Text(printable(each.id)),
            ", ".join(notes_on(each)),
        )
    return table
