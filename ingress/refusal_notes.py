"""Notes in the media store how many callbacks were refused for their signature: the dispatcher tells the operator.

Beside the way of a callback: it reads what the metrics have counted, once a minute, and writes only if there is more.
Notes that cannot be written are written later; several ingresses add to the same note.
"""

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from ingress.metrics import Metrics
from shared.domain import Provider, utc_now
from shared.media import MediaUnavailable
from shared.refused import note_key, read_note, with_refused

NOTE_SECONDS: Final = 60.0


class NoteStore(Protocol):
    """What is needed of a media store."""

    async def read_note(self, key: str) -> bytes | None:
        """Return a note, or None. Raise `MediaUnavailable` if the store is away."""

    async def write_note(self, key: str, content: bytes) -> None:
        """Write a note over the one before; raise `MediaUnavailable` if the store is away."""


class RefusalNotes:
    """Notes what *metrics* count for *providers*."""

    def __init__(
        self, metrics: Metrics, store: NoteStore, providers: Iterable[Provider], every_seconds: float = NOTE_SECONDS
    ) -> None:
        self._metrics = metrics
        self._store = store
        self._noted = dict.fromkeys(providers, 0)
        self._every_seconds = every_seconds

    async def run(self) -> None:
        """Note for ever."""
        while True:
            await asyncio.sleep(self._every_seconds)
            for provider in self._noted:
                await self._note(provider)

    async def _note(self, provider: Provider) -> None:
        counted = self._metrics.unauthenticated(provider)
        more = counted - self._noted[provider]
        if not more:
            return
        key = note_key(provider)
        try:
            note = with_refused(read_note(await self._store.read_note(key)), more, utc_now())
            await self._store.write_note(key, msgspec.json.encode(note))
        except MediaUnavailable:  # `/readyz` and the answers to callbacks say so
            return
        self._noted[provider] = counted
