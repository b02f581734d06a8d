"""`faxhook dead`: dead letters on the command line, by hand or by scripts.

Exit codes: 0 all that matched is done or needs nothing more; 1 some stay dead (they failed, or their endpoint takes no
more); 65 a wrong id or a filter that matches nothing; 69 a store is away, or another person is at the same; 70 our own
code failed, the sentence says where.
"""

import asyncio
import logging
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import msgspec
import structlog
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dispatcher.ops.dead.letters import (
    KINDS,
    DeadFilter,
    DeadGroup,
    DeadLetter,
    DeadLetterDetail,
    Job,
    ReplayPreview,
    Selection,
    TakenByAnother,
    What,
)
from dispatcher.ops.dead.opened import opened
from dispatcher.ops.dead.pace import RATE
from dispatcher.ops.dead.service import DeadLetterService
from dispatcher.ops.exits import EXIT_AWAY, EXIT_BAD_INPUT, EXIT_CRASHED, fail
from dispatcher.ops.terminal import Json, console, print_json, run, settings_of
from dispatcher.settings import DeadSettings
from shared.amqp import ConnectionLost
from shared.domain import Provider, utc_now

EXIT_SOME_LEFT: Final = 1
SHOWN_ENDPOINTS: Final = 8
MOST_PER_LIST: Final = 1_000
_UNIT_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
Value = TypeVar("Value")

app = typer.Typer(no_args_is_help=True, help="What was given up on or could not be understood.")

Kind = Annotated[str | None, typer.Option(help=f"One of {', '.join(KINDS)}.")]
Endpoint = Annotated[str | None, typer.Option("--endpoint", help="An endpoint's id.")]
OfProvider = Annotated[str | None, typer.Option("--provider", help=f"One of {', '.join(Provider)}.")]
Cause = Annotated[str | None, typer.Option(help="A group's key or a code, as `dead list` shows them: http_5xx, tls.")]
EventType = Annotated[str | None, typer.Option("--type", help="Of the event, e.g. fax.delivered.")]
OfEvent = Annotated[str | None, typer.Option("--event", help="An event's id.")]
Older = Annotated[str | None, typer.Option("--older-than", help="Died at least so long ago: 90s, 30m, 6h, 2d.")]
Younger = Annotated[str | None, typer.Option("--younger-than", help="Died at most so long ago.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of dead letters; or name a filter.")]
Everything = Annotated[bool, typer.Option("--all", help="Every dead letter, where no id and no filter is named.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what it would do, and stop there.")]
Rate = Annotated[float, typer.Option(min=1.0, max=1_000.0, help="Letters a second, at most.")]


@app.command(name="list")
def list_letters(
    kind: Kind = None,
    endpoint: Endpoint = None,
    provider: OfProvider = None,
    cause: Cause = None,
    event_type: EventType = None,
    event: OfEvent = None,
    older_than: Older = None,
    younger_than: Younger = None,
    each: Annotated[bool, typer.Option("--each", help="Every letter on a line of its own.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=MOST_PER_LIST, help="With --each: the latest so many.")] = 100,
    as_json: Json = False,
) -> None:
    """Show dead letters, grouped by what they died of."""
    wanted = _filter(kind, endpoint, provider, cause, event_type, event, older_than, younger_than)
    if each:
        page = _run(lambda dead: dead.page(wanted, None, limit))
        if as_json:
            print_json(page)
        else:
            _print_letters(page.items, is_cut=page.next is not None)
        return
    groups = _run(lambda dead: dead.groups(wanted))
    if as_json:
        print_json(groups)
    else:
        _print_groups(groups.items)


@app.command()
def show(letter_id: Annotated[str, typer.Argument(help="A dead letter's id.")], as_json: Json = False) -> None:
    """Show one dead letter: what happened, what was tried, what to do."""
    detail = _run(lambda dead: dead.show(letter_id))
    if as_json:
        print_json(detail)
    else:
        _print_detail(detail)


@app.command()
def replay(
    ids: Ids = None,
    kind: Kind = None,
    endpoint: Endpoint = None,
    provider: OfProvider = None,
    cause: Cause = None,
    event_type: EventType = None,
    event: OfEvent = None,
    older_than: Older = None,
    younger_than: Younger = None,
    everything: Everything = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    rate: Rate = RATE,
    as_json: Json = False,
) -> None:
    """Try again: deliveries get a new budget, callbacks and events go through the parser again.

    Shows first what it would do, and asks. Killed in the middle, a dispatcher goes on with it; or the same command.
    """
    wanted = _filter(kind, endpoint, provider, cause, event_type, event, older_than, younger_than)
    _do("dead.replay", _selection(ids, wanted, everything), None, yes=yes, dry_run=dry_run, rate=rate, as_json=as_json)


@app.command()
def discard(
    ids: Ids = None,
    reason: Annotated[str, typer.Option(help="Why; it stays in the audit.")] = "",
    kind: Kind = None,
    endpoint: Endpoint = None,
    provider: OfProvider = None,
    cause: Cause = None,
    event_type: EventType = None,
    event: OfEvent = None,
    older_than: Older = None,
    younger_than: Younger = None,
    everything: Everything = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give up for good, for a reason: nobody will be told."""
    if not reason.strip() and not dry_run:
        fail("say why with --reason: it stays in the audit", EXIT_BAD_INPUT)
    wanted = _filter(kind, endpoint, provider, cause, event_type, event, older_than, younger_than)
    selection = _selection(ids, wanted, everything)
    _do("dead.discard", selection, reason.strip(), yes=yes, dry_run=dry_run, rate=RATE, as_json=as_json)


# ---- Doing -----------------------------------------------------------------------------------------------------------


def _do(
    what: What, selection: Selection, reason: str | None, *, yes: bool, dry_run: bool, rate: float, as_json: bool
) -> None:
    preview = _run(lambda dead: dead.preview(what, selection))
    if dry_run and as_json:
        print_json(preview)
        return
    if not as_json:
        _print_preview(preview)
    if not preview.matched and not dry_run:
        fail("no dead letter matches: nothing was changed", EXIT_BAD_INPUT)
    if dry_run:
        return
    if preview.count and not yes:
        _ask(f"{_verb(what)} {preview.count}?", as_json=as_json)
    job = _run(lambda dead: _followed(dead, what, selection, reason, quiet=as_json), rate=rate)
    if as_json:
        print_json(job)
    else:
        _print_job(job)
    _end_by(job)


def _end_by(job: Job) -> None:
    """End with the exit code that says how *job* ended."""
    if job.finished_at is None and job.crash is None:
        fail(f"job {job.id} is not finished: a store went away; a dispatcher goes on, or this command", EXIT_AWAY)
    if job.finished_at is None:
        fail(f"job {job.id} is not finished: our own code failed, {job.crash}; a dispatcher tries again", EXIT_CRASHED)
    if job.state == "failed":
        fail(f"job {job.id} is given up: our own code failed, {job.crash}; what is left stays dead", EXIT_CRASHED)
    if job.failed or job.skipped_endpoint or job.left:
        raise typer.Exit(EXIT_SOME_LEFT)


def _ask(question: str, *, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        fail("nobody is here to ask: say --yes", EXIT_BAD_INPUT)
    if not typer.confirm(question):
        fail("nothing was changed", EXIT_SOME_LEFT)


async def _followed(
    dead: DeadLetterService, what: What, selection: Selection, reason: str | None, *, quiet: bool
) -> Job:
    """Begin, show how it goes, and return the job when it is done, or stopped by Ctrl-C."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet, transient=True) as bar:
        task = bar.add_task(_verb(what), total=None)

        async def progress(job: Job) -> None:
            bar.update(task, total=job.total, completed=job.total - job.left)

        job = await dead.begin(what, selection, who="cli", reason=reason, progress=progress)
        loop = asyncio.get_running_loop()
        stopping: set[asyncio.Task[Job]] = set()
        with suppress(NotImplementedError, RuntimeError, ValueError):  # not in a thread, not on every platform
            loop.add_signal_handler(signal.SIGINT, lambda: stopping.add(asyncio.create_task(_stop(dead, job.id))))
        job = await dead.wait(job.id, None)
        if stopping:
            await asyncio.wait(stopping)
        return await dead.job(job.id)


async def _stop(dead: DeadLetterService, job_id: UUID) -> Job:
    return await dead.stop(job_id, who="cli")


def _run(ask: Callable[[DeadLetterService], Awaitable[Value]], rate: float = RATE) -> Value:
    settings = settings_of(DeadSettings)
    if not structlog.is_configured():
        # What the services' code under us logs must not stand between the lines for people.
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )

    async def work() -> Value:
        async with opened(settings, "faxhook dead", rate=rate) as dead:
            return await ask(dead)

    return run(_with_exits(work()))


async def _with_exits(work: Coroutine[Any, Any, Value]) -> Value:
    try:
        return await work
    except TakenByAnother as error:
        fail(str(error), EXIT_AWAY)
    except ConnectionLost as error:
        fail(f"the broker does not answer: {error}", EXIT_AWAY)


# ---- Asking ----------------------------------------------------------------------------------------------------------


def _filter(
    kind: str | None,
    endpoint: str | None,
    provider: str | None,
    cause: str | None,
    event_type: str | None,
    event: str | None,
    older_than: str | None,
    younger_than: str | None,
) -> DeadFilter:
    given = {
        "kind": kind,
        "endpoint_id": endpoint,
        "provider": provider,
        "cause": cause,
        "type": event_type,
        "event_id": event,
        "older_than_seconds": _seconds("--older-than", older_than),
        "younger_than_seconds": _seconds("--younger-than", younger_than),
    }
    try:
        return msgspec.convert({name: value for name, value in given.items() if value is not None}, type=DeadFilter)
    except msgspec.ValidationError as error:
        fail(f"no such filter: {error}", EXIT_BAD_INPUT)


def _seconds(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])", text.strip(), re.ASCII)
    if match is None:
        fail(f"{option} wants a number with s, m, h or d, like 90s or 2d; not `{text}`", EXIT_BAD_INPUT)
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def _selection(ids: list[str] | None, wanted: DeadFilter, everything: bool) -> Selection:
    is_filtered = wanted != DeadFilter()
    if ids and (is_filtered or everything):
        fail("name ids or a filter, not both", EXIT_BAD_INPUT)
    if ids:
        return Selection(ids=tuple(sorted(set(ids))))
    if not is_filtered and not everything:
        fail("say which: ids, a filter (see --help), or --all", EXIT_BAD_INPUT)
    return Selection(filter=wanted)


# ---- Showing ---------------------------------------------------------------------------------------------------------


def _verb(what: What) -> str:
    return "replay" if what == "dead.replay" else "discard"


def _print_groups(groups: list[DeadGroup]) -> None:
    if not groups:
        console.print("no dead letters")
        return
    table = Table(show_lines=False)
    table.add_column("count", justify="right", min_width=5)
    table.add_column("cause", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("endpoints", justify="right", min_width=9)
    table.add_column("died")
    table.add_column("an example", no_wrap=True)
    for group in groups:
        table.add_row(
            str(group.count),
            group.cause,
            f"{group.kind}: {group.title}",
            str(group.endpoints or ""),
            _span(group.oldest, group.newest),
            group.example.id,
        )
    console.print(table)
    for group in groups:
        console.print(f"[bold]{group.cause}:[/bold] {group.hint}", highlight=False)


def _print_letters(letters: list[DeadLetter], *, is_cut: bool) -> None:
    if not letters:
        console.print("no dead letters")
        return
    table = Table()
    for name in ("id", "cause", "event", "died"):
        table.add_column(name, no_wrap=name != "event", overflow="fold")
    for letter in letters:
        what = " ".join(filter(None, (letter.type, letter.event_id))) or letter.provider or ""
        table.add_row(letter.id, f"{letter.kind}: {letter.cause}", what, _ago(letter.died_at))
    console.print(table)
    if is_cut:
        console.print(f"and more: these are the latest {len(letters)}")


def _print_detail(detail: DeadLetterDetail) -> None:
    letter = detail.letter
    console.print(f"[bold]{letter.kind} {letter.id}[/bold]", highlight=False)
    rows = {
        "died of": f"{letter.cause}: {detail.title}",
        "reason": letter.reason,
        "died": f"{_ago(letter.died_at)} ({letter.died_at:%Y-%m-%d %H:%M:%S} UTC)" if letter.died_at else "unknown",
        "event": " ".join(filter(None, (letter.type, letter.event_id))),
        "fax": " ".join(filter(None, (letter.provider, letter.fax_id))),
        "endpoint": _endpoint(detail),
        "what to do": detail.hint,
    }
    for name, value in rows.items():
        if value:
            console.print(f"{name:>10}  {value}", highlight=False, markup=False)
    for attempt in detail.attempts:
        status = f"answered {attempt.http_status}" if attempt.http_status else attempt.error or attempt.outcome
        console.print(
            f"{'attempt':>10}  {attempt.number} at {attempt.started_at:%Y-%m-%d %H:%M:%S}, {attempt.seconds:.3f} s: "
            f"{status} {attempt.answer[:200]!r}",
            highlight=False,
            markup=False,
        )
    if detail.message is not None:
        console.print(msgspec.json.format(msgspec.json.encode(detail.message), indent=2).decode(), markup=False)


def _endpoint(detail: DeadLetterDetail) -> str:
    if detail.letter.endpoint_id is None:
        return ""
    state = "" if detail.is_endpoint_ready else " (takes no more: disabled or removed)"
    return f"{detail.letter.endpoint_id} {detail.endpoint_url or ''}{state}"


def _print_preview(preview: ReplayPreview) -> None:
    console.print(f"{preview.matched} match; to {_verb(preview.what)}: {preview.count}", highlight=False)
    for each in preview.endpoints[:SHOWN_ENDPOINTS]:
        console.print(f"{each.count:>8}  {each.url}  {each.endpoint_id}", highlight=False, markup=False)
    if len(preview.endpoints) > SHOWN_ENDPOINTS:
        rest = preview.endpoints[SHOWN_ENDPOINTS:]
        console.print(f"{sum(each.count for each in rest):>8}  to {len(rest)} more endpoints", highlight=False)
    for kind, count in preview.kinds.items():
        if kind != "delivery":
            console.print(f"{count:>8}  {kind}{'s' if count > 1 else ''}", highlight=False)
    for count, why in _skipped(preview):
        console.print(f"{count:>8}  skipped: {why}", highlight=False)


def _print_job(job: Job) -> None:
    done = "replayed" if job.what == "dead.replay" else "discarded"
    console.print(f"{job.done} of {job.total} {done} in {job.seconds:.1f} s (job {job.id})", highlight=False)
    for count, why in _skipped(job):
        console.print(f"{count:>8}  skipped: {why}", highlight=False)
    if job.failed:
        console.print(f"{job.failed:>8}  stay dead:", highlight=False)
        for failure in job.failures:
            console.print(f"{'':>10}{failure.id}: {failure.reason}", highlight=False, markup=False)
    if job.left:
        console.print(f"{job.left:>8}  left as they were: {job.state}", highlight=False)


def _skipped(counts: ReplayPreview | Job) -> list[tuple[int, str]]:
    said = (
        (counts.skipped_told, "told meanwhile"),
        (counts.skipped_gone, "dead no longer: replayed or discarded meanwhile"),
        (counts.skipped_taken, "another job is at them"),
        (counts.skipped_endpoint, "their endpoint is disabled or removed: enable it first, or discard"),
    )
    return [(count, why) for count, why in said if count]


def _ago(time: datetime | None) -> str:
    if time is None:
        return ""
    seconds = max(0.0, (utc_now() - time).total_seconds())
    for unit, length in (("d", 86_400.0), ("h", 3_600.0), ("m", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit} ago"
    return f"{seconds:.0f}s ago"


def _span(oldest: datetime | None, newest: datetime | None) -> str:
    first, last = _ago(oldest), _ago(newest)
    return first if first == last else f"{first.removesuffix(' ago')} to {last}"
