"""Which endpoints an event is owed to. Pure.

The more specific supersedes: a sent fax goes to the endpoints of that fax, else to the global ones; a received fax to
the endpoints of its number, else to the global ones. All endpoints of the winning level get it.

An endpoint that is off supersedes all the same: a fax must not go to a more general one because the application that it
is for wants nothing now. Only its removal lets the more general ones apply.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, Protocol

import msgspec

from dispatcher.channels.mail.render import MailFormat
from dispatcher.formats import FORMATS
from dispatcher.policy.endpoint import Endpoint, FaxMatch, Scope
from dispatcher.policy.lifecycle import is_overtaken
from shared.domain import Direction, Event

ENDPOINT_DISABLED: Final = "endpoint_disabled"
"""Why an event is recorded only for an endpoint that is off. It is not settled for good: it can be recovered."""

_SPECIFICITY: Final[dict[Scope, int]] = {"global": 0, "number": 1, "fax": 2}


class _Words(Protocol):
    def has_word_for(self, event: Event) -> bool:
        """Can it express this event?"""


_WORDS_OF_SCHEME: Final[dict[str, _Words]] = {"mailto": MailFormat()}


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that an event is owed to, or would be; `skipped` says why it is recorded only."""

    event: Event
    endpoint: Endpoint
    skipped: Literal["no_equivalent", "overtaken", "endpoint_disabled"] | None = None


def route(event: Event, endpoints: Iterable[Endpoint]) -> list[Owed]:
    """Return what is owed for *event*, *endpoints* holding at least all that could apply to it."""
    applying = [endpoint for endpoint in endpoints if _applies(endpoint, event)]
    if not applying:
        return []
    level = max(_SPECIFICITY[endpoint.scope] for endpoint in applying)
    return [
        Owed(
            event=event,
            endpoint=endpoint,
            skipped=_why_skipped(endpoint, event),
        )
        for endpoint in applying
        if _SPECIFICITY[endpoint.scope] == level and endpoint.wants(event)
    ]


def _why_skipped(endpoint: Endpoint, event: Event) -> Literal["no_equivalent", "endpoint_disabled"] | None:
    if not has_word(endpoint.url, endpoint.format, event):
        return "no_equivalent"
    return None if endpoint.enabled else ENDPOINT_DISABLED


def has_word(url: str, format_name: str, event: Event) -> bool:
    """Can *event* be expressed at *url*: by its channel, if that has a format of its own, else by the named format?"""
    words = _WORDS_OF_SCHEME.get(url.partition(":")[0]) or FORMATS.get(format_name)
    # A format that this version does not know was set by a newer one, which knows its words.
    return words is None or words.has_word_for(event)


def skip_overtaken(owed: Sequence[Owed], rank_of: dict[tuple[str, str], int]) -> list[Owed]:
    """Mark what is overtaken; *rank_of* (provider, fax id) says how far each fax has come."""
    return [
        msgspec.structs.replace(each, skipped="overtaken")
        if each.skipped is None
        and each.endpoint.overtaken == "skip"
        and is_overtaken(each.event.type, rank_of[each.event.provider, each.event.fax_id])
        else each
        for each in owed
    ]


def _applies(endpoint: Endpoint, event: Event) -> bool:
    return endpoint.direction in {"any", event.direction} and _matches(endpoint, event)


def _matches(endpoint: Endpoint, event: Event) -> bool:
    match endpoint.scope, endpoint.match:
        case "number", str(number):
            return event.direction is Direction.RECEIVED and event.to_number == number
        case "fax", FaxMatch(job_id=str(job_id)):
            return event.direction is Direction.SENT and event.job_id == job_id
        case "fax", FaxMatch(provider=provider, fax_id=fax_id):
            return event.direction is Direction.SENT and (event.provider, event.fax_id) == (provider, fax_id)
        case scope, _:
            return scope == "global"
