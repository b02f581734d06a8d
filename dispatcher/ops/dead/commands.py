"""`faxhook dead`: dead letters on the command line, for people and scripts.

Exit codes: 0 all that matched is done or needs nothing more; 1 some stay dead (they failed, or their endpoint takes no
more); 65 a wrong id or a filter that matches nothing; 69 a store is away, or another process has the same letters; 70
our own code failed, the sentence says where.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Final, TypeVar

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dispatcher.ops.contradictions import contradiction, refuse_contradictions
from dispatcher.ops.dead.jobs.bodies import Job, Selection, What
from dispatcher.ops.dead.jobs.pace import RATE
from dispatcher.ops.dead.jobs.planner import nothing_matches
from dispatcher.ops.dead.letters import DeadFilter
from dispatcher.ops.dead.options import filtering, id_of, selection_of
from dispatcher.ops.dead.service import DeadLetterService, open_dead_letters
from dispatcher.ops.dead.text import print_detail, print_groups, print_job, print_letters, print_preview, verb
from dispatcher.ops.terminal import Json, Yes, confirm, console, fail, print_json, run, settings_of
from dispatcher.settings import DeadSettings
from shared.errors import EXIT_AWAY, EXIT_BAD_INPUT, EXIT_CRASHED
from shared.sql.connection import check_sessions

EXIT_SOME_LEFT: Final = 1
MOST_PER_LIST: Final = 1_000
ALL: Final = DeadFilter()
Value = TypeVar("Value")

app = typer.Typer(
    no_args_is_help=True, help="Show, replay or discard what was given up on, or could not be understood."
)

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of dead letters; or give a filter, or --all.")]
Everything = Annotated[bool, typer.Option("--all", help="Every dead letter there is; instead of ids and filters.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what it would do, and stop there.")]
Rate = Annotated[float, typer.Option(min=1.0, max=1_000.0, help="Letters a second, at most.")]


@app.command(name="list")
@filtering
def list_letters(
    context: typer.Context,
    wanted: DeadFilter,
    each: Annotated[bool, typer.Option("--each", help="Every letter on a line of its own.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MOST_PER_LIST, help="With --each: the latest so many.")] = 100,
    as_json: Json = False,
) -> None:
    """Show dead letters, grouped by what they died of, and what to do about each group."""
    refuse_contradictions(context, (), {"limit": "each"})
    if each:
        page = _run(lambda dead: dead.page(wanted, None, limit))
        if as_json:
            print_json(page)
        else:
            print_letters(page.items, is_cut=page.next is not None)
        return
    groups = _run(lambda dead: dead.groups(wanted))
    if as_json:
        print_json(groups)
    else:
        print_groups(groups.items)


@app.command()
def show(letter_id: Annotated[str, typer.Argument(help="A dead letter's id.")], as_json: Json = False) -> None:
    """Show one dead letter: what happened, what was tried, and what to do."""
    detail = _run(lambda dead: dead.show(letter_id))
    if as_json:
        print_json(detail)
    else:
        print_detail(detail)


@app.command()
@filtering
def replay(
    ids: Ids = None,
    wanted: DeadFilter = ALL,
    everything: Everything = False,
    to: Annotated[
        str | None, typer.Option(help="The endpoint that gets those of removed endpoints in their place, by its id.")
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    rate: Rate = RATE,
    as_json: Json = False,
) -> None:
    """Try again: deliveries get a new budget, callbacks and events go through the parser again.

    With --to, the dead deliveries of removed endpoints are owed to another one, in its format; others are left out.

    Shows first what it would do, and asks. If it is killed in the middle, a dispatcher goes on with it, or the same
    command does. Ends with 1 if some stay dead.
    """
    selection = selection_of(ids, wanted, everything)
    if to is not None:
        selection = msgspec.structs.replace(selection, to=id_of("--to", to))
    do_job("dead.replay", selection, None, yes=yes, dry_run=dry_run, rate=rate, as_json=as_json)


@app.command()
@filtering
def discard(
    ids: Ids = None,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit.")] = "",
    wanted: DeadFilter = ALL,
    everything: Everything = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give up for good, for a reason: it is never delivered.

    Shows first what it would do, and asks.
    """
    if not reason.strip() and not dry_run:
        fail("say why with --reason: it stays in the audit", EXIT_BAD_INPUT)
    selection = selection_of(ids, wanted, everything)
    do_job("dead.discard", selection, reason.strip(), yes=yes, dry_run=dry_run, rate=RATE, as_json=as_json)


def do_job(
    what: What, selection: Selection, reason: str | None, *, yes: bool, dry_run: bool, rate: float, as_json: bool
) -> None:
    """Show what it would do, ask, do it, and end with the exit code that says how that went."""
    if dry_run and yes:
        contradiction("--dry-run", "--yes", "--dry-run changes nothing")
    preview = _run(lambda dead: dead.planner.preview(what, selection))
    if dry_run and as_json:
        print_json(preview)
        return
    if not as_json:
        print_preview(preview)
    if not preview.matched and not dry_run:
        fail(f"{nothing_matches(what)}: nothing was changed", EXIT_BAD_INPUT)
    if dry_run:
        return
    if preview.count and not yes:
        confirm("", f"{verb(what)} {preview.count}?", as_json=as_json)
    job = _run(lambda dead: _follow(dead, what, selection, reason, quiet=as_json), rate=rate)
    if as_json:
        print_json(job)
    else:
        print_job(job)
    _end_by(job)


def _end_by(job: Job) -> None:
    """End with the exit code that says how *job* ended."""
    if job.finished_at is None and job.crash is None:
        fail(f"job {job.id} is not finished: a store went away; a dispatcher goes on, or this command", EXIT_AWAY)
    if job.finished_at is None:
        fail(f"job {job.id} is not finished: our own code failed, {job.crash}; a dispatcher tries again", EXIT_CRASHED)
    if job.state == "failed":
        fail(f"job {job.id} is given up: our own code failed, {job.crash}; what is left stays as it was", EXIT_CRASHED)
    stays = job.total - job.done - job.skipped_told - job.skipped_gone - job.skipped_taken
    if stays:
        raise typer.Exit(EXIT_SOME_LEFT)


async def _follow(dead: DeadLetterService, what: What, selection: Selection, reason: str | None, *, quiet: bool) -> Job:
    """Begin, show how it goes, and return the job when it is done, or stopped by Ctrl-C."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet, transient=True) as bar:
        task = bar.add_task(verb(what), total=None)

        async def progress(job: Job) -> None:
            bar.update(task, total=job.total, completed=job.total - job.left)

        job = await dead.jobs.begin(what, selection, who="cli", reason=reason, progress=progress)
        loop = asyncio.get_running_loop()
        stopping: set[asyncio.Task[Job]] = set()
        with suppress(NotImplementedError, RuntimeError, ValueError):  # not in a thread, not on every platform
            loop.add_signal_handler(
                signal.SIGINT, lambda: stopping.add(asyncio.create_task(dead.jobs.stop(job.id, who="cli")))
            )
        job = await dead.jobs.wait(job.id, None)
        if stopping:
            await asyncio.wait(stopping)
        return await dead.jobs.get(job.id)


def _run(ask: Callable[[DeadLetterService], Awaitable[Value]], rate: float = RATE) -> Value:
    settings = settings_of(DeadSettings)

    async def work() -> Value:
        await check_sessions(settings.database_url.reveal())
        async with open_dead_letters(settings, "faxhook dead", rate=rate) as dead:
            return await ask(dead)

    return run(work())
