"""Providers whose callbacks the ingress refuses: by the notes that it leaves in the media store."""

from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import open_subjects, raise_matter, resolve_matter
from shared.domain import Provider, utc_now
from shared.refused import RefusedCallbacks, note_key, read_note

FEWEST: Final = 3
"""Within an hour: a provider with a wrong secret repeats its callback; a stranger who tries once does not."""

COUNTED: Final = timedelta(hours=1)
FORGOTTEN: Final = timedelta(hours=24)

LAST_TAKEN: Final = """
SELECT max(received_at) FROM (
    SELECT provider, received_at FROM events ORDER BY recorded_at DESC LIMIT 5000
) AS newest WHERE provider = $1
"""


class Notes(Protocol):
    """What is needed of a media store."""

    async def read_note(self, key: str) -> bytes | None:
        """Return a note, or None. Raise `MediaUnavailable` if the store is away."""


class RefusalCheck:
    """Raises `provider_refused`."""

    every_seconds = 120.0

    def __init__(self, store: Notes) -> None:
        self._store = store

    async def look(self, connection: Any) -> None:
        """Look at the note of each provider."""
        opened = await open_subjects(connection, Kind.PROVIDER_REFUSED)
        for provider in Provider:
            note = read_note(await self._store.read_note(note_key(provider)))
            if not note.entries:
                continue
            now = utc_now()
            taken_at: datetime | None = await connection.fetchval(LAST_TAKEN, provider)
            match verdict(note, taken_at, now):
                case "refused":
                    what, count = sentence_of(provider, note, taken_at, now), refused_lately(note, now)
                    await raise_matter(connection, Kind.PROVIDER_REFUSED, provider, what, count=count)
                case "over" if provider in opened:
                    await resolve_matter(connection, Kind.PROVIDER_REFUSED, provider, "its callbacks are accepted")
                case _:
                    pass


def refused_lately(note: RefusedCallbacks, now: datetime) -> int:
    """Return how many callbacks were refused within the hour."""
    return sum(entry.count for entry in note.entries if now - entry.at <= COUNTED)


def verdict(note: RefusedCallbacks, taken_at: datetime | None, now: datetime) -> Literal["refused", "over", "unknown"]:
    """Return whether the provider is refused now.

    It is over only if nothing was refused for an hour and a callback was accepted since, or if none came at all for a
    day: a provider that waits for hours before it repeats is no provider that is accepted.
    """
    if refused_lately(note, now) >= FEWEST:
        return "refused"
    last = note.entries[-1].at
    is_accepted = taken_at is not None and taken_at > last and now - last > COUNTED
    return "over" if is_accepted or now - last > FORGOTTEN else "unknown"


def sentence_of(provider: str, note: RefusedCallbacks, taken_at: datetime | None, now: datetime) -> str:
    """Return what is refused, and whether anything of the provider is accepted."""
    count = refused_lately(note, now)
    said = f"{provider}: {count:,} callbacks were answered 401 within an hour"
    if taken_at is None or now - taken_at > COUNTED:
        return f"{said}, and none was accepted: the secret is wrong, or PUBLIC_URL is not the URL that it signs"
    return (
        f"{said}, others were accepted: one account or route of it has another secret, or a stranger tries; the "
        "ingress's log lines callback.refused say which"
    )
