"""`faxhook audit`: who did what, when, and from where."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from dispatcher.ledger.pool import open_command_pool
from dispatcher.ops.api.cursor import read_pages
from dispatcher.ops.api.moments import HOW
from dispatcher.ops.audit.details import details_of
from dispatcher.ops.audit.entries import AuditEntry, AuditQuery, AuditReader
from dispatcher.ops.terminal import Json, console, print_json, read_options, run, settings_of
from dispatcher.ops.words import clock, printable
from dispatcher.settings import LedgerSettings


def audit_command(
    who: Annotated[str | None, typer.Option(help="Only this token or person, as the audit names it.")] = None,
    what: Annotated[str | None, typer.Option(help="Only this, e.g. endpoint.changed or console.refused.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only of this: an endpoint's, fax's or job's id.")] = None,
    since: Annotated[str | None, typer.Option(help=f"From then on: {HOW}.")] = None,
    until: Annotated[str | None, typer.Option(help="Before then; as --since.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 50,
    after: Annotated[str | None, typer.Option(help="`next` of the page before, as --json shows it.")] = None,
    as_json: Json = False,
) -> None:
    """Show who changed or looked at what, from where, and who was refused; the latest first. Times are UTC."""
    given = {"who": who, "what": what, "subject": subject, "since": since, "until": until, "after": after}
    query = read_options(given, AuditQuery)
    settings = settings_of(LedgerSettings)

    async def work() -> tuple[list[AuditEntry], str | None]:
        async with await open_command_pool(settings.database_url.reveal()) as pool:
            return await read_pages(AuditReader(pool).page, query, limit)

    found, cursor = run(work())
    if as_json:
        print_json({"items": found, "next": cursor})
        return
    if not found:
        console.print("no line of the audit matches" if any(given.values()) else "the audit is empty")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("when (UTC)", "who", "from", "what", "subject", "details"):
        table.add_column(name, overflow="fold")
    for entry in found:
        texts = (entry.who, entry.origin or "", entry.what, entry.subject, details_of(entry))
        table.add_row(clock(entry.at), *(Text(printable(text)) for text in texts))
    console.print(table)
    if cursor is not None:
        console.print(f"there are more: --limit, or --after {cursor}", style="dim", soft_wrap=True)
