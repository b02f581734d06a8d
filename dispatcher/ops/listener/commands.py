"""`faxhook listen`: what it is asked for, and what it prints.

How verified attempts go wrong is said by `--status`, `--hang`, `--drip` and `--close`; `--fail N` lets only the first N
attempts of each delivery go wrong, and alone it means 500.
"""

import asyncio
import os
import sys
from typing import Annotated

import msgspec
import typer

from dispatcher.formats import DEFAULT_FORMAT
from dispatcher.ops.listener.listen import Listener, Report, Started, Wrong, line_of, listen
from dispatcher.ops.listener.readers import READERS
from dispatcher.ops.terminal import fail
from shared.errors import EXIT_AWAY, EXIT_BAD_INPUT


def _reporter(as_json: bool) -> Report:
    if as_json:
        return lambda listened: _print(msgspec.json.encode(listened).decode())
    if not sys.stdout.isatty():
        return lambda listened: _print(f"{listened.at:%H:%M:%S}  {line_of(listened)}")
    green, red = 32, 31
    return lambda listened: _print(
        f"{listened.at:%H:%M:%S}  \x1b[{green if listened.verified else red}m{line_of(listened)}\x1b[0m"
    )


def _print(line: str) -> None:
    # A terminal that knows no ✓, and a surrogate out of a header, are no reason to end.
    encoding = sys.stdout.encoding or "utf-8"
    print(line.encode(encoding, "replace").decode(encoding), flush=True)


# ---- The command ----------------------------------------------------------------------------------------------------


def listen_command(
    token: Annotated[
        list[str], typer.Option(envvar="LISTEN_TOKEN", help="The endpoint's; give several while one replaces another.")
    ],
    format_name: Annotated[str, typer.Option("--format", help=f"One of {', '.join(READERS)}.")] = DEFAULT_FORMAT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any free one, printed.")] = 0,
    url: Annotated[
        str | None, typer.Option(help="The endpoint's URL, if a proxy or tunnel stands before: it is what is signed.")
    ] = None,
    fail_count: Annotated[
        int | None, typer.Option("--fail", min=1, help="Only the first N attempts of each delivery go wrong, then 200.")
    ] = None,
    status: Annotated[
        int | None, typer.Option(min=200, max=599, help="The answer when it goes wrong. [default: 500]")
    ] = None,
    retry_after: Annotated[str | None, typer.Option(help="Sent with that answer: seconds, or a date.")] = None,
    hang: Annotated[float, typer.Option(min=0.0, help="Seconds to wait before the answer.")] = 0.0,
    drip: Annotated[bool, typer.Option("--drip", help="Answer a byte a second, without end.")] = False,
    close: Annotated[bool, typer.Option("--close", help="Close the connection without an answer.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines for programs; the first says where.")
    ] = False,
) -> None:
    """Receive webhooks here: verify each as an application would, print it, answer 200 (401 if it is not verified).

    --status, --hang, --drip and --close say how verified attempts go wrong; --fail how many of each delivery do.
    """
    if format_name not in READERS:
        fail(f"format `{format_name}` is unknown; known are {', '.join(READERS)}", EXIT_BAD_INPUT)
    if close and (drip or status or retry_after):
        fail("--close gives no answer, so --drip, --status and --retry-after say nothing beside it", EXIT_BAD_INPUT)
    if retry_after is not None and not (retry_after.isascii() and retry_after.isprintable()):
        fail("--retry-after is no header's value", EXIT_BAD_INPUT)
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
        if not isinstance(error, BrokenPipeError):
            fail(f"cannot listen on {host} port {port}: {error.strerror or error}", EXIT_AWAY)
    _let_go_of_stdout()


def _let_go_of_stdout() -> None:
    """Flush; and if nobody reads any more, do not have the interpreter complain of it at its end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
