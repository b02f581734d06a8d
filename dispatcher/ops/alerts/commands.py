"""`faxhook alerts list|test`: what the operator was told, and whether they can be told."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from dispatcher.configuration.alerts import Alerts, AlertSecrets, AlertUrls
from dispatcher.ledger.pool import open_command_pool
from dispatcher.ops.alerts.reader import Alert, AlertQuery, AlertReader
from dispatcher.ops.alerts.trying import WaysToOperator
from dispatcher.ops.api.cursor import MOST_PER_PAGE
from dispatcher.ops.api.moments import HOW
from dispatcher.ops.dead.causes import cause_in_words
from dispatcher.ops.terminal import Json, console, fail, print_json, read_options, run, settings_of
from dispatcher.ops.words import clock, printable
from dispatcher.settings import ChannelSettings, LedgerSettings
from shared.errors import EXIT_BAD_SETTING

PARTLY = 1

app = typer.Typer(no_args_is_help=True, help="Show what was raised, and send a test to each place that alerts go to.")


class AlertSettings(ChannelSettings, Alerts, frozen=True, kw_only=True):
    """Variables of `faxhook alerts test`."""

    alert_urls: AlertUrls = ()
    alert_secret: AlertSecrets = ()

    def check(self) -> None:
        """Check where the operator is told, too."""
        super().check()
        self.alerting()


@app.command(name="list")
def list_alerts(
    state: Annotated[str | None, typer.Option(help="Only these: open or resolved.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind, e.g. endpoint_failing or silence.")] = None,
    since: Annotated[str | None, typer.Option(help=f"Raised from then on: {HOW}.")] = None,
    until: Annotated[str | None, typer.Option(help="Raised before then; as --since.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_PER_PAGE, help="How many at most.")] = 50,
    after: Annotated[str | None, typer.Option(help="`next` of the page before, as --json shows it.")] = None,
    as_json: Json = False,
) -> None:
    """Show what is wrong or was, and where that was sent; the latest first. Times are UTC."""
    given = {"state": state, "kind": kind, "since": since, "until": until, "after": after}
    query = read_options({**given, "limit": limit}, AlertQuery)
    settings = settings_of(LedgerSettings)

    async def work() -> tuple[list[Alert], str | None]:
        async with await open_command_pool(settings.database_url.reveal()) as pool:
            page = await AlertReader(pool).page(query)
            return list(page.items), page.next

    found, cursor = run(work())
    if as_json:
        print_json({"items": found, "next": cursor})
        return
    if not found:
        console.print("no alert matches" if any(given.values()) else "there are no alerts")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("raised (UTC)", "state", "what", "sent"):
        table.add_column(name, overflow="fold")
    for each in found:
        state_text = Text(each.state, style="red" if each.state == "open" else "dim")
        what = Text(printable(f"{each.title}: {each.what}"))
        table.add_row(clock(each.opened_at), state_text, what, Text(told_of(each)))
    console.print(table)
    if cursor is not None:
        console.print(f"there are more: --limit, or --after {cursor}", style="dim", soft_wrap=True)


@app.command(name="test")
def try_channels(as_json: Json = False) -> None:
    """Send a test message to each of ALERT_URLS, now. Ends with 1 if one could not be sent. Nothing is recorded."""
    settings = settings_of(AlertSettings)
    if not settings.alert_urls:
        fail("ALERT_URLS is not set: the operator is told nothing", EXIT_BAD_SETTING)
    tried = run(WaysToOperator.of(settings).try_all("`faxhook alerts test`"))
    if as_json:
        print_json({"items": tried})
    else:
        for each in tried:
            said = "sent" if each.error is None else f"not sent: {cause_in_words(each.error)}"
            console.print(Text(f"{each.channel}: {said}"), soft_wrap=True)
    if not all(each.is_sent for each in tried):
        raise typer.Exit(PARTLY)


def told_of(alert: Alert) -> str:
    """Return who was told last, and whether that worked, in a line."""
    tried = [entry for entry in alert.history if entry.what in {"sent", "failed"}]
    if not tried:
        return "no one yet"
    last = tried[-1]
    return f"{last.what} {clock(last.at)}, {last.channel}" + (f": {last.note}" if last.what == "failed" else "")
