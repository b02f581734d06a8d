"""The options of `faxhook dead` that select letters."""

import inspect
import re
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from dispatcher.ops.api.moments import HOW, BadMoment, read_moment
from dispatcher.ops.contradictions import contradiction
from dispatcher.ops.dead.jobs.bodies import Selection
from dispatcher.ops.dead.letters import KINDS, DeadFilter
from dispatcher.ops.terminal import fail, read_options
from shared.domain import Provider
from shared.errors import EXIT_BAD_INPUT
from shared.ids import parse_uuid

_OPTION_NAMES: Final = {
    "endpoint_id": "--endpoint",
    "event_id": "--event",
    "fax_id": "--fax",
    "job_id": "--job-id",
    "older_than_seconds": "--older-than",
    "younger_than_seconds": "--younger-than",
}

_UNIT_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def _filter_of(
    kind: Annotated[str | None, typer.Option(help=f"One of {', '.join(KINDS)}.")] = None,
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="An endpoint's id.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help=f"One of {', '.join(Provider)}.")] = None,
    cause: Annotated[
        str | None, typer.Option(help="A group's key or a code, as `dead list` shows them: http_5xx, tls.")
    ] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Of the event, e.g. fax.delivered.")] = None,
    event: Annotated[str | None, typer.Option("--event", help="An event's id.")] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", help="Died at least so long ago: 90s, 30m, 6h, 2d.")
    ] = None,
    younger_than: Annotated[str | None, typer.Option("--younger-than", help="Died at most so long ago.")] = None,
    since: Annotated[str | None, typer.Option(help=f"Died since: {HOW}.")] = None,
    until: Annotated[str | None, typer.Option(help="Died before, in the same notation.")] = None,
    number: Annotated[
        str | None, typer.Option(help="Of either side of the fax, in any notation or by its last digits.")
    ] = None,
    fax: Annotated[str | None, typer.Option("--fax", metavar="PROVIDER:FAX_ID", help="Of this fax.")] = None,
    job_id: Annotated[str | None, typer.Option("--job-id", help="The job_id that the application gave.")] = None,
) -> DeadFilter:
    """Return the filter that the options are; end with a sentence if they are not one."""
    of_fax, _, fax_id = (fax or "").partition(":")
    if fax is not None and provider not in {None, of_fax}:
        contradiction(f"--provider {provider}", f"--fax {fax}", f"that fax is of {of_fax or 'no provider'}")
    given = {
        "kind": kind,
        "endpoint_id": endpoint,
        "provider": provider if fax is None else of_fax,
        "cause": cause,
        "type": event_type,
        "event_id": event,
        "older_than_seconds": seconds_of("--older-than", older_than),
        "younger_than_seconds": seconds_of("--younger-than", younger_than),
        "since": since,
        "until": until,
        "number": number,
        "fax_id": None if fax is None else fax_id,
        "job_id": job_id,
    }
    named = {name: value for name, value in given.items() if value is not None}
    older, younger = given["older_than_seconds"], given["younger_than_seconds"]
    if isinstance(older, float) and isinstance(younger, float) and older > younger:
        contradiction(f"--older-than {older_than}", f"--younger-than {younger_than}", "nothing is both")
    of_event = {"--endpoint": endpoint, "--type": event_type, "--event": event, "--number": number}
    for option, value in {**of_event, "--fax": fax, "--job-id": job_id}.items():
        if kind == "callback" and value is not None:
            contradiction("--kind callback", option, "a callback that could not be parsed has no event yet")
    return read_options(named, DeadFilter, _OPTION_NAMES if fax is None else {**_OPTION_NAMES, "provider": "--fax"})


_OPTIONS: Final = inspect.signature(_filter_of).parameters


def filtering(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a filter in place of its parameter `wanted`."""

    @wraps(command)
    def with_options(**given: Any) -> None:
        wanted = _filter_of(**{name: given.pop(name) for name in _OPTIONS})
        command(wanted=wanted, **given)

    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        parameters += _OPTIONS.values() if parameter.name == "wanted" else [parameter]
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by typer
    return with_options


def selection_of(ids: list[str] | None, wanted: DeadFilter, everything: bool) -> Selection:
    """Return what is selected, by ids or by a filter; end with a sentence if it is neither."""
    is_filtered = wanted != DeadFilter()
    if ids and (is_filtered or everything):
        contradiction("ids", "--all" if everything else "a filter", "name one of them")
    if is_filtered and everything:
        contradiction("--all", "a filter", "--all means every dead letter there is")
    if ids:
        return Selection(ids=tuple(sorted(set(ids))))
    if not is_filtered and not everything:
        fail("say which: ids, a filter (see --help), or --all", EXIT_BAD_INPUT)
    return Selection(filter=wanted)


def id_of(option: str, text: str) -> UUID:
    """Return the id of an endpoint; end with a sentence if it cannot be read as one."""
    found = parse_uuid(text)
    if found is None:
        fail(f"{option} wants an endpoint's id, as `faxhook endpoints list` shows it; not `{text}`", EXIT_BAD_INPUT)
    return found


def seconds_of(option: str, text: str | None) -> float | None:
    """Return an age like 90s or 2d in seconds; end with a sentence if it cannot be read as one."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])", text.strip(), re.ASCII)
    if match is None:
        fail(f"{option} wants a number with s, m, h or d, like 90s or 2d; not `{text}`", EXIT_BAD_INPUT)
    return float(match[1]) * _UNIT_SECONDS[match[2]]


def moment_of(option: str, text: str, now: datetime) -> datetime:
    """Return the time that *text* means, as in every list; end with a sentence if it cannot be read as one."""
    try:
        return read_moment(option, text, now)
    except BadMoment as error:
        fail(str(error), EXIT_BAD_INPUT)
