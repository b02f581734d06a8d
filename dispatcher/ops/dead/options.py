"""Which letters the options of `faxhook dead` mean."""

import re
from typing import Annotated, Final

import msgspec
import typer

from dispatcher.ops.dead.jobs.bodies import Selection
from dispatcher.ops.dead.letters import KINDS, DeadFilter
from dispatcher.ops.terminal import fail
from shared.domain import Provider
from shared.errors import EXIT_BAD_INPUT

_UNIT_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}

Kind = Annotated[str | None, typer.Option(help=f"One of {', '.join(KINDS)}.")]
Endpoint = Annotated[str | None, typer.Option("--endpoint", help="An endpoint's id.")]
OfProvider = Annotated[str | None, typer.Option("--provider", help=f"One of {', '.join(Provider)}.")]
Cause = Annotated[str | None, typer.Option(help="A group's key or a code, as `dead list` shows them: http_5xx, tls.")]
EventType = Annotated[str | None, typer.Option("--type", help="Of the event, e.g. fax.delivered.")]
OfEvent = Annotated[str | None, typer.Option("--event", help="An event's id.")]
Older = Annotated[str | None, typer.Option("--older-than", help="Died at least so long ago: 90s, 30m, 6h, 2d.")]
Younger = Annotated[str | None, typer.Option("--younger-than", help="Died at most so long ago.")]


def filter_of(
    kind: str | None,
    endpoint: str | None,
    provider: str | None,
    cause: str | None,
    event_type: str | None,
    event: str | None,
    older_than: str | None,
    younger_than: str | None,
) -> DeadFilter:
    """Return the filter that the options are; end with a sentence if they are none."""
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


def selection_of(ids: list[str] | None, wanted: DeadFilter, everything: bool) -> Selection:
    """Return what was chosen, by ids or by a filter; end with a sentence if it was neither."""
    is_filtered = wanted != DeadFilter()
    if ids and (is_filtered or everything):
        fail("name ids or a filter, not both", EXIT_BAD_INPUT)
    if ids:
        return Selection(ids=tuple(sorted(set(ids))))
    if not is_filtered and not everything:
        fail("say which: ids, a filter (see --help), or --all", EXIT_BAD_INPUT)
    return Selection(filter=wanted)
