"""`faxhook queues`: how many messages wait where, how old they are, when they are due, how many consumers."""

import asyncio
from contextlib import suppress
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dispatcher.ledger.pool import open_pool
from dispatcher.ops.contradictions import refuse_contradictions
from dispatcher.ops.queues.bodies import Queue, Queues
from dispatcher.ops.queues.history import QueueHistory
from dispatcher.ops.queues.reader import QueueReader
from dispatcher.ops.terminal import Json, console, fail, print_json, run, settings_of
from dispatcher.ops.words import counted, duration, moment
from dispatcher.settings import StoreSettings
from shared.amqp.errors import REFUSED, AccessRefused
from shared.errors import EXIT_AWAY, EXIT_BAD_SETTING
from shared.sql.connection import LedgerAway, check_sessions

SHORTEST_INTERVAL: Final = 1.0


def queues_command(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=SHORTEST_INTERVAL, help="Seconds between two looks.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Show every queue: depth, consumers, rates, the oldest message, and what is due next.

    Ends with 78 if a queue is missing, 69 if the broker does not answer. With --watch --json, one line for each look.
    """
    refuse_contradictions(context, (), {"interval": "watch"})
    settings = settings_of(StoreSettings)

    async def work() -> tuple[Queues, AccessRefused | None]:
        with suppress(LedgerAway):  # the page says so
            await check_sessions(settings.database_url.reveal())
        pool = await open_pool(settings.database_url.reveal(), size=1)
        reader = QueueReader(settings.for_operations(), settings.rabbitmq_api(), pool, settings.backoff_seconds())
        try:
            found = await (_watched(reader, interval, as_json=as_json) if watch else reader.read())
            return found, reader.refusal
        finally:
            await pool.close()

    try:
        found, refusal = run(work())
    except KeyboardInterrupt:
        return
    if as_json:
        print_json(found)
    else:
        console.print(page(found))
    if refusal is not None:
        fail(f"{REFUSED}: {refusal}", refusal.exit_code)
    if any(queue.standing == "unknown" for queue in found.items):
        fail("the broker does not answer: is AMQP_URL (or OPS_AMQP_URL) right, and is it up?", EXIT_AWAY)
    if any(queue.standing == "missing" for queue in found.items):
        fail("the broker lacks queues: run `faxhook topology`", EXIT_BAD_SETTING)


async def _watched(reader: QueueReader, interval: float, *, as_json: bool) -> Queues:
    history = QueueHistory(reader)
    if as_json:
        while True:
            await history.sample()
            print(msgspec.json.encode(await history.now()).decode(), flush=True)
            await asyncio.sleep(interval)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            await history.sample()
            live.update(page(await history.now()), refresh=True)
            await asyncio.sleep(interval)


def page(found: Queues) -> Group:
    """Return the queues as a table for people, with the troubles below."""
    table = Table(box=None, pad_edge=False)
    table.add_column("queue", no_wrap=True)
    for name in ("ready", "unacked", "in/s", "out/s", "consumers"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("oldest", no_wrap=True)
    table.add_column("next due", no_wrap=True)
    for queue in found.items:
        table.add_row(*_row(queue, found), style="" if queue.messages or queue.standing != "present" else "dim")
    owed = "the ledger does not answer" if found.owed is None else f"{counted(found.owed, 'delivery')} owed"
    overdue = f", {found.overdue:,} of them due and not held by a process" if found.overdue else ""
    return Group(table, Text(f"\n{owed}{overdue}"), *(Text(trouble, style="red") for trouble in found.troubles))


def _row(queue: Queue, found: Queues) -> tuple[str | Text, ...]:
    depth = Text(queue.standing.replace("_", " "), style="red") if queue.messages is None else f"{queue.messages:,}"
    is_alone = queue.kind == "work" and queue.consumers == 0
    consumers = "" if queue.consumers is None or queue.kind in {"retry", "defer", "dead"} else str(queue.consumers)
    return (
        queue.name,
        depth,
        "" if queue.unacked is None else f"{queue.unacked:,}",
        _rate(queue.in_per_second),
        _rate(queue.out_per_second),
        Text(consumers, style="red" if is_alone else ""),
        "" if queue.oldest_seconds is None else duration(queue.oldest_seconds),
        "" if queue.next_due_at is None else moment(queue.next_due_at, found.at),
    )


def _rate(per_second: float | None) -> str:
    return "" if per_second is None else f"{per_second:,.1f}"
