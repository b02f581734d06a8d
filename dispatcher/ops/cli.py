"""The command line `faxhook`: talks to the stores directly, so it works while a service is down."""

import typer
from rich.table import Table

from dispatcher.ops import endpoint_commands
from dispatcher.ops.listen import listen_command
from dispatcher.ops.reconcile import reconcile_command
from dispatcher.ops.simulate import simulate_command
from dispatcher.ops.terminal import Json, console, print_json, run, settings_of
from dispatcher.settings import StoreSettings
from shared.broker import declare, topology

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Operate faxhook.")
app.add_typer(endpoint_commands.app, name="endpoints")
app.command(name="simulate")(simulate_command)
app.command(name="listen")(listen_command)
app.command(name="reconcile")(reconcile_command)


@app.command()
def migrate(as_json: Json = False) -> None:
    """Bring the ledger's schema up to date. Doing it twice, or from several places at once, does no harm."""
    from shared.sql.migrate import migrate as migrate_ledger  # noqa: PLC0415 - slow to import, and only used here

    before, after = run(migrate_ledger(settings_of(StoreSettings).database_url.reveal()))
    if as_json:
        print_json({"before": before, "after": after})
    else:
        console.print(f"ledger: {'already at' if before == after else 'now at'} revision {after}")


@app.command(name="topology")
def declare_topology(as_json: Json = False) -> None:
    """Declare exchanges and queues on the broker, the delay queues by the table of BACKOFF."""
    settings = settings_of(StoreSettings)
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
    app()
