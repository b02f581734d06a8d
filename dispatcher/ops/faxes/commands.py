"""`faxhook faxes`: what happened to a fax, and why an endpoint did not get its events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dispatcher.ledger.pool import open_command_pool
from dispatcher.ops.api.cursor import read_pages
from dispatcher.ops.api.moments import HOW
from dispatcher.ops.contradictions import contradiction
from dispatcher.ops.faxes.bodies import FaxInList, FaxStory
from dispatcher.ops.faxes.explain import in_words, webhooks_in_words
from dispatcher.ops.faxes.lists.queries import ENDINGS, FaxQuery
from dispatcher.ops.faxes.reader import FaxReader
from dispatcher.ops.faxes.timeline import Moment, timeline
from dispatcher.ops.terminal import Json, console, print_json, read_options, run, settings_of
from dispatcher.ops.words import clock, counted, duration, printable
from dispatcher.settings import LedgerSettings
from shared.domain import Provider, utc_now
from shared.errors import FaxhookError

app = typer.Typer(no_args_is_help=True, help="Show what happened to a fax, and why an endpoint did not get its events.")

STYLES: Final = {"plain": "", "good": "green", "bad": "red", "waiting": "yellow", "faint": "dim"}
DETAIL_LINES: Final = 5
"""Shown of a receiver's answer; `--json` has all that was kept."""


class NotFound(FaxhookError):
    """An id that the ledger does not hold, or that several faxes have."""

    code = "not_found"


@app.command(name="show")
def show_fax(
    text: Annotated[
        str, typer.Argument(metavar="ID", help="PROVIDER:FAX_ID, or the id of a fax, event, delivery or job.")
    ],
    as_json: Json = False,
) -> None:
    """Show a fax's story: every event, delivery and attempt in time order; which endpoints got nothing, and why."""

    async def work() -> FaxStory:
        async with _opened() as reader:
            return await find_story(reader, text)

    story = run(work())
    if as_json:
        print_json(story)
    else:
        _print_story(story)


@app.command(name="list")
def list_faxes(
    provider: Annotated[str | None, typer.Option(help=f"One of {', '.join(Provider)}.")] = None,
    direction: Annotated[str | None, typer.Option(help="One of sent, received.")] = None,
    state: Annotated[
        str | None,
        typer.Option(
            help="Its state: the type of its decisive event, e.g. fax.failed; fax.stalled: no ending for too long."
        ),
    ] = None,
    failed: Annotated[
        bool | None, typer.Option("--failed/--not-failed", help="Only those that failed, or only the others.")
    ] = None,
    failure: Annotated[
        str | None, typer.Option(help="Only those that failed with this type or code, as the provider names it.")
    ] = None,
    webhooks: Annotated[
        str | None, typer.Option(help="Only those with webhooks that are dead, or failing: dead or retried.")
    ] = None,
    number: Annotated[
        str | None, typer.Option(help="Either side's number, in any notation or by its last digits.")
    ] = None,
    job_id: Annotated[str | None, typer.Option(help="The job_id that the application gave.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="The id of an endpoint that is owed it, or was.")] = None,
    since: Annotated[str | None, typer.Option(help=f"From when on: {HOW}.")] = None,
    until: Annotated[str | None, typer.Option(help="Before when, in the same notation.")] = None,
    conflicting: Annotated[
        bool | None,
        typer.Option(
            "--conflicting/--agreeing", help="Only those whose events report different endings, or only the others."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """Show faxes, the newest first."""
    given = {
        "provider": provider,
        "direction": direction,
        "state": state,
        "failed": failed,
        "failure": failure,
        "webhooks": webhooks,
        "number": number,
        "job_id": job_id,
        "endpoint_id": endpoint,
        "since": since,
        "until": until,
        "conflicting": conflicting,
    }
    query = _query(given)
    if query.direction is not None and query.state in ENDINGS and ENDINGS[query.state] != query.direction:
        contradiction(
            f"--direction {direction}", f"--state {state}", f"that is the state of a {ENDINGS[query.state]} fax"
        )

    async def work() -> tuple[list[FaxInList], str | None]:
        async with _opened() as reader:
            return await read_pages(reader.faxes, query, limit)

    found, cursor = run(work())
    if as_json:
        print_json({"items": found, "next": cursor})
        return
    if not found:
        console.print("no fax matches" if any(each is not None for each in given.values()) else "no fax yet")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("fax", "direction", "state", "why", "webhooks", "from", "to", "pages", "received"):
        table.add_column(name, overflow="fold")
    for fax in found:
        table.add_row(
            Text(printable(f"{fax.provider}:{fax.fax_id}")),
            fax.direction,
            Text(_state(fax)),
            Text(printable(in_words(fax.failure))),
            Text(webhooks_in_words(fax.webhooks), style="red" if fax.webhooks.dead else ""),
            Text(printable(fax.from_number or "")),
            Text(printable(fax.to_number or "")),
            "" if fax.pages is None else str(fax.pages),
            clock(fax.first_received_at),
        )
    console.print(table)


def _state(fax: FaxInList) -> str:
    notes = ["conflicting"] if fax.conflicting else []
    notes += ["stalled"] if fax.stalled_at is not None else []
    return f"{fax.state} ({', '.join(notes)})" if notes else fax.state


def _query(given: dict[str, Any]) -> FaxQuery:
    named = {name: value for name, value in given.items() if value is not None}
    return read_options(named, FaxQuery)


@asynccontextmanager
async def _opened() -> AsyncIterator[FaxReader]:
    pool = await open_command_pool(settings_of(LedgerSettings).database_url.reveal(), size=1)
    try:
        yield FaxReader(pool)
    finally:
        await pool.close()


async def find_story(reader: FaxReader, text: str) -> FaxStory:
    """Return the story of the fax that *text* means: PROVIDER:FAX_ID, or the id of a fax, event, delivery or job.

    Raises:
        NotFound: It means none, or several.
    """
    provider, fax_id = await _the_fax(reader, text)
    story = await reader.story(provider, fax_id)
    if story is None:  # pruned between the two questions
        raise NotFound(f"nothing is known of {provider}:{fax_id}")
    return story


async def _the_fax(reader: FaxReader, text: str) -> tuple[Provider, str]:
    found = await reader.find(text.strip()) if "\0" not in text else []
    if not found:
        raise NotFound(
            f"there is no fax, event, delivery or job `{printable(text)}` in the ledger; a fax is PROVIDER:FAX_ID, "
            "and `faxhook faxes list` shows the newest"
        )
    if len(found) > 1:
        raise NotFound(
            f"`{printable(text)}` may mean {', '.join(printable(':'.join(each)) for each in found)}: name one"
        )
    return found[0]


def _print_story(story: FaxStory) -> None:
    now = utc_now()
    console.print(Text(printable(f"{story.provider}:{story.fax_id}"), style="bold"), soft_wrap=True)
    console.print(Text(printable(story.summary)), soft_wrap=True)
    numbers = " → ".join(each or "?" for each in (story.from_number, story.to_number))
    facts = [story.direction, numbers, "" if story.pages is None else counted(story.pages, "page")]
    facts += [f"job {story.job_id}"] if story.job_id else []
    console.print(Text(printable(", ".join(each for each in facts if each))), soft_wrap=True)
    console.print()
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold", ratio=1)
    day = None
    for each in timeline(story, now):
        if each.at.date() != day:
            day = each.at.date()
            table.add_row(Text(f"{day:%Y-%m-%d} UTC", style="bold"), "", "")
        table.add_row(f"{each.at:%H:%M:%S}.{each.at.microsecond // 1000:03}", f"+{duration(each.seconds)}", _line(each))
    console.print(table)
    if story.untold:
        console.print("\nendpoints that are owed nothing of it:")
        for untold in story.untold:
            line = Text(printable(untold.endpoint_url), style="bold")
            console.print(Padding(line.append(f"  {untold.why}", style="not bold"), (0, 0, 0, 2)))
    if story.is_cut:
        console.print("\nnot everything is shown: GET /v1/events and /v1/deliveries have the rest")


def _line(each: Moment) -> Text:
    line = Text(printable(each.what), style=STYLES[each.tone])
    if each.to is not None:
        line.append(f"\n→ {printable(each.to)}", style="dim")
    lines = each.detail.splitlines()
    for detail in lines[:DETAIL_LINES]:
        line.append(f"\n  {printable(detail)}", style="dim")
    if len(lines) > DETAIL_LINES:
        line.append(f"\n  … {len(lines) - DETAIL_LINES} lines more", style="dim")
    return line
