"""`faxhook topology`: exchanges and queues, declared on the broker."""

from rich.table import Table

from dispatcher.configuration.broker import TopologySettings
from dispatcher.ops.terminal import Json, console, print_json, run, settings_of
from shared.broker import declare, topology


def topology_command(as_json: Json = False) -> None:
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
