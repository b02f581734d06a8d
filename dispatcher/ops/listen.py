"""`faxhook listen`: an application's side for a laptop. Verifies every webhook, says it in a line, answers.

It keeps nothing and is no example of a production receiver: one that works writes the event down before it answers,
and drops what it knows already by `X-Faxhook-Event-Id`.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Final

import msgspec
import typer
from aiohttp import web

from dispatcher.formats import DEFAULT_FORMAT
from dispatcher.ops.exits import EXIT_AWAY, EXIT_BAD_INPUT, fail
from dispatcher.ops.webhook_readers import READERS, Posted, Told, user_info_of
from dispatcher.way_out import public_url
from shared.errors import Refused

MOST_BODY_BYTES: Final = 64 * 1024 * 1024
SHUTDOWN_SECONDS: Final = 0.5
"""A sender that hangs does not keep Ctrl-C waiting."""

_FAXHOOK: Final = "X-Faxhook-"


class Listened(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One request and what became of it: a line of `--json`.

    Attributes:
        at: Our clock, with its offset.
        verified: Is it signed with the token, over the URL that it was posted to?
        refused: Why not.
        what: What happened to the fax, in plain words.
        answered: The HTTP status that we gave.
        attempt, event_id, delivery_id: As the headers say.
    """

    at: datetime
    verified: bool
    answered: int
    what: str
    refused: str | None = None
    fax_id: str | None = None
    pages: int | None = None
    from_number: str | None = None
    to_number: str | None = None
    file_bytes: int | None = None
    attempt: int | None = None
    event_id: str | None = None
    delivery_id: str | None = None


class Started(msgspec.Struct, kw_only=True):
    """The first line of `--json`."""

    listening: str


Report = Callable[[Listened], None]


class Listener:
    """Answers webhooks of one format.

    Args:
        format_name: One of `READERS`.
        tokens: Each is valid, as during a rotation.
        report: Is told of every request.
        url: The endpoint's URL, where it is not what requests say (behind a proxy or tunnel).
        fail: So many times each delivery is answered 500 before it may be answered 200.
        hang_seconds: Waits this long before each answer.
    """

    def __init__(
        self,
        format_name: str,
        tokens: Sequence[str],
        report: Report,
        *,
        url: str | None = None,
        fail: int = 0,
        hang_seconds: float = 0.0,
    ) -> None:
        self._read = READERS[format_name]
        self._tokens = tuple(tokens)
        self._report = report
        self._url = url
        self._fail = fail
        self._hang_seconds = hang_seconds
        self._failed: Counter[str] = Counter()
        self.stop = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer 200 if verified, 401 if not, 405 to what is no POST, 400 to what cannot be read."""
        delivery_id = request.headers.get(f"{_FAXHOOK}Delivery-Id")
        told, status = await self._judge(request)
        if status == 200 and self._failed[delivery_id or ""] < self._fail:  # noqa: PLR2004
            self._failed[delivery_id or ""] += 1
            status = 500
        if self._hang_seconds:
            await asyncio.sleep(self._hang_seconds)
        attempt = request.headers.get(f"{_FAXHOOK}Attempt", "")
        listened = Listened(
            at=datetime.now().astimezone(),
            verified=told.refused is None,
            answered=status,
            attempt=int(attempt) if attempt.isascii() and attempt.isdigit() else None,
            event_id=request.headers.get(f"{_FAXHOOK}Event-Id"),
            delivery_id=delivery_id,
            **msgspec.structs.asdict(told),
        )
        try:
            self._report(listened)
        except BrokenPipeError:  # whoever read our lines has seen enough (`faxhook listen | head`)
            self.stop.set()
        return web.json_response({"verified": told.refused is None}, status=status)

    async def _judge(self, request: web.Request) -> tuple[Told, int]:
        if request.method != "POST":
            return Told(what=f"{request.method} request", refused="webhooks are POSTed"), 405
        try:
            posted = Posted(
                url=public_url(self._url) if self._url else f"http://{request.host}{request.raw_path}",
                user_info=user_info_of(self._url or ""),
                headers=request.headers,
                body=await request.read(),
                now=time.time(),
            )
            told = self._read(posted, self._tokens)
        except web.HTTPRequestEntityTooLarge:
            return Told(what="too long a request", refused=f"over {MOST_BODY_BYTES} bytes"), 413
        except Refused as refusal:
            return Told(what="no webhook", refused=str(refusal)), 400
        except Exception as error:  # noqa: BLE001 - whatever comes in here is not worth a traceback
            return Told(what="an unreadable request", refused=type(error).__name__), 400
        return told, 200 if told.refused is None else 401


@asynccontextmanager
async def listening(listener: Listener, host: str, port: int) -> AsyncIterator[str]:
    """Serve *listener* on *host*:*port* (0: any free one) and yield its URL."""
    app = web.Application(client_max_size=MOST_BODY_BYTES)
    app.router.add_route("*", "/{anything:.*}", listener.handle)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def listen(listener: Listener, host: str, port: int, started: Callable[[str], None]) -> None:
    """Listen until SIGINT or SIGTERM; *started* is told the URL."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, listener.stop.set)
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # bad requests are the sender's, and no news
    async with listening(listener, host, port) as url:
        started(url)
        await listener.stop.wait()


# ---- Lines ----------------------------------------------------------------------------------------------------------


def line_of(listened: Listened) -> str:
    """Return what `listened` says to people, in one line without the time, whatever came from outside."""
    facts = [f"fax {listened.fax_id} {listened.what}" if listened.fax_id else listened.what]
    if listened.pages is not None:
        facts.append(f"{listened.pages} page{'' if listened.pages == 1 else 's'}")
    if listened.from_number or listened.to_number:
        facts.append(f"{listened.from_number or '?'} → {listened.to_number or '?'}")
    if listened.file_bytes is not None:
        facts.append(f"file of {listened.file_bytes:,} bytes")
    if listened.attempt is not None:
        facts.append(f"attempt {listened.attempt}")
    if listened.delivery_id:
        facts.append(f"delivery …{listened.delivery_id[-8:]}")
    if listened.refused:
        facts.append(listened.refused)
    if listened.answered != 200:  # noqa: PLR2004
        facts.append(f"answered {listened.answered}")
    text = f"{'verified ✓  ' if listened.verified else 'NOT VERIFIED'}  {', '.join(facts)}"
    return "".join(letter if letter.isprintable() else "�" for letter in text)


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
    format_name: Annotated[str, typer.Option("--format", help=f"one of {', '.join(READERS)}")] = DEFAULT_FORMAT,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any free one, printed.")] = 0,
    url: Annotated[
        str | None, typer.Option(help="The endpoint's URL, if a proxy or tunnel stands before: it is what is signed.")
    ] = None,
    fail_count: Annotated[
        int, typer.Option("--fail", min=0, help="Answer 500 to the first N attempts of each delivery.")
    ] = 0,
    hang: Annotated[float, typer.Option(min=0.0, help="Seconds to wait before each answer.")] = 0.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines for programs; the first says where.")
    ] = False,
) -> None:
    """Receive webhooks here: verify each as an application would, print it, answer 200 (401 if it is not verified)."""
    if format_name not in READERS:
        fail(f"format `{format_name}` is unknown; known are {', '.join(READERS)}", EXIT_BAD_INPUT)

    def started(address: str) -> None:
        if as_json:
            _print(msgspec.json.encode(Started(listening=address)).decode())
        else:
            _print(f"listening for {format_name} webhooks on {address} until Ctrl-C")

    async def run() -> None:
        listener = Listener(format_name, token, _reporter(as_json), url=url, fail=fail_count, hang_seconds=hang)
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
