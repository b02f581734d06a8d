"""`faxhook listen`: its options and its output.

`--status`, `--hang`, `--drip` and `--close` say how verified attempts fail; with `--fail N` only the first N attempts
of each delivery fail, and by itself it means 500.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import typer

from dispatcher.formats import DEFAULT_FORMAT
from dispatcher.formats.tokens import check_token
from dispatcher.ops.contradictions import contradiction, refuse_contradictions
from dispatcher.ops.endpoints.urls import BadEndpoint, checked_web_url
from dispatcher.ops.listener.listen import Listener, Report, Started, Wrong, line_of, listen
from dispatcher.ops.listener.readers import READERS
from dispatcher.ops.terminal import fail
from dispatcher.ops.words import clock
from shared.errors import EXIT_AWAY, EXIT_BAD_INPUT
from shared.sentences.bad_values import unknown


def _reporter(as_json: bool) -> Report:
    if as_json:
        return lambda listened: _print(msgspec.json.encode(listened).decode())
    if not sys.stdout.isatty():
        return lambda listened: _print(f"{clock(listened.at)}  {line_of(listened)}")
    green, red = 32, 31
    return lambda listened: _print(
        f"{clock(listened.at)}  \x1b[{green if listened.verified else red}m{line_of(listened)}\x1b[0m"
    )


def _print(line: str) -> None:
    # A terminal without ✓, or a lone surrogate in a header, must not end the program.
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "replace").decode(encoding), flush=True)


def _check(format_name: str, tokens: Sequence[str], url: str | None) -> None:
    """Refuse what an endpoint would not take: nothing could ever be verified."""
    for token in tokens:
        if wrong := check_token(format_name, token):
            fail(f"--token: {wrong}; no endpoint takes it", EXIT_BAD_INPUT)
    try:
        if url is not None:
            checked_web_url("--url", url)
    except BadEndpoint as error:
        fail(str(error), error.exit_code)


# ---- The command ----------------------------------------------------------------------------------------------------


CONTRADICTIONS: Final = (
    ("close", "drip", "--close gives no answer"),
    ("close", "status", "--close gives no answer"),
    ("close", "retry_after", "--close gives no answer"),
)


def listen_command(
    context: typer.Context,
    token: Annotated[
        list[str],
        typer.Option(envvar="LISTEN_TOKEN", help="Token of the endpoint; repeat it while tokens are rotated."),
    ],
    format_name: Annotated[str, typer.Option("--format", help=f"One of {', '.join(READERS)}.")] = DEFAULT_FORMAT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any free port, which is printed.")] = 0,
    url: Annotated[
        str | None,
        typer.Option(
            help="URL of the endpoint, which is signed, if requests come through a proxy or tunnel. "
            "Default: the URL that is asked for."
        ),
    ] = None,
    fail_count: Annotated[
        int | None,
        typer.Option(
            "--fail",
            min=1,
            help="Only the first N attempts of each delivery fail, then 200. Default: none, "
            "or all if another option says how.",
        ),
    ] = None,
    status: Annotated[
        int | None,
        typer.Option(
            min=200,
            max=599,
            help="Status of the answer to an attempt that fails. Default: 500; with --hang or --drip 200.",
        ),
    ] = None,
    retry_after: Annotated[str | None, typer.Option(help="`Retry-After` of that answer: seconds, or a date.")] = None,
    hang: Annotated[float, typer.Option(min=0.0, help="Seconds to wait before the answer.")] = 0.0,
    drip: Annotated[bool, typer.Option("--drip", help="Answer one byte a second, without end.")] = False,
    close: Annotated[bool, typer.Option("--close", help="Close the connection without an answer.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines for programs; the first one holds the URL.")
    ] = False,
) -> None:
    """Receive webhooks: verify each as an application does, print it, answer 200 (401 if it is not verified).

    --status, --hang, --drip and --close say how verified attempts fail; --fail N: only the first N of each delivery.
    """
    if format_name not in READERS:
        fail(f"--format: {unknown(format_name, READERS)}", EXIT_BAD_INPUT)
    refuse_contradictions(context, CONTRADICTIONS)
    _check(format_name, token, url)
    if fail_count is not None and 0 < (status or 0) < 300:  # noqa: PLR2004 - HTTP
        contradiction("--fail", f"--status {status}", "a 2xx is no failure")
    if retry_after is not None and not (retry_after.isascii() and retry_after.isprintable()):
        fail("--retry-after is not a valid header value", EXIT_BAD_INPUT)
    how = Wrong(status=status, hang_seconds=hang, drips=drip, closes=close, retry_after=retry_after)
    wrong = how if fail_count is not None or how != Wrong() else None

    def started(address: str) -> None:
        if as_json:
            _print(msgspec.json.encode(Started(listening=address)).decode())
        else:
            _print(f"listening for {format_name} webhooks on {address} until Ctrl-C")

    async def run() -> None:
        listener = Listener(format_name, token, _reporter(as_json), url=url, wrong=wrong, fail=fail_count)
        await listen(listener, host, port, started)

    try:
        asyncio.run(run())
    except OSError as error:
        fail(f"cannot listen on {host} port {port}: {error.strerror or error}", EXIT_AWAY)
