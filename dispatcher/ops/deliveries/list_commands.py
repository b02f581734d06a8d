"""`faxhook deliveries list`: what is or was owed to endpoints, and how it stands."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from dispatcher.ledger.pool import open_command_pool
from dispatcher.ops.api.cursor import read_pages
from dispatcher.ops.api.moments import HOW
from dispatcher.ops.deliveries.resend_commands import app
from dispatcher.ops.faxes.bodies import Delivery
from dispatcher.ops.faxes.lists.queries import DeliveryQuery
from dispatcher.ops.faxes.reader import FaxReader
from dispatcher.ops.terminal import Json, console, print_json, read_options, run, settings_of
from dispatcher.ops.words import STATE_VALUES, STATES, clock, printable
from dispatcher.settings import LedgerSettings
from shared.domain import EventType

__all__ = ["app"]  # with every command of `faxhook deliveries`: this one, too

OPTIONS = {"event_id": "--event", "endpoint_id": "--endpoint"}
STYLES = {"told": "green", "dead": "red", "retrying": "yellow", "pending": "yellow", "skipped": "dim"}


@app.command(name="list")
def list_deliveries(
    endpoint: Annotated[str | None, typer.Option(help="Only those to this endpoint, by its id.")] = None,
    state: Annotated[str | None, typer.Option(help=f"One of {', '.join(STATE_VALUES)}.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why it is dead or skipped, like timeout or overtaken.")] = None,
    event_type: Annotated[
        str | None, typer.Option("--type", help=f"Of the event, e.g. {EventType.DELIVERED.value}.")
    ] = None,
    event: Annotated[str | None, typer.Option(help="Only those of this event, by its id.")] = None,
    number: Annotated[
        str | None, typer.Option(help="A number of the fax, in any notation or by its last digits.")
    ] = None,
    job_id: Annotated[str | None, typer.Option(help="The job_id that the application gave.")] = None,
    since: Annotated[str | None, typer.Option(help=f"Owed from when on: {HOW}.")] = None,
    until: Annotated[str | None, typer.Option(help="Before when, in the same notation.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """Show deliveries, the newest first. `faxhook deliveries show ID` shows the attempts of one."""
    given = {
        "endpoint_id": endpoint,
        "state": None if state is None else STATE_VALUES.get(state, state),
        "reason": reason,
        "type": event_type,
        "event_id": event,
        "number": number,
        "job_id": job_id,
        "since": since,
        "until": until,
    }
    named = {name: value for name, value in given.items() if value is not None}
    found, cursor = run(_found(read_options(named, DeliveryQuery, OPTIONS), limit))
    if as_json:
        print_json({"items": found, "next": cursor})
    elif found:
        console.print(_table(found))
    else:
        console.print("no delivery matches" if named else "no delivery yet")


async def _found(query: DeliveryQuery, limit: int) -> tuple[list[Delivery], str | None]:
    pool = await open_command_pool(settings_of(LedgerSettings).database_url.reveal(), size=1)
    try:
        return await read_pages(FaxReader(pool).deliveries, query, limit)
    finally:
        await pool.close()


def _table(found: list[Delivery]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("owed", "webhook", "no.", "event", "to", "delivery"):
        table.add_column(name, overflow="fold", justify="right" if name == "no." else "left")
    for each in found:
        why = f" ({printable(each.reason)})" if each.reason else ""
        table.add_row(
            clock(each.created_at),
            Text(STATES[each.state], style=STYLES[each.state]).append(why),
            str(each.attempts_made),
            Text(printable(each.event_id)),
            Text(printable(each.endpoint_name or str(each.endpoint_id))),
            str(each.id),
        )
    return table
