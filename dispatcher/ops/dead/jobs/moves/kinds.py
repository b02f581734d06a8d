"""Which events an endpoint is told of, and which a format has no word for, as SQL can tell: by their kinds. Pure.

A kind is `provider direction type`. The content of an event has the last word, in `routing`.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from dispatcher.formats import FORMATS
from dispatcher.policy.endpoint import Endpoint
from dispatcher.policy.routing import has_word, route
from shared.domain import Direction, Event, EventType, Provider


def kinds_of(endpoint: Endpoint, *, skipped: str | None = None) -> list[str]:
    """Return the kinds that *endpoint* is told of by `routing`, or gets as *skipped*."""
    anywhere = msgspec.structs.replace(endpoint, scope="global", match=None, enabled=True)
    return [_kind(event) for event in _EVENTS if any(each.skipped == skipped for each in route(event, [anywhere]))]


ENDINGS: Final[dict[EventType, Direction]] = {
    EventType.FAILED: Direction.SENT,
    EventType.RECEIVE_FAILED: Direction.RECEIVED,
    EventType.PARTIALLY_DELIVERED: Direction.SENT,
    EventType.DELIVERED: Direction.SENT,
    EventType.RECEIVED: Direction.RECEIVED,
}
"""Of which faxes each ending is. None is overtaken, and every format has a word for each: its fax is not needed."""


def split_endings(kinds: Sequence[str], directions: Collection[Direction]) -> tuple[list[str], list[str]]:
    """Return the endings of faxes of *directions* that *kinds* hold of all providers, and the kinds of other types.

    >>> kinds = [f"{each} sent {type}" for each in Provider for type in ("fax.failed", "fax.sending")]
    >>> split_endings(kinds, [Direction.SENT])[0], split_endings(kinds, [])[0]
    (['fax.failed'], [])
    >>> split_endings(kinds, [Direction.SENT])[1] == [each for each in kinds if each.endswith("sending")]
    True
    """
    endings = [
        event_type
        for event_type, direction in ENDINGS.items()
        if direction in directions and all(f"{each} {direction} {event_type}" in kinds for each in Provider)
    ]
    return [*map(str, endings)], [each for each in kinds if each.rpartition(" ")[2] not in endings]


def array(kinds: Sequence[str]) -> str:
    """Return kinds as SQL."""
    return f"ARRAY[{', '.join(repr(each) for each in kinds)}]::text[]"


def _an_event(provider: Provider, direction: Direction, event_type: EventType) -> Event:
    # With fields as Telnyx has them: of its own events telnyx-v2 can say everything.
    own = {"event_type": str(event_type), "payload": {}} if provider is Provider.TELNYX else {}
    return Event(
        id="",
        provider=provider,
        type=event_type,
        phase=event_type.phase,
        direction=direction,
        fax_id="",
        received_at=datetime.min.replace(tzinfo=UTC),
        fields=own,
    )


def _kind(event: Event) -> str:
    return f"{event.provider} {event.direction} {event.type}"


def _unsaid(url: str, format_name: str) -> str:
    kinds = [_kind(event) for event in _EVENTS if not has_word(url, format_name, event)]
    return f"{KIND} = ANY({array(kinds)})"


_EVENTS: Final = [
    _an_event(provider, direction, event_type)
    for provider in Provider
    for direction in Direction
    for event_type in EventType
]

KIND: Final = "events.provider || ' ' || faxes.direction || ' ' || events.type"

IS_UNSAID: Final = "coalesce(CASE WHEN endpoints.url LIKE 'mailto:%' THEN {} {} END, false)".format(
    _unsaid("mailto:a@b.example", ""),
    " ".join(f"WHEN endpoints.format = '{name}' THEN {_unsaid('https://a.example/', name)}" for name in FORMATS),
)
"""Of an event and its endpoint: the endpoint's format, as it is now, has no word for it. Empty arrays match nothing."""
