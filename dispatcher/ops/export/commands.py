"""`faxhook export LIST`: every row of a list that matches, as CSV or NDJSON, to stdout."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, Final

import msgspec
import typer

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.pool import Pool, open_command_pool
from dispatcher.ops.api.audit import CLI, write_audit
from dispatcher.ops.api.bad_fields import wrong_field
from dispatcher.ops.dead.service import open_dead_letters
from dispatcher.ops.export import rows
from dispatcher.ops.export.lists import ExportedList, exported_lists
from dispatcher.ops.faxes.reader import FaxReader
from dispatcher.ops.terminal import fail, run, settings_of
from dispatcher.settings import DeadSettings, EndpointSettings, LedgerSettings
from shared.errors import EXIT_BAD_INPUT
from shared.sentences.bad_values import unknown

LISTS: Final = ("faxes", "events", "deliveries", "attempts", "dead-letters", "endpoints", "accounts", "audit")


def export_command(
    name: Annotated[str, typer.Argument(metavar="LIST", help=f"One of {', '.join(LISTS)}.")],
    filters: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="As in the API's list: state=fax.failed, endpoint_id=…"),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV; without it NDJSON, a JSON object a line.")] = False,
) -> None:
    """Write every row of a list that matches to stdout. The last line says that it is whole, and how many rows it has.

    What is cut off lacks that line, and the command ends with another code than 0.
    """
    if name not in LISTS:
        fail(f"LIST: {unknown(name, LISTS)}", EXIT_BAD_INPUT)
    given = _given(filters or [])

    async def work() -> None:
        async with _opened(name) as (exported, pool):
            asked = _asked({**given, "format": "csv" if as_csv else "ndjson"}, exported.asked)
            await write_audit(pool, CLI, "list.exported", name, given)
            await _write(exported, asked)

    run(work())


def _given(filters: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for each in filters:
        name, equals, value = each.partition("=")
        if not equals or not name:
            fail(f"`{each[:60]}` is no filter: write NAME=VALUE", EXIT_BAD_INPUT)
        if name in given:
            fail(f"{name}: was given twice", EXIT_BAD_INPUT)
        given[name] = value
    if "format" in given:
        fail("format: say --csv, or nothing for NDJSON", EXIT_BAD_INPUT)
    return given


def _asked(given: dict[str, str], kind: type[msgspec.Struct]) -> Any:
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        field, reason = wrong_field(error, kind)
        fail(f"{field}: {reason}", EXIT_BAD_INPUT)


@asynccontextmanager
async def _opened(name: str) -> AsyncIterator[tuple[ExportedList, Pool]]:
    """Yield the list with the stores that it needs, and no others."""
    async with AsyncExitStack() as stack:
        pool = await open_command_pool(settings_of(LedgerSettings).database_url.reveal(), size=2)
        stack.push_async_callback(pool.close)
        store, dead = None, None
        if name == "endpoints":
            store = EndpointStore(settings_of(EndpointSettings).seal())
        elif name == "dead-letters":
            dead = await stack.enter_async_context(open_dead_letters(settings_of(DeadSettings), "faxhook export"))
        yield exported_lists(pool, store, FaxReader(pool), dead)[name], pool


async def _write(exported: ExportedList, asked: Any) -> None:
    out, count = sys.stdout.buffer, 0
    out.write(rows.head(asked.format, exported.item))
    async for items in exported.pages(asked):
        out.write(rows.rows(asked.format, items))
        count += len(items)
    out.write(rows.end(asked.format, count))
    out.flush()
