"""Callbacks that were refused for their signature, as the ingress notes them for the dispatcher. Pure.

The ingress has no database, and what it refuses it must not publish. Both services have the media store: a note there
for each provider says how many callbacks were refused lately, over all ingresses.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from shared.domain import Provider

REMEMBERED: Final = timedelta(hours=25)
MOST_ENTRIES: Final = 400
"""The latest; an ingress writes at most one a minute."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """So many callbacks were refused in the minutes before *at*."""

    at: datetime
    count: int


class RefusedCallbacks(msgspec.Struct, frozen=True):
    """What was refused of a provider, the oldest first."""

    entries: tuple[Entry, ...] = ()


def note_key(provider: Provider) -> str:
    """Return where the note of a provider is in the media store; no document has such a key."""
    return f"refused/{provider}.json"


def read_note(content: bytes | None) -> RefusedCallbacks:
    """Return what a note says; nothing without one, or one that cannot be read."""
    try:
        return RefusedCallbacks() if content is None else msgspec.json.decode(content, type=RefusedCallbacks)
    except msgspec.MsgspecError:
        return RefusedCallbacks()


def with_refused(note: RefusedCallbacks, count: int, now: datetime) -> RefusedCallbacks:
    """Return *note* with *count* more, and without what is too old."""
    kept = [entry for entry in note.entries if now - entry.at < REMEMBERED]
    return RefusedCallbacks((*kept, Entry(now, count))[-MOST_ENTRIES:])
