"""Who is to be told of an event. Pure.

This version knows global endpoints; `route` is the one place where the more specific will supersede the less specific.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, Protocol
from uuid import UUID

import msgspec

from dispatcher.channels.mail_render import MailFormat
from dispatcher.formats import FORMATS
from dispatcher.lifecycle import is_overtaken
from shared.domain import Event, Phase

LEASE_MARGIN_SECONDS: Final = 15.0
"""On top of the longest attempt: for rendering, the failover's own connection, and writing the outcome down."""


class _Words(Protocol):
    def has_word_for(self, event: Event) -> bool:
        """Can it say this event at all?"""


_WORDS_OF_SCHEME: Final[dict[str, _Words]] = {"mailto": MailFormat()}


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where an application wants to be told.

    Attributes:
        tokens: In order; the first signs. Empty: webhooks are not signed.
        timeout_seconds: For one request, connection and answer included; at most 60.
        max_concurrent: Attempts at once, for each dispatcher process.
    """

    id: UUID
    scope: Literal["global", "number", "fax"] = "global"
    direction: Literal["sent", "received", "any"] = "any"
    url: str
    failover_url: str | None = None
    format: str = "phaxio-v2.1"
    tokens: tuple[str, ...] = ()
    inflight: bool = False
    overtaken: Literal["skip", "deliver"] = "skip"
    enabled: bool = True
    timeout_seconds: float = 15.0
    max_concurrent: int = 8

    @property
    def lease_seconds(self) -> float:
        """How long a claim must hold: URL and failover both time out, and then some."""
        return 2 * self.timeout_seconds + LEASE_MARGIN_SECONDS


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that an event is owed to; `skipped` says why it is recorded only."""

    event: Event
    endpoint: Endpoint
    skipped: Literal["no_equivalent", "overtaken"] | None = None


def route(event: Event, endpoints: Iterable[Endpoint]) -> list[Owed]:
    """Return what is owed for *event* to the endpoints that apply to it."""
    return [
        Owed(
            event=event,
            endpoint=endpoint,
            skipped=None if has_word(endpoint.url, endpoint.format, event) else "no_equivalent",
        )
        for endpoint in endpoints
        if _applies(endpoint, event)
    ]


def has_word(url: str, format_name: str, event: Event) -> bool:
    """Can *event* be said at *url*: in the words of its channel, if that has its own, else in those of the format?"""
    words = _WORDS_OF_SCHEME.get(url.partition(":")[0]) or FORMATS[format_name]
    return words.has_word_for(event)


def skip_overtaken(owed: Sequence[Owed], rank_of: dict[tuple[str, str], int]) -> list[Owed]:
    """Mark what is old news by now, *rank_of* (provider, fax id) telling how far each fax has come."""
    return [
        msgspec.structs.replace(each, skipped="overtaken")
        if each.skipped is None
        and each.endpoint.overtaken == "skip"
        and is_overtaken(each.event.type, rank_of[each.event.provider, each.event.fax_id])
        else each
        for each in owed
    ]


def _applies(endpoint: Endpoint, event: Event) -> bool:
    return (
        endpoint.enabled
        and endpoint.scope == "global"
        and endpoint.direction in {"any", event.direction}
        and (endpoint.inflight or event.phase is Phase.POSTFLIGHT)
    )
