"""`faxhook backfill`: ask a provider for faxes that no callback told, and tell them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from dispatcher.configuration.lists import Access
from dispatcher.egress.client import EgressClient
from dispatcher.lists import readings
from dispatcher.lists.apis.by_provider import list_api
from dispatcher.lists.client import ListClient
from dispatcher.lists.errors import ListUnavailable, NoList
from dispatcher.lists.reading import Reading
from dispatcher.lists.readings import MissingFax, Outcome, Tally
from dispatcher.lists.reconciler import STORES_AWAY, outcome_of
from dispatcher.ops.api.moments import HOW, BadMoment, read_span
from dispatcher.ops.terminal import Json, console, fail, print_json, run, settings_of
from dispatcher.publishing import late_publisher
from dispatcher.settings import DispatcherSettings
from shared.domain import Provider, utc_now
from shared.errors import EXIT_AWAY
from shared.media import MediaStore
from shared.sql.connection import check_sessions, connect

MOST_WINDOW: Final = timedelta(days=400)
"""As long as Sinch keeps documents."""

PARTLY: Final = 1
KEYS: Final = {
    Provider.TELNYX: "TELNYX_API_KEY is",
    Provider.PHAXIO: "PHAXIO_API_KEY and PHAXIO_API_KEY_SECRET are",
    Provider.SINCH: "SINCH_PROJECT_ID, SINCH_KEY_ID and SINCH_KEY_SECRET are",
}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, and told or only shown. `faxes` names at most a thousand of the missing.

    Attributes:
        restored: Of those known: their event had been deleted from the ledger, and is recorded again.
    """

    provider: Provider
    since: datetime
    until: datetime
    dry_run: bool
    outcome: Outcome
    reason: str
    seen: int
    under_way: int
    early: int
    known: int
    missing: int
    postponed: int
    without_document: int
    unreadable: int
    restored: int
    faxes: list[MissingFax]


def backfill_command(
    provider: Annotated[Provider, typer.Argument(help="Whose list: telnyx, phaxio or sinch.")],
    since: Annotated[str, typer.Option(help=f"Faxes created from then on: {HOW}.")],
    until: Annotated[str | None, typer.Option(help="Before when, in the same notation; else until now.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is missing.")] = False,
    as_json: Json = False,
) -> None:
    """Take in the faxes that a provider finished and no callback reported. Once too often does no harm.

    Wants the dispatcher's settings, and the provider's API key. Ends with 1 if a part is left to be done.
    """
    settings = settings_of(DispatcherSettings)
    report, exit_code = run(_backfill(settings, provider, since, until, dry_run=dry_run))
    if as_json:
        print_json(report)
    else:
        _show(report)
    if report.outcome == "failed":
        fail(report.reason, exit_code)
    if report.outcome == "partly":
        raise typer.Exit(PARTLY)


def window_of(since: str, until: str | None, now: datetime) -> tuple[datetime, datetime]:
    """Return the window that the options name.

    Raises:
        BadMoment: They name none, one that lies in the future, or one that is too long.
    """
    start, end = read_span(since, until, now)
    assert start is not None, "--since is always given"
    if start >= now:
        raise BadMoment("since", since, f"lies in the future: it is {now:%Y-%m-%dT%H:%M:%SZ} here")
    end = now if end is None else min(end, now)
    if end - start > MOST_WINDOW:
        raise BadMoment("since", since, f"is too long before until: at most {MOST_WINDOW.days} days at once")
    return start, end


async def _backfill(
    settings: DispatcherSettings, provider: Provider, since: str, until: str | None, *, dry_run: bool
) -> tuple[Report, int]:
    read_span(since, until, utc_now())
    wanted = settings.reconciliation()
    access = _access_of(provider, wanted.accesses)
    client = EgressClient(settings.allowed_networks(), settings.proxy())
    await check_sessions(settings.database_url.reveal())
    connection = await connect(settings.database_url.reveal(), session_settings={})
    try:
        lists = ListClient(client, list_api(access))
        start, end = window_of(since, until, utc_now() + await _clock_ahead(lists))
        with _progress(provider) as show:
            async with late_publisher(settings.for_operations()) as publisher:
                reading_id = progress = None
                if not dry_run:
                    reading_id = await readings.begin(connection, provider, start, end, is_standing=False)
                    progress = readings.Progress(connection, reading_id)

                async def note(tally: Tally) -> None:
                    show(tally)
                    if progress is not None:
                        await progress.note(tally)

                media = MediaStore(settings.media_url)
                stores = (connection, None if dry_run else publisher, media)
                reading = Reading(lists, *stores, wanted.grace_seconds, note, restores=True)
                outcome, reason, exit_code = await _outcome(reading, lists, start, end)
                if reading_id is not None:
                    await readings.progress(connection, reading_id, reading.tally)
                    await readings.finish(connection, reading_id, outcome, reason or None)
    finally:
        await connection.close()
        await client.close()
    return _report(provider, (start, end), reading, outcome, reason, dry_run=dry_run), exit_code


async def _clock_ahead(client: ListClient) -> timedelta:
    """Return by how much the provider's clock is ahead; nothing if it does not answer: the reading will say so."""
    try:
        return await client.learn_clock()
    except ListUnavailable:
        return timedelta(0)


async def _outcome(reading: Reading, client: ListClient, since: datetime, until: datetime) -> tuple[Outcome, str, int]:
    """Read; return how it went, in a sentence, and the exit code of a failure."""
    try:
        await reading.run(since, until)
    except ListUnavailable as error:
        return "failed", f"{error}. What was taken in stays so: run it again, it goes on", error.exit_code
    except STORES_AWAY as error:
        return "failed", f"{error}. What was taken in stays so: run it again, it goes on", EXIT_AWAY
    outcome, reason = outcome_of(reading.tally, client, reading.beside)
    return outcome, reason, 0


def _access_of(provider: Provider, accesses: tuple[Access, ...]) -> Access:
    if provider is Provider.ASTERISK:
        raise NoList("an Asterisk has no list to ask: its reporter keeps a journal, see deploy/asterisk")
    for access in accesses:
        if access.provider is provider:
            return access
    raise NoList(f"{KEYS[provider]} not set: without a key {provider} cannot be asked")


def _report(
    provider: Provider,
    window: tuple[datetime, datetime],
    reading: Reading,
    outcome: Outcome,
    reason: str,
    *,
    dry_run: bool,
) -> Report:
    tally: dict[str, Any] = msgspec.structs.asdict(reading.tally)
    counts = {name: tally[name] for name in Report.__struct_fields__ if name in tally}
    return Report(
        provider=provider,
        since=window[0],
        until=window[1],
        dry_run=dry_run,
        outcome=outcome,
        reason=reason,
        faxes=reading.missing,
        restored=reading.restored,
        **counts,
    )


@contextmanager
def _progress(provider: Provider) -> Iterator[Any]:
    """Yield what shows a tally; on stderr, and only on a terminal."""
    bar_console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=bar_console, disable=not bar_console.is_terminal, transient=True) as progress:
        task = progress.add_task(f"asking {provider}")

        def show(tally: Tally) -> None:
            progress.update(task, description=f"asking {provider}: {tally.seen} faxes, {tally.missing} missing")

        yield show


def _show(report: Report) -> None:
    if report.faxes:
        table = Table("fax", "type", "ended at", "event")
        for each in report.faxes:
            ended = "" if each.occurred_at is None else f"{each.occurred_at:%Y-%m-%d %H:%M:%SZ}"
            table.add_row(each.fax_id, each.type, ended, each.event_id)
        console.print(table)
    for sentence in sentences(report):
        console.print(sentence, soft_wrap=True)


def sentences(report: Report) -> list[str]:
    """Return what a person wants to know, the most important first."""
    told = "would be delivered" if report.dry_run else "are delivered now"
    said = [
        f"{report.missing} of {report.seen} faxes were missing, and {told}",
        f"{report.known} are known, {report.under_way} under way, {report.early} ended too lately to be missing",
    ]
    if report.restored:
        are = "would be" if report.dry_run else "are"
        said.append(
            f"{report.restored} events had been deleted from the ledger, and {are} recorded again, not delivered again"
        )
    if report.without_document:
        said.append(f"{report.without_document} go without their document: {report.provider} does not give it")
    if report.reason and report.outcome != "failed":
        said.append(report.reason)
    return said
