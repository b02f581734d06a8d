"""`faxhook account`: of each provider's days, whether anything is missing."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from dispatcher.ledger.pool import open_command_pool
from dispatcher.lists.accounts.account import Account
from dispatcher.ops.accounts.reader import AccountInFull, AccountQuery, AccountReader
from dispatcher.ops.api.cursor import MOST_PER_PAGE
from dispatcher.ops.terminal import Json, console, print_json, read_options, run, settings_of
from dispatcher.ops.words import printable
from dispatcher.settings import LedgerSettings

WRONG = 1
"""The exit code where a person must look at an account that is shown."""

LATEST = "7d"


def account_command(
    day: Annotated[
        str | None, typer.Option(help="Only this day of UTC: 2026-11-28, today or yesterday. Else the last seven.")
    ] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
    as_json: Json = False,
) -> None:
    """Show for each provider and day: faxes of theirs, of ours, repaired, missing, delivered, owed, dead.

    Ends with 1 if an account that is shown does not add up, or if a list was not read. Days are days of UTC.
    """
    given = {"day": day, "provider": provider, "since": None if day else LATEST, "limit": MOST_PER_PAGE}
    query = read_options(given, AccountQuery)
    settings = settings_of(LedgerSettings)

    async def work() -> list[Account]:
        async with await open_command_pool(settings.database_url.reveal()) as pool:
            reader = AccountReader(pool)
            found = (await reader.page(query)).items
            return [await reader.in_full(each) for each in found] if day else list(found)

    accounts = run(work())
    if as_json:
        print_json({"items": accounts})
    elif accounts:
        show(accounts)
    else:
        console.print(f"there is no account of {day or 'the last seven days'} yet: a running dispatcher draws it up")
    if any(account.is_wrong for account in accounts):
        raise typer.Exit(WRONG)


def show(accounts: Sequence[Account]) -> None:
    """Print the accounts as a table with a sentence for each, then what is missing by name."""
    table = Table(box=None, pad_edge=False)
    table.add_column("day (UTC)", no_wrap=True)
    table.add_column("provider")
    for name in ("theirs", "ours", "repaired", "missing", "delivered", "owed", "dead"):
        table.add_column(name, justify="right")
    table.add_column("account", overflow="fold")
    for each in accounts:
        counts = (each.theirs, each.ours, each.repaired, each.missing, each.told, each.owed, each.dead)
        style = "bold" if each.is_wrong else None
        table.add_row(str(each.day), each.provider, *map(counted, counts), each.sentence, style=style)
    console.print(table)
    for each in accounts:
        if isinstance(each, AccountInFull) and each.missing_faxes:
            names = printable(", ".join(each.missing_faxes))
            console.print(f"missing of {each.provider}: {names}", soft_wrap=True, markup=False, highlight=False)


def counted(count: int | None) -> str:
    """Return a count; `?` where it is not known.

    >>> counted(1200), counted(None)
    ('1,200', '?')
    """
    return "?" if count is None else f"{count:,}"
