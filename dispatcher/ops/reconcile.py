"""`faxhook reconcile`: after every queue was lost, put back what is due, at once.

What the ledger says is owed is one of these:

| | reconcile |
|---|---|
| leased by a live process | leaves it alone |
| due, or leased by a process that died | puts it back into `work.deliveries` now, without the sweeper's grace |
| parked: its endpoint is paused | leaves it alone |
| due later | leaves it alone: its delay queue brings it, or, if that was lost, the sweeper does when it is due |

What is due later gains nothing by a new message: a delay queue knows its whole wait only, not the rest of one, so the
sweeper is always there first; and nothing may be attempted before it is due. It works whether a dispatcher runs or not.
Interrupted and run again, it goes on where it was; a message too many is dropped by the claim, so nothing is told
twice.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dispatcher.ledger.locks import Lock
from dispatcher.maintenance import overdue
from dispatcher.maintenance.overdue import OverdueUpdate
from dispatcher.messages import Publishing
from dispatcher.ops.terminal import Json, console, fail, print_json, run, settings_of
from dispatcher.ops.words import clock
from dispatcher.settings import StoreSettings
from shared.amqp.publisher import NotKept, Publisher
from shared.amqp.session import broker_session
from shared.broker import FAX_WORK, WORK_DELIVERIES, Topology, topology, verify
from shared.errors import EXIT_AWAY
from shared.sql import PARKED_DUE_AT
from shared.sql.connection import check_sessions, connect

MOST_PER_BATCH: Final = 250
DEFAULT_PER_SECOND: Final = 1000
LOOK_SECONDS: Final = 60.0
"""What was put back counts as due again after this, should its message be lost too."""

TURN_SECONDS: Final = 60.0
STORE_SECONDS: Final = 10.0
CONFIRM_SECONDS: Final = 10.0


class OwedByEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What one endpoint is owed in one state. Moments are of the ledger's clock.

    Attributes:
        due: To put back.
        leased: A live process has it.
        later: Not due yet.
        parked: Its endpoint is paused.
    """

    endpoint_id: UUID
    state: str
    due: int
    oldest_due_at: datetime | None
    leased: int
    later: int
    parked: int
    next_due_at: datetime | None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Messages in the broker: in `work.deliveries`, and in the delay queues together."""

    work: int
    delayed: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What is owed, and what was, or would be, put back."""

    dry_run: bool
    put_back: int
    due: int
    oldest_due_at: datetime | None
    leased: int
    later: int
    parked: int
    next_due_at: datetime | None
    messages: Waiting
    owed: list[OwedByEndpoint]


_IS_LATER: Final = f"due_at >= $1 AND due_at < {PARKED_DUE_AT} AND (lease_until IS NULL OR lease_until < $1)"
SUMMARY: Final = f"""
SELECT endpoint_id, state,
       count(*) FILTER (WHERE greatest(due_at, lease_until) < $1) AS due,
       min(due_at) FILTER (WHERE greatest(due_at, lease_until) < $1) AS oldest_due_at,
       count(*) FILTER (WHERE lease_until >= $1) AS leased,
       count(*) FILTER (WHERE {_IS_LATER}) AS later, count(*) FILTER (WHERE due_at = {PARKED_DUE_AT}) AS parked,
       min(due_at) FILTER (WHERE {_IS_LATER}) AS next_due_at
FROM deliveries WHERE state IN ('pending', 'retrying')
GROUP BY endpoint_id, state ORDER BY endpoint_id, state
"""  # noqa: S608 - what is inserted is ours


async def look(connection: Any, messages: Waiting, now: datetime) -> Report:
    """Return what is owed at *now*, the ledger's clock; nothing is changed."""
    rows = await connection.fetch(SUMMARY, now, timeout=TURN_SECONDS)
    owed = [OwedByEndpoint(**dict(row)) for row in rows]
    return Report(
        dry_run=True,
        put_back=0,
        due=sum(each.due for each in owed),
        oldest_due_at=min((each.oldest_due_at for each in owed if each.oldest_due_at), default=None),
        leased=sum(each.leased for each in owed),
        later=sum(each.later for each in owed),
        parked=sum(each.parked for each in owed),
        next_due_at=min((each.next_due_at for each in owed if each.next_due_at), default=None),
        messages=messages,
        owed=owed,
    )


async def put_back_due(
    connection: Any, publisher: Publishing, now: datetime, per_second: float, advance: Callable[[int], None]
) -> int:
    """Put back all that was due at *now*; return how many. *advance* is told of each batch.

    Raises:
        NotKept: The broker did not take them all; those that it took are put back.
    """
    total = 0
    while True:
        started = time.monotonic()
        found = await overdue.find(connection, 0.0, MOST_PER_BATCH, now)
        if not found:
            return total
        # A person asks for it: sweeps in vain before do not count any more.
        total += await overdue.put_back(connection, publisher, [OverdueUpdate(each, 0, LOOK_SECONDS) for each in found])
        advance(len(found))
        await asyncio.sleep(len(found) / per_second - (time.monotonic() - started))


async def waiting_messages(amqp_url: str, wanted: Topology) -> Waiting:
    """Count the messages that are ready in the work and delay queues; a queue that is missing holds none."""
    delay_queues = {queue.name for queue in wanted.queues if "x-message-ttl" in queue.arguments}
    messages: dict[str, int] = {}
    async with broker_session(amqp_url, "faxhook reconcile", connect_seconds=STORE_SECONDS) as broker:
        for queue in (WORK_DELIVERIES, *delay_queues):
            depth = await broker.depth(queue)
            messages[queue] = 0 if depth is None else depth.messages
    work = messages.pop(WORK_DELIVERIES)
    return Waiting(work=work, delayed=sum(messages.values()))


def reconcile_command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be put back.")] = False,
    per_second: Annotated[
        int, typer.Option(min=1, max=10_000, help="Put back no more than this in a second.")
    ] = DEFAULT_PER_SECOND,
    as_json: Json = False,
) -> None:
    """After queues were lost: put back, at once, what is due and has no message. Once too often does no harm.

    What is due later is left to its delay queue or, if that was lost, to the sweeper of any dispatcher when it is due.
    """
    report = run(_reconcile(settings_of(StoreSettings), dry_run=dry_run, per_second=per_second))
    if as_json:
        print_json(report)
    else:
        _show(report)


async def _reconcile(settings: StoreSettings, *, dry_run: bool, per_second: int) -> Report:
    amqp_url = settings.for_operations()
    messages = await waiting_messages(amqp_url, topology(settings.backoff_seconds()))
    await check_sessions(settings.database_url.reveal())
    connection = await connect(settings.database_url.reveal(), session_settings={})
    try:
        if dry_run:
            return await look(connection, messages, await connection.fetchval("SELECT now()"))
        await verify(amqp_url, [FAX_WORK], [WORK_DELIVERIES])
        publisher = Publisher(amqp_url, "faxhook reconcile", confirm_timeout_seconds=CONFIRM_SECONDS)
        async with _turn(connection), publisher.connected_once():
            # From here on, so that it ends however much falls due meanwhile.
            now = await connection.fetchval("SELECT now()")
            report = await look(connection, messages, now)
            with _progress(report.due) as advance:
                put_back = await put_back_due(connection, publisher, now, per_second, advance)
            return msgspec.structs.replace(report, dry_run=False, put_back=put_back)
    except NotKept as error:
        fail(f"the broker did not take everything: {error}. Run it again: it goes on where it was", EXIT_AWAY)
    finally:
        await connection.close()


@asynccontextmanager
async def _turn(connection: Any) -> AsyncIterator[None]:
    """Hold the sweeper's lock; it goes with the connection, whatever becomes of us."""
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", Lock.SWEEP, timeout=TURN_SECONDS)
    except TimeoutError:
        fail(f"another process has been putting back for {TURN_SECONDS:.0f} s: wait for it, or stop it", EXIT_AWAY)
    yield


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Yield what advances a bar; on stderr, and only on a terminal."""
    columns = (TextColumn("putting back"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar_console = Console(stderr=True)
    with Progress(*columns, console=bar_console, disable=not bar_console.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)


def _show(report: Report) -> None:
    table = Table("endpoint", "state", "due", "oldest due", "leased", "later", "next due", "paused")
    for each in report.owed:
        table.add_row(
            str(each.endpoint_id),
            each.state,
            str(each.due),
            _moment(each.oldest_due_at),
            str(each.leased),
            str(each.later),
            _moment(each.next_due_at),
            str(each.parked),
        )
    if report.owed:
        console.print(table)
    for sentence in sentences(report):
        console.print(sentence, soft_wrap=True)


def sentences(report: Report) -> list[str]:
    """Return what a person wants to know, the most important first."""
    said = [
        f"{report.due} due: would be put back now" if report.dry_run else f"{report.put_back} put back",
        f"{report.leased} leased by a live process: left alone",
        f"{report.later} due later: left to the delay queues, which hold {report.messages.delayed} messages",
    ]
    if report.parked:
        said.append(f"{report.parked} wait for paused endpoints: left alone until those are resumed")
    if report.later > report.messages.delayed:
        lost = report.later - report.messages.delayed
        said.append(
            f"at least {lost} of them have lost theirs: the sweeper of a running dispatcher puts back each when due"
        )
    if report.messages.work:
        said.append(
            f"{report.messages.work} messages are in {WORK_DELIVERIES} already: what is due may only wait its turn"
        )
    return said


def _moment(at: datetime | None) -> str:
    return "" if at is None else clock(at)
