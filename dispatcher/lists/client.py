"""Asks a provider's API: by the way out of webhooks, within bounds, patiently where the provider asks for patience.

| answer | then |
|---|---|
| 200 | its body, at most `MOST_BYTES` |
| 401, 403 | the key is refused: a person must look |
| 404 | `NotFound`: a wrong address, or a fax that vanished |
| 408, 425, 429, 5xx, a timeout, a broken connection | again, after `Retry-After` or a growing wait; a few times |
| 3xx and all else | a sentence that says what came |

Neither keys nor URLs are in any sentence.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from dispatcher.delivery.documents import NotFetched, read_content
from dispatcher.egress.client import Answer, EgressClient
from dispatcher.egress.errors import FAILURES, ProxyAway, error_code
from dispatcher.lists.apis.base import ListApi, id_of
from dispatcher.lists.errors import KeyRefused, ListUnavailable, NotAList, NotFound, NotReachable
from shared.domain import utc_now

MOST_BYTES: Final = 32 * 1024 * 1024
"""Of a page, and of a document."""

REQUEST_SECONDS: Final = 30.0
TRIES: Final = 5
FIRST_WAIT_SECONDS: Final = 1.0
"""Doubled with each try."""

MOST_SKEW_SECONDS: Final = 60.0
"""A provider's clock that is further from ours decides what is now, and is reported."""

LONGEST_WAIT_SECONDS: Final = 60.0
"""A provider that asks for longer is left alone: this reading ends, the next one begins no earlier."""

WAKE_SECONDS: Final = 20.0
"""The ledger ends a session of which it hears nothing for a minute, and with it the lock of the one that reads."""

_OK: Final = 200
_DONE: Final = range(200, 300)
_REFUSED: Final = frozenset({401, 403})
_NOT_FOUND: Final = frozenset({404, 410})
_PASSING: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500

Pause = Callable[[float], Awaitable[None]]


async def nothing() -> None:
    """Wait with no one."""


class ListClient:
    """Requests to one provider's API, one at a time.

    Args:
        client: The way out.
        api: The provider's.
        pause: Between two tries.
        stay_awake: Is awaited every `WAKE_SECONDS` while the provider is waited for.

    Attributes:
        clock_ahead_seconds: By how much the provider's clock is ahead of ours, by its last answer; 0 before one came.
    """

    def __init__(
        self,
        client: EgressClient,
        api: ListApi,
        pause: Pause = asyncio.sleep,
        stay_awake: Callable[[], Awaitable[None]] = nothing,
    ) -> None:
        self.api = api
        self.clock_ahead_seconds = 0.0
        self._client = client
        self._pause = pause
        self._stay_awake = stay_awake

    @property
    def is_skewed(self) -> bool:
        """Is the provider's clock too far from ours?"""
        return abs(self.clock_ahead_seconds) > MOST_SKEW_SECONDS

    @property
    def clock_ahead(self) -> timedelta:
        """By how much the provider's clock decides what is now: nothing, unless it `is_skewed`."""
        return timedelta(seconds=self.clock_ahead_seconds if self.is_skewed else 0.0)

    async def learn_clock(self) -> timedelta:
        """Ask for the list of a minute, for the sake of the answer's date; return `clock_ahead`. Raises like `page`."""
        now = utc_now()
        self.api.read_page(await self.page(now - timedelta(minutes=1), now, 1), 1)
        return self.clock_ahead

    async def page(self, since: datetime, until: datetime, number: int) -> bytes:
        """Return the body of a page.

        Raises:
            ListUnavailable: It did not come.
        """
        content, _ = await self._ask("GET", self.api.page_url(since, until, number), self.api.headers)
        return content

    async def fax(self, fax_id: str) -> bytes:
        """Return one fax, as the list has it.

        Raises:
            NotFound: The provider does not know it.
            ListUnavailable: It does not say.
        """
        content, _ = await self._ask("GET", self.api.fax_url(fax_id), self.api.headers)
        raw = self.api.read_one(content)
        if id_of(raw) != fax_id:
            raise NotAList(f"{self.api.provider} answered something that is not the fax which was asked for")
        return raw

    async def ours(self, method: str, url: str) -> tuple[bytes, str]:
        """Ask the provider's API, with our key; return content and its type. Raises like `page`."""
        return await self._ask(method, url, self.api.headers)

    async def foreign(self, url: str) -> tuple[bytes, str]:
        """Ask a URL that the provider named, without our key. Raises like `page`."""
        return await self._ask("GET", url, {})

    async def _ask(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[bytes, str]:
        """Ask, and meanwhile keep awake what waits with us."""
        asking = asyncio.create_task(self._patiently(method, url, headers))
        try:
            while not (await asyncio.wait({asking}, timeout=WAKE_SECONDS))[0]:
                await self._stay_awake()
            return asking.result()
        finally:
            if not asking.done():
                asking.cancel()
                await asyncio.wait({asking})

    async def _patiently(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[bytes, str]:
        wait_seconds = FIRST_WAIT_SECONDS
        for number in range(1, TRIES + 1):
            try:
                return await self._once(method, url, headers)
            except (KeyRefused, NotAList, NotFound, NotReachable):
                raise
            except ListUnavailable as error:
                asked_seconds = error.retry_after_seconds
                if number == TRIES or asked_seconds > LONGEST_WAIT_SECONDS:
                    raise
                await self._pause(max(wait_seconds, asked_seconds))
                wait_seconds *= 2
        raise AssertionError("the last try returns or raises")

    async def _once(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[bytes, str]:
        name = self.api.provider
        body = b"" if method == "POST" else None
        try:
            async with asyncio.timeout(REQUEST_SECONDS), self._client.request(method, url, headers, body) as answer:
                if headers:  # of the provider's own API: a store of documents has another clock
                    self._note_clock(answer)
                self._check(answer, method)
                if method == "POST":  # what it did is seen by the next request
                    return b"", ""
                return await read_content(answer, MOST_BYTES)
        except TimeoutError:
            raise ListUnavailable(f"{name} did not answer within {REQUEST_SECONDS:.0f} s") from None
        except ProxyAway as error:
            raise ListUnavailable(f"{name} was not asked: the egress proxy does not serve us, {error}") from None
        except NotFetched as error:
            raise NotAList(f"{name} answered with a body that cannot be read: {error.code}") from None
        except FAILURES as error:
            code = error_code(error)  # its text may hold the URL
            if code == "egress_refused":
                raise NotReachable(
                    f"{name} could not be asked: its address is not public, and EGRESS_ALLOW_NETWORKS does not name it"
                ) from None
            raise ListUnavailable(f"{name} could not be asked: {code}") from None

    def _check(self, answer: Answer, method: str) -> None:
        """Raise what the status means, unless it is 200, or for a command another 2xx."""
        name, status = self.api.provider, answer.status
        if status == _OK or (method == "POST" and status in _DONE):
            return
        if status in _REFUSED:
            raise KeyRefused(f"{name} refuses the key ({status}): set {self.api.settings} anew")
        if status in _NOT_FOUND:
            raise NotFound(
                f"{name} does not know what we ask for ({status}): are {name.upper()}_API_URL and "
                f"{self.api.settings} right?"
            )
        if status in _PASSING or status >= _SERVER_ERROR:
            now = utc_now() + timedelta(seconds=self.clock_ahead_seconds)  # a date is one of the provider's clock
            seconds = retry_after_seconds(answer.headers.get("retry-after", ""), now)
            asks = f" and asks to wait {seconds:.0f} s" if seconds else ""
            raise ListUnavailable(f"{name} answers {status}{asks}", seconds)
        raise NotAList(f"{name} answers {status} instead of its list: does {name.upper()}_API_URL lead to its API?")

    def _note_clock(self, answer: Answer) -> None:
        if (at := read_http_date(answer.headers.get("date", ""))) is not None:
            self.clock_ahead_seconds = (at - utc_now()).total_seconds()


def read_http_date(text: str) -> datetime | None:
    """Return the moment of an HTTP date, aware; None if it is not a date.

    >>> read_http_date("Sun, 29 Nov 2026 08:00:00 GMT").isoformat(), read_http_date("soon")
    ('2026-11-29T08:00:00+00:00', None)
    """
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return at if at.tzinfo else None


def retry_after_seconds(text: str, now: datetime) -> float:
    """Return how long a `Retry-After` asks to wait, from 0; 0 if it says nothing that can be read.

    >>> now = read_http_date("Sun, 29 Nov 2026 08:00:00 GMT")
    >>> [retry_after_seconds(text, now) for text in ("7", "Sun, 29 Nov 2026 08:01:00 GMT", "", "-1", "soon")]
    [7.0, 60.0, 0.0, 0.0, 0.0]
    """
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 9:  # noqa: PLR2004 - years
        return float(text)
    at = read_http_date(text)
    return 0.0 if at is None else max(0.0, (at - now).total_seconds())
