"""A receiver of webhooks for a laptop: verifies each webhook, reports it in a line, answers.

It can fail on purpose, to show what the dispatcher does then: how (`Wrong`), and how often (the first attempts of each
delivery, or all). Only verified attempts fail; all others are answered 401.

It stores nothing and is not an example of a production receiver: that stores the event before it answers, and drops
events that it has already, by `X-Faxhook-Event-Id`.
"""

import asyncio
import logging
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final

import msgspec
from aiohttp import web

from dispatcher.egress.target import public_url
from dispatcher.ops.listener.readers import READERS, Posted, WebhookSummary, user_info_of
from shared.domain import utc_now
from shared.errors import Refused

MOST_BODY_BYTES: Final = 64 * 1024 * 1024
SHUTDOWN_SECONDS: Final = 0.5
"""For requests under way at Ctrl-C."""

DRIP_SECONDS: Final = 1.0
OK: Final = 200
SERVER_ERROR: Final = 500
_FAXHOOK: Final = "X-Faxhook-"


class Listened(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One request and how it was answered: a line of `--json`.

    Attributes:
        at: In UTC.
        verified: Is it signed with the token, over the URL that it was posted to?
        refused: Why it is not verified.
        what: What happened to the fax, in plain words.
        answered: HTTP status of the answer; 0 without one.
        went_wrong: How the attempt fails on purpose: hangs, drips or closes.
        attempt, event_id, delivery_id: From the headers.
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
    went_wrong: str | None = None


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt fails on purpose.

    Attributes:
        status: Of the answer; None: 500, or 200 if it hangs or drips.
        hang_seconds: Wait before the answer.
        drips: The answer starts at once; its body is one byte a second, without end.
        closes: The connection is closed without an answer.
        retry_after: The answer's `Retry-After`.
    """

    status: int | None = None
    hang_seconds: float = 0.0
    drips: bool = False
    closes: bool = False
    retry_after: str | None = None

    @property
    def answered(self) -> int:
        """Status of the answer; 0 without one."""
        if self.closes:
            return 0
        return self.status or (OK if self.hang_seconds or self.drips else SERVER_ERROR)

    def __str__(self) -> str:
        words = [f"hangs {self.hang_seconds:g} s"] if self.hang_seconds else []
        words += ["closes without an answer"] if self.closes else ["drips its answer"] if self.drips else []
        return ", ".join(words)


class Started(msgspec.Struct, kw_only=True):
    """The first line of `--json`."""

    listening: str


Report = Callable[[Listened], None]


class Listener:
    """Answers webhooks of one format.

    Args:
        format_name: One of `READERS`.
        tokens: Each is valid, as during a rotation.
        report: Called for every request.
        url: The endpoint's URL, if requests name another one (behind a proxy or tunnel).
        wrong: How attempts fail; None: they do not.
        fail: How many attempts of each `X-Faxhook-Delivery-Id` fail, counted as they arrive (a replay does not start
            again at 1); None: all.
    """

    def __init__(
        self,
        format_name: str,
        tokens: Sequence[str],
        report: Report,
        *,
        url: str | None = None,
        wrong: Wrong | None = None,
        fail: int | None = None,
    ) -> None:
        self._read = READERS[format_name]
        self._tokens = tuple(tokens)
        self._report = report
        self._url = url
        self._wrong = wrong
        self._fail = fail
        self._failed: Counter[str] = Counter()
        self.stop = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer 200 if verified, 401 if not, 405 to other methods than POST, 400 and 413 to what cannot be read."""
        delivery_id = request.headers.get(f"{_FAXHOOK}Delivery-Id")
        summary, status = await self._verify(request)
        wrong = self._next_failure(delivery_id or "") if status == OK else None
        attempt = request.headers.get(f"{_FAXHOOK}Attempt", "")
        listened = Listened(
            at=utc_now(),
            verified=summary.refused is None,
            answered=status if wrong is None else wrong.answered,
            attempt=int(attempt) if attempt.isascii() and attempt.isdigit() else None,
            event_id=request.headers.get(f"{_FAXHOOK}Event-Id"),
            delivery_id=delivery_id,
            went_wrong=str(wrong or "") or None,
            **msgspec.structs.asdict(summary),
        )
        try:
            self._report(listened)
        except SystemExit:  # the reader of our lines has ended (`faxhook listen | head`); this request is answered
            self.stop.set()
        if wrong is not None:
            return await _fail_as_asked(request, wrong)
        return web.json_response({"verified": summary.refused is None}, status=status)

    def _next_failure(self, delivery_id: str) -> Wrong | None:
        """Count this attempt; return how it fails, None if it does not."""
        if self._wrong is None or (self._fail is not None and self._failed[delivery_id] >= self._fail):
            return None
        self._failed[delivery_id] += 1
        return self._wrong

    async def _verify(self, request: web.Request) -> tuple[WebhookSummary, int]:
        if request.method != "POST":
            return WebhookSummary(what=f"{request.method} request", refused="webhooks are POSTed"), 405
        try:
            posted = Posted(
                url=public_url(self._url) if self._url else f"http://{request.host}{request.raw_path}",
                user_info=user_info_of(self._url or ""),
                headers=request.headers,
                body=await request.read(),
                now=time.time(),
            )
            summary = self._read(posted, self._tokens)
        except web.HTTPRequestEntityTooLarge:
            return WebhookSummary(what="too long a request", refused=f"over {MOST_BODY_BYTES} bytes"), 413
        except Refused as refusal:
            return WebhookSummary(what="no webhook", refused=str(refusal)), 400
        except Exception as error:  # noqa: BLE001 - a strange request is answered and reported, without a traceback
            return WebhookSummary(what="an unreadable request", refused=type(error).__name__), 400
        return summary, OK if summary.refused is None else 401


async def _fail_as_asked(request: web.Request, wrong: Wrong) -> web.StreamResponse:
    await asyncio.sleep(wrong.hang_seconds)
    if wrong.closes:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    headers = {} if wrong.retry_after is None else {"Retry-After": wrong.retry_after}
    if 300 <= wrong.answered < 400:  # noqa: PLR2004 - HTTP
        headers["Location"] = "/elsewhere"
    response = web.StreamResponse(status=wrong.answered, headers=headers)
    if not wrong.drips:
        return web.Response(status=wrong.answered, headers=headers)
    await response.prepare(request)
    with suppress(ConnectionError):  # the client has closed
        while True:
            await response.write(b".")
            await asyncio.sleep(DRIP_SECONDS)
    return response


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
    """Listen until SIGINT or SIGTERM; call *started* with the URL."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, listener.stop.set)
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # it reports bad requests as errors
    async with listening(listener, host, port) as url:
        started(url)
        await listener.stop.wait()


# ---- Lines ----------------------------------------------------------------------------------------------------------


def line_of(listened: Listened) -> str:
    """Return *listened* for people: one line without the time, all of it printable."""
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
    if listened.went_wrong:
        facts.append(listened.went_wrong)
    if listened.answered not in (0, OK):
        facts.append(f"answered {listened.answered}")
    text = f"{'verified ✓  ' if listened.verified else 'NOT VERIFIED'}  {', '.join(facts)}"
    return "".join(letter if letter.isprintable() else "�" for letter in text)
