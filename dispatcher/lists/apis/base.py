"""What each list API is for us: URLs to ask, and answers read into faxes and events. Pure."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from dispatcher.lists.errors import NotAList
from shared.callback import Callback
from shared.domain import Event, Phase, Provider
from shared.errors import Unreadable
from shared.providers.common import read_id, read_job_id

PAGE_SIZE: Final = 250
"""Faxes on a page. Telnyx gives no more; a page of Phaxio's, with recipients, has some 300 kB."""


CLOCK_ERROR: Final = timedelta(minutes=1)
"""A provider's times and the date of its answers may be apart by so much."""

BESIDE_WINDOW: Final = timedelta(days=1)
"""A fax that was created and ended further before the window was not asked for. Zones may make a day's difference."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list.

    Attributes:
        faxes: As they were sent, in their order.
        total: Faxes on all pages, where the provider says.
        is_last: No page follows, by what the provider says; without a word of it, the page is empty.
        size: Faxes on a full page.
    """

    faxes: list[msgspec.Raw]
    total: int | None
    is_last: bool
    size: int


class ListedFax(msgspec.Struct, frozen=True, kw_only=True):
    """A fax as a list shows it.

    Attributes:
        event: That its provider's callback would have brought of its ending; None while it is under way.
        created_at: By the provider's clock; None where it does not say.
        finished_at: The same.
        media_url: Where its document is, where the list says.
        has_document: The provider has, or may have, a document that belongs to the event.
    """

    event: Event | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    media_url: str | None = None
    has_document: bool = False


def is_early(finished_at: datetime | None, now: datetime, grace: timedelta) -> bool:
    """Did a fax end so lately that its callback may still come? All by the provider's clock.

    A time in the future is an error of the provider's: such a fax is told now, and not withheld until then.
    """
    return finished_at is not None and now - grace < finished_at <= now + CLOCK_ERROR


def is_beside(fax: ListedFax, since: datetime) -> bool:
    """Is a fax so old that it does not belong to a window from *since* on? The provider did not keep to the window.

    It would be told as missing, years late.
    """
    times = [at for at in (fax.created_at, fax.finished_at) if at is not None]
    return bool(times) and max(times) < since - BESIDE_WINDOW


class DocumentStep(msgspec.Struct, frozen=True, kw_only=True):
    """How to get at a document.

    Attributes:
        url: Of the document itself, asked for with our key; or None.
        refresh_url: POST there, with our key, makes a new URL of the document …
        fax_url: … which the fax, asked for here, then names.
    """

    url: str | None = None
    refresh_url: str | None = None
    fax_url: str | None = None


class ListApi(Protocol):
    """One provider's list API, with the key to it."""

    provider: Provider
    settings: str
    """The variables of the key, for people."""
    headers: Mapping[str, str]
    """They prove who we are. They go to the provider's own API only."""

    def page_url(self, since: datetime, until: datetime, number: int) -> str:
        """Return where page *number* (from 1) of the faxes created from *since* to *until* is asked for."""

    def read_page(self, body: bytes, number: int) -> Page:
        """Read the answer; raise `NotAList` if it cannot be read as one."""

    def read_fax(self, raw: bytes, now: datetime) -> ListedFax:
        """Read one fax of a page; raise `Unreadable` if it cannot be understood."""

    def fax_url(self, fax_id: str) -> str:
        """Return where one fax is asked for."""

    def read_one(self, body: bytes) -> bytes:
        """Read the answer: the fax, as on a page; raise `NotAList` if it cannot be read as one."""

    def document_of(self, fax_id: str) -> DocumentStep:
        """Return how to get at the document of a received fax."""


class _WithId(msgspec.Struct):
    id: Any = None


_decode_id = msgspec.json.Decoder(_WithId).decode


def id_of(raw: bytes) -> str:
    """Return the id of a listed fax; empty if it has none."""
    try:
        return read_id(_decode_id(raw).id)
    except (msgspec.DecodeError, Unreadable, ValueError):
        return ""


def with_query(url: str, parameters: Mapping[str, str | int]) -> str:
    """Return *url* with *parameters* in its query."""
    return f"{url}?{urlencode(parameters)}"


def moment(at: datetime) -> str:
    """Return *at* as the APIs take it.

    >>> moment(datetime(2026, 11, 29, 8, 0, tzinfo=UTC))
    '2026-11-29T08:00:00Z'
    """
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def decode_page(provider: Provider, decode: Callable[[bytes], Any], body: bytes) -> Any:
    """Return *body* as the struct that *decode* makes.

    Raises:
        NotAList: It is something else: HTML, an error, a list of other things.
    """
    try:
        return decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        what = "HTML" if body.lstrip()[:1] == b"<" else "something"
        raise NotAList(
            f"{provider} answered {what} that is not its list of faxes: does {provider.upper()}_API_URL lead to its "
            "API?"
        ) from None


def as_callback(route: str, now: datetime, callback_url: Any = None) -> Callback:
    """Return an empty callback that came *now*, with the `job_id` of the URL that the provider would have called."""
    query: dict[str, str] = {}
    if isinstance(callback_url, str):
        try:
            job_id = read_job_id(parse_qs(urlsplit(callback_url).query).get("job_id", [""])[0])
        except ValueError:  # no URL, or too much in it
            job_id = None
        query = {} if job_id is None else {"job_id": job_id}
    return Callback(route=route, target=route, query=query, headers={}, body=b"", received_at=now)


def is_ending(event: Event) -> bool:
    """Return True if the event says how its fax ended."""
    return event.phase is Phase.POSTFLIGHT
