"""The webhook channel: one HTTP request, classified by its complete answer.

Told is a 2xx whose body ends, or reaches the limit, within the timeout. Redirects are not followed and are failures.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from dispatcher.channels.base import Attempt
from dispatcher.channels.outcome import ANSWER_KEPT_BYTES, NotTold, NotTried, Outcome, Told
from dispatcher.channels.sent import AUTHORIZATION, note_webhook
from dispatcher.channels.static_headers import own_headers
from dispatcher.egress.client import Answer, EgressClient
from dispatcher.egress.errors import FAILURES, ProxyAway, error_code
from dispatcher.egress.target import basic_of, posted_url
from dispatcher.formats import FORMATS, Facts
from shared.domain import Event

ANSWER_LIMIT_BYTES: Final = 64 * 1024
"""An answer that reaches this size counts as complete; the rest is not read."""

NO_TRACE: Final[Mapping[str, str]] = {}


class WebhookChannel:
    """Sends webhooks. One for each process; the code that opened *client* closes it.

    *trace_headers* returns the headers that carry the current attempt's trace, if there is one.
    """

    def __init__(self, client: EgressClient, trace_headers: Callable[[], Mapping[str, str]] = dict) -> None:
        self._client = client
        self._trace_headers = trace_headers

    def wants_document(self, event: Event, format_name: str) -> bool:
        """As the format says."""
        return FORMATS[format_name].wants_document(event)

    async def attempt(self, attempt: Attempt) -> Outcome:
        """Render, sign and POST; raises nothing but cancellation.

        The URL's user and password become Basic authentication. What is signed and recorded is the URL without them,
        which is what is posted to.
        """
        shown = posted_url(attempt.url)
        trace = self._trace_headers()
        headers, body = render(attempt, shown, trace)
        own = own_headers(attempt.headers, headers, has_login=basic_of(attempt.url) is not None)
        headers |= own
        outcome = await self.post(attempt.url, shown, body, headers, attempt.timeout_seconds)
        if isinstance(outcome, NotTried):
            return outcome
        return msgspec.structs.replace(outcome, sent=note_webhook(attempt, headers, body, trace, own))

    async def post(self, url: str, shown: str, body: bytes, headers: dict[str, str], timeout_seconds: float) -> Outcome:
        """POST *body* to *url*, *shown* being the same without user and password."""
        outcome: Outcome | None = None
        try:
            if (credentials := basic_of(url)) is not None:
                headers[AUTHORIZATION] = credentials
            try:
                async with (
                    asyncio.timeout(timeout_seconds),
                    self._client.request("POST", shown, headers, body) as answer,
                ):
                    outcome = classify(answer, shown, await _read(answer))
            except (TimeoutError, ConnectionError):
                if outcome is None:
                    await self._client.check_proxy()
                    raise
        except ProxyAway as error:
            return NotTried(error=error.code)
        except TimeoutError:
            return NotTold(error="timeout", url=shown)
        except FAILURES as error:
            # After a complete answer this only means that the rest of our request was not read.
            return outcome or NotTold(error=error_code(error), url=shown)
        return outcome or NotTold(error="network", url=shown)


def render(attempt: Attempt, shown: str, trace: Mapping[str, str] = NO_TRACE) -> tuple[dict[str, str], bytes]:
    """Return headers and body of *attempt*, *shown* being its URL as it is posted to. Pure."""
    facts = Facts(
        url=shown,
        tokens=attempt.tokens,
        delivery_id=attempt.delivery_id,
        attempt=attempt.number,
        now=attempt.now,
    )
    webhook = FORMATS[attempt.format].render(attempt.event, attempt.document, facts)
    headers = {
        **webhook.headers,
        **trace,
        "X-Faxhook-Event-Id": attempt.event.id,
        "X-Faxhook-Delivery-Id": str(attempt.delivery_id),
        "X-Faxhook-Attempt": str(attempt.number),
        "X-Faxhook-Command-Id": attempt.command_id,
    }
    return headers, webhook.body


def classify(answer: Answer, shown: str, body: bytes) -> Outcome:
    """Return what a complete answer means; *body* is the beginning of its body."""
    if 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP
        return Told(url=shown, http_status=answer.status, answer=body)
    return NotTold(
        error=f"http_{answer.status}",
        url=shown,
        http_status=answer.status,
        answer=body,
        retry_after_seconds=retry_after_seconds(answer.headers.get("retry-after"), datetime.now(UTC)),
    )


async def _read(answer: Answer) -> bytes:
    """Wait for the end of the answer, or its limit; return its beginning.

    A host that answers without a length, and ends the connection before it has read all of our request, resets it: that
    is the end of its answer all the same.
    """
    kept = bytearray()
    size = 0
    try:
        while size < ANSWER_LIMIT_BYTES and (piece := await answer.read()):
            size += len(piece)
            if len(kept) < ANSWER_KEPT_BYTES:
                kept += piece[: ANSWER_KEPT_BYTES - len(kept)]
    except ConnectionError:
        if not answer.ends_with_connection:
            raise
    return bytes(kept)


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Return the wait that a `Retry-After` asks for, in whole seconds rounded up; None if it cannot be read.

    >>> retry_after_seconds("120.1", datetime.now(UTC))
    121.0
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
            seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return float(max(0, math.ceil(seconds))) if math.isfinite(seconds) else None
