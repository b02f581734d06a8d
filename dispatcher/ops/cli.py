"""The command line `faxhook`: it talks to the stores directly, so it works while a service is down."""

from typing import Annotated, Any, Final

import typer
from rich.table import Table
from typer.core import TyperGroup

from dispatcher.configuration.broker import TopologySettings
from dispatcher.ops.access import commands as token_commands
from dispatcher.ops.accounts.commands import account_command
from dispatcher.ops.alerts import commands as alert_commands
from dispatcher.ops.audit.commands import audit_command
from dispatcher.ops.backfill import backfill_command
from dispatcher.ops.dead import commands as dead_commands
from dispatcher.ops.deliveries import attempt_commands
from dispatcher.ops.deliveries import resend_commands as delivery_commands
from dispatcher.ops.documents.commands import document_command
from dispatcher.ops.endpoints import recover_commands as endpoint_commands
from dispatcher.ops.export.commands import export_command
from dispatcher.ops.faxes import commands as fax_commands
from dispatcher.ops.listener.commands import listen_command
from dispatcher.ops.queues.commands import queues_command
from dispatcher.ops.reconcile import reconcile_command
from dispatcher.ops.simulator.commands import simulate_command
from dispatcher.ops.simulator.lists.commands import simulate_provider_command
from dispatcher.ops.terminal import Json, console, print_json, run, settings_of
from dispatcher.settings import MigrateSettings
from shared.broker import declare, topology
from shared.programs import version
from shared.runtime.output import ending_with_output

COMMANDS: Final = {
    "Inspect and repair": (
        "faxes",
        "deliveries",
        "attempts",
        "document",
        "dead",
        "endpoints",
        "queues",
        "reconcile",
        "backfill",
        "account",
        "alerts",
        "audit",
        "export",
    ),
    "Set up": ("migrate", "topology", "tokens"),
    "Try out": ("simulate", "simulate-provider", "listen"),
}
"""Headings of `--help` with their commands, in its order."""

_INSPECT, _SET_UP, _TRY_OUT = COMMANDS
_ORDER: Final = tuple(name for names in COMMANDS.values() for name in names)


class InOrder(TyperGroup):
    """Commands and groups of commands in the order of `COMMANDS`; typer would put all groups last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return their names."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)


app = typer.Typer(
    cls=InOrder,
    no_args_is_help=True,
    add_completion=False,
    help="Operate faxhook. It talks to the stores directly, so it works while a service is down.",
    epilog="Settings come from the environment: AMQP_URL, DATABASE_URL, … Exit codes: 0 done, 1 partly done, "
    "65 the input is wrong, 69 something does not answer, 78 a setting is wrong.",
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        console.print(f"faxhook {version()}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before the command."""


app.add_typer(fax_commands.app, name="faxes", rich_help_panel=_INSPECT)
app.add_typer(delivery_commands.app, name="deliveries", rich_help_panel=_INSPECT)
app.add_typer(attempt_commands.app, name="attempts", rich_help_panel=_INSPECT)
app.command(name="document", rich_help_panel=_INSPECT)(document_command)
app.add_typer(dead_commands.app, name="dead", rich_help_panel=_INSPECT)
app.add_typer(endpoint_commands.app, name="endpoints", rich_help_panel=_INSPECT)
app.command(name="queues", rich_help_panel=_INSPECT)(queues_command)
app.command(name="reconcile", rich_help_panel=_INSPECT)(reconcile_command)
app.command(name="backfill", rich_help_panel=_INSPECT)(backfill_command)
app.command(name="account", rich_help_panel=_INSPECT)(account_command)
app.add_typer(alert_commands.app, name="alerts", rich_help_panel=_INSPECT)
app.command(name="audit", rich_help_panel=_INSPECT)(audit_command)
app.command(name="export", rich_help_panel=_INSPECT)(export_command)
app.add_typer(token_commands.app, name="tokens", rich_help_panel=_SET_UP)
app.command(name="simulate", rich_help_panel=_TRY_OUT)(simulate_command)
app.command(name="simulate-provider", rich_help_panel=_TRY_OUT)(simulate_provider_command)
app.command(name="listen", rich_help_panel=_TRY_OUT)(listen_command)


@app.command(rich_help_panel=_SET_UP)
def migrate(as_json: Json = False) -> None:
    """Bring the ledger's schema up to date. Safe to repeat, and to run from several places at once."""
    from shared.sql.migrate import migrate as migrate_ledger  # noqa: PLC0415 - slow to import, and only used here

    settings = settings_of(MigrateSettings)
    before, after = run(migrate_ledger(settings.database_url.reveal(), settings.database_application_role))
    if as_json:
        print_json({"before": before, "after": after})
    else:
        console.print(f"ledger: {'already at' if before == after else 'now at'} revision {after}")


@app.command(name="topology", rich_help_panel=_SET_UP)
def declare_topology(as_json: Json = False) -> None:
    """Declare exchanges and queues on the broker, the delay queues by the table of BACKOFF. Safe to repeat."""
    settings = settings_of(TopologySettings)
    wanted = topology(settings.backoff_seconds())
    run(declare(settings.amqp_url.reveal(), wanted))
    if as_json:
        print_json([{"queue": queue.name, "arguments": queue.all_arguments()} for queue in wanted.queues])
        return
    table = Table("queue", "bound to", "key", "wait")
    for queue in wanted.queues:
        wait = queue.arguments.get("x-message-ttl")
        table.add_row(queue.name, queue.exchange, queue.key, f"{wait} ms" if wait else "")
    console.print(table)


def main() -> None:
    """Run the command line."""
    with ending_with_output("faxhook"):
        app()
