"""Options of `faxhook endpoints`, and what they are for the API."""

from typing import Annotated, Any, Final
from uuid import UUID

import typer

from dispatcher.formats import FORMATS
from dispatcher.ops.terminal import fail
from dispatcher.policy.endpoint import Endpoint
from shared.errors import EXIT_BAD_INPUT

NEW: Final = Endpoint(id=UUID(int=0), url="")
"""With the defaults of an endpoint that is added; one that is changed keeps what is not named."""

Id = Annotated[str, typer.Argument(help="The endpoint's id.")]
Direction = Annotated[str | None, typer.Option(help=f"One of sent, received, any. Default: {NEW.direction}.")]
FormatName = Annotated[
    str | None, typer.Option("--format", help=f"One of {', '.join(FORMATS)}. Default: {NEW.format}.")
]
Tokens = Annotated[list[str] | None, typer.Option("--token", help="Signs the webhooks. Repeatable. Default: made up.")]
Unsigned = Annotated[bool, typer.Option("--unsigned", help="No token: webhooks are not signed.")]
Failover = Annotated[str | None, typer.Option(help="Tried in the same attempt when the URL fails. Default: none.")]
Inflight = Annotated[bool | None, typer.Option("--inflight/--no-inflight", help="Inflight events, too. Default: no.")]
Overtaken = Annotated[
    str | None, typer.Option(help=f"Overtaken inflight events: skip or deliver. Default: {NEW.overtaken}.")
]
Enabled = Annotated[
    bool | None,
    typer.Option(
        "--enable/--disable",
        help="Disabled: it is owed nothing, nor are more general ones, and what it is still owed becomes dead letters "
        "when due. To have deliveries wait, use `faxhook endpoints pause`.",
    ),
]
Timeout = Annotated[float | None, typer.Option(help=f"Seconds for a request, to 60. Default: {NEW.timeout_seconds:g}.")]
Concurrent = Annotated[
    int | None, typer.Option(help=f"Attempts at once, for each dispatcher process. Default: {NEW.max_concurrent}.")
]
Duplicate = Annotated[
    bool,
    typer.Option("--allow-duplicate", help="Take it though another endpoint gets the same faxes at the same URL."),
]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="Exactly these events, like fax.failed. Repeatable; empty: as --inflight says."),
]
StaticHeaders = Annotated[
    list[str] | None,
    typer.Option("--header", help="`Name: value`, sent with every webhook. Repeatable; replaces all; empty: none."),
]
Description = Annotated[str | None, typer.Option(help="Its name, and what it is for, in a line.")]
Number = Annotated[str | None, typer.Option(help="Only faxes received at this number of ours (E.164).")]
Job = Annotated[str | None, typer.Option(help="Only the sent fax with this job_id.")]
Fax = Annotated[str | None, typer.Option(help="Only this sent fax: PROVIDER:FAX_ID.")]


def given_options(**options: Any) -> dict[str, Any]:
    """Return those of the options that are given."""
    return {name: value for name, value in options.items() if value is not None}


def header_options(lines: list[str] | None) -> dict[str, str] | None:
    """Return headers as the API takes them; None: they stay. End the command if a line is not a header."""
    headers: dict[str, str] = {}
    for line in lines or ():
        name, colon, value = line.partition(":")
        if line and not (colon and name.strip()):
            fail("--header wants `Name: value`", EXIT_BAD_INPUT)
        if name.strip() in headers:
            fail(f"--header: `{name.strip()[:40]}` is given twice", EXIT_BAD_INPUT)
        headers |= {name.strip(): value.strip(" ")} if line else {}
    return None if lines is None else headers


def token_option(token: list[str] | None, *, unsigned: bool) -> list[str] | None:
    """Return the tokens to set; None: they stay, or one is generated. End the command if the options contradict."""
    if unsigned and token:
        fail("--unsigned and --token contradict each other: name one of them", EXIT_BAD_INPUT)
    return [] if unsigned else token


def match_options(number: str | None, job_id: str | None, fax: str | None) -> dict[str, Any]:
    """Return scope and match. End the command if the options contradict each other."""
    given = {"--number": number, "--job-id": job_id, "--fax": fax}
    named = [option for option, value in given.items() if value is not None]
    if len(named) > 1:
        fail(f"{' and '.join(named)} contradict each other: name one of them", EXIT_BAD_INPUT)
    if number is not None:
        return {"scope": "number", "match": number}
    if job_id is not None:
        return {"scope": "fax", "match": {"job_id": job_id}}
    if fax is not None:
        provider, _, fax_id = fax.partition(":")
        if not provider or not fax_id:
            fail("--fax: must be PROVIDER:FAX_ID", EXIT_BAD_INPUT)
        return {"scope": "fax", "match": {"provider": provider, "fax_id": fax_id}}
    return {}
