"""A fax's state, folded from its events: commutative, idempotent, never backwards. Pure.

The comparison is a total order over `(rank, occurred_at, type order, event id)`, so that neither arrival nor batching
nor repetition can decide. The ledger's upsert compares by the same order; a property test holds them together.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from shared.domain import FINISHED_RANK, FROM_LIST, Event, EventType, Provider

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class FaxState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a fax.

    Attributes:
        state: The type of the event that won.
        endings: Bit n is set if an ending whose `EventType.order` is n was reported.
        listed: The same of the endings that a provider's list told.
        pages: The most that any event reported.
        stalled_at: When it had been without an ending for too long; None if it never was.
    """

    provider: Provider
    fax_id: str
    direction: str
    state: EventType
    occurred_at: datetime | None
    event_id: str
    endings: int
    listed: int = 0
    from_number: str | None
    to_number: str | None
    job_id: str | None
    pages: int | None
    first_received_at: datetime
    last_received_at: datetime
    stalled_at: datetime | None = None

    @property
    def conflicting(self) -> bool:
        """True if different endings were reported."""
        return self.endings & (self.endings - 1) != 0

    @property
    def precedence(self) -> tuple[int, datetime, int, str]:
        """What decides between two states of one fax; the greater wins."""
        return (self.state.rank, self.occurred_at or _LONG_AGO, self.state.order, self.event_id)


def ending_bit(event_type: EventType) -> int:
    """Return the bit of an ending in `FaxState.endings`; 0 for what is no ending."""
    return 1 << event_type.order if event_type.rank == FINISHED_RANK else 0


def repeated_endings(
    events: Iterable[Event], listed: Mapping[tuple[str, str], int], known: Iterable[tuple[str, str, str]]
) -> frozenset[str]:
    """Return the ids of the events that repeat, under another id, an ending that was told or is told by this batch.

    Callbacks and lists name one ending by two ids, where the callback's id is not on the list. So from the moment that
    a list told an ending, all further events of this fax and type are repetitions, whichever of the two came first.

    Args:
        events: New ones.
        listed: The `FaxState.listed` of their faxes, these events included.
        known: Provider, fax id and type of the endings that were known before, at least where a list told them.
    """
    told = set(known)
    repeated = set()
    # Of a batch that holds both, the callback's is told: it says more.
    for event in sorted(events, key=lambda each: each.origin == FROM_LIST):
        if not ending_bit(event.type) & listed.get((event.provider, event.fax_id), 0):
            continue
        key = (event.provider, event.fax_id, event.type)
        if key in told:
            repeated.add(event.id)
        told.add(key)
    return frozenset(repeated)


def state_after(event: Event) -> FaxState:
    """Return what *event* alone says of its fax."""
    ending = ending_bit(event.type)
    is_stalled = event.type is EventType.STALLED
    return FaxState(
        provider=event.provider,
        fax_id=event.fax_id,
        direction=event.direction,
        state=event.type,
        occurred_at=None if is_stalled else event.occurred_at,  # below all that a provider told
        event_id=event.id,
        endings=ending,
        listed=ending if event.origin == FROM_LIST else 0,
        from_number=event.from_number,
        to_number=event.to_number,
        job_id=event.job_id,
        pages=event.pages,
        first_received_at=event.received_at,
        last_received_at=event.received_at,
        stalled_at=(event.occurred_at or event.received_at) if is_stalled else None,
    )


def merge(one: FaxState, other: FaxState) -> FaxState:
    """Return what two states of one fax say together. Which is named first makes no difference."""
    winner = max(one, other, key=lambda state: state.precedence)
    return msgspec.structs.replace(
        winner,
        direction=max(one.direction, other.direction),
        endings=one.endings | other.endings,
        listed=one.listed | other.listed,
        from_number=_greater(one.from_number, other.from_number),
        to_number=_greater(one.to_number, other.to_number),
        job_id=_greater(one.job_id, other.job_id),
        pages=max((pages for pages in (one.pages, other.pages) if pages is not None), default=None),
        first_received_at=min(one.first_received_at, other.first_received_at),
        last_received_at=max(one.last_received_at, other.last_received_at),
        stalled_at=min((at for at in (one.stalled_at, other.stalled_at) if at is not None), default=None),
    )


def fold(events: Iterable[Event]) -> list[FaxState]:
    """Return one state for each fax in *events*, sorted by provider and fax id, as the ledger wants its keys."""
    states: dict[tuple[str, str], FaxState] = {}
    for event in events:
        state = state_after(event)
        known = states.get((event.provider, event.fax_id))
        states[event.provider, event.fax_id] = state if known is None else merge(known, state)
    return [states[key] for key in sorted(states)]


def overtaking_rank(event_type: EventType) -> int | None:
    """Return the rank from which on an event of this type is old news for a fax; None if it never is.

    Endings never are; nor is `fax.unknown`, of which we cannot say where it belongs. `fax.stalled` is news until
    the fax has ended, however far it had come.

    >>> [overtaking_rank(each) for each in (EventType.QUEUED, EventType.STALLED, EventType.FAILED)]
    [11, 100, None]
    """
    if event_type is EventType.UNKNOWN or event_type.rank == FINISHED_RANK:
        return None
    return FINISHED_RANK if event_type is EventType.STALLED else event_type.rank + 1


def is_overtaken(event_type: EventType, fax_rank: int) -> bool:
    """Is an event of this type old news for a fax that has come to *fax_rank*?"""
    rank = overtaking_rank(event_type)
    return rank is not None and fax_rank >= rank


def _greater(one: str | None, other: str | None) -> str | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)
