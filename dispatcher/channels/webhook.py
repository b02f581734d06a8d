"""The webhook channel: one HTTP request, judged by its complete answer.

Told is a 2xx whose body ends, or reaches the limit, within the timeout. Redirects are not followed and are failures.
"""

import asyncio
import math
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from yarl import URL

from dispatcher.channels.base import Attempt
from dispatcher.egress import EgressRefused, Network, guarded_socket
from dispatcher.formats import FORMATS, Facts
from dispatcher.outcome import ANSWER_KEPT_BYTES, NotTold, Outcome, Told
from shared.domain import Event

ANSWER_LIMIT_BYTES: Final = 64 * 1024
"""More of an answer than this is not waited for: the application has answered."""

USER_AGENT: Final = "faxhook/1"


class WebhookChannel:
    """Sends webhooks over kept-alive connections. One for each process."""

    def __init__(self, allowed_networks: Sequence[Network]) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # bounded by each endpoint's max_concurrent, not by each other
                socket_factory=guarded_socket(allowed_networks),
                ttl_dns_cache=30,
                keepalive_timeout=20,
            ),
            timeout=aiohttp.ClientTimeout(total=None),  # ours covers the whole, body included
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": USER_AGENT},
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    def wants_document(self, event: Event, format_name: str) -> bool:
        """As the format says."""
        return FORMATS[format_name].wants_document(event)

    async def attempt(self, attempt: Attempt) -> Outcome:
        """Render, sign and POST; never raises but for cancellation.

        The URL's user and password become Basic authentication; what is signed and recorded is the URL without them.
        """
        shown = public_url(attempt.url)
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
            "X-Faxhook-Event-Id": attempt.event.id,
            "X-Faxhook-Delivery-Id": str(attempt.delivery_id),
            "X-Faxhook-Attempt": str(attempt.number),
            "X-Faxhook-Command-Id": attempt.command_id,
        }
        return await self.post(attempt.url, shown, webhook.body, headers, attempt.timeout_seconds)

    async def post(self, url: str, shown: str, body: bytes, headers: dict[str, str], timeout_seconds: float) -> Outcome:
        """POST *body* to *url*, *shown* being the same without user and password."""
        target = URL(url, encoded=True)
        if target.user is not None:
            headers["Authorization"] = aiohttp.encode_basic_auth(target.user, target.password or "")
        try:
            async with (
                asyncio.timeout(timeout_seconds),
                self._session.post(
                    URL(shown, encoded=True), data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                answer = await _read(response)
        except TimeoutError:
            return NotTold(error="timeout", url=shown)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return NotTold(error=error_code(error), url=shown)
        if 200 <= response.status < 300:  # noqa: PLR2004
            return Told(url=shown, http_status=response.status, answer=answer)
        return NotTold(
            error=f"http_{response.status}",
            url=shown,
            http_status=response.status,
            answer=answer,
            retry_after_seconds=retry_after_seconds(response.headers.get("Retry-After"), datetime.now(UTC)),
        )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Wait for the end of the answer, or its limit; return its beginning."""
    kept = bytearray()
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if len(kept) < ANSWER_KEPT_BYTES:
            kept += chunk[: ANSWER_KEPT_BYTES - len(kept)]
        if size >= ANSWER_LIMIT_BYTES:
            response.close()
            break
    return bytes(kept)


def public_url(url: str) -> str:
    """Return *url* without user and password, otherwise byte for byte.

    >>> public_url("https://user:pass@example.com/hook?x=a%2Bb")
    'https://example.com/hook?x=a%2Bb'
    """
    scheme, separator, rest = url.partition("://")
    end = min((position for mark in "/?#" if (position := rest.find(mark)) >= 0), default=len(rest))
    authority, tail = rest[:end], rest[end:]
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{tail}"


_ERROR_CODES: Final[tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...]] = (
    (aiohttp.ClientConnectorDNSError, "host_not_found"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "tls"),
    (EgressRefused, "egress_refused"),
    (ConnectionRefusedError, "refused"),
    ((aiohttp.ServerDisconnectedError, ConnectionError, aiohttp.ClientPayloadError), "reset"),
    (aiohttp.ClientResponseError, "bad_answer"),
)


def error_code(error: BaseException) -> str:
    """Return the stable code of what went wrong on the way to an endpoint; `network` for what is rare."""
    causes = (error, getattr(error, "os_error", error))
    return next((code for kinds, code in _ERROR_CODES if any(isinstance(cause, kinds) for cause in causes)), "network")


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Return what a `Retry-After` asks for, in whole seconds rounded up; None if it says nothing readable.

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
        except ValueError:
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return float(max(0, math.ceil(seconds))) if math.isfinite(seconds) else None
