"""Asks a provider about one fax: has it ended after all? What it tells is published as if its list had told it."""

import time
from typing import Any, Final, Literal

from dispatcher.lists.client import ListClient
from dispatcher.lists.errors import KeyRefused, ListUnavailable, NotFound
from dispatcher.lists.reading import Reading
from dispatcher.lists.readings import Tally
from dispatcher.lists.stalled.faxes import ProviderSays
from dispatcher.messages import Publishing
from shared.domain import utc_now
from shared.media import MediaStore

ASK_SECONDS: Final = 60.0
"""For one provider in one look: what is left is asked in the next one."""

Answer = ProviderSays | Literal["ended", "later", "unavailable", "away"]
"""`later`: it has ended, and its callback or its document may still come. `unavailable`: no answer now. `away`: not
asked, because the provider gave no answer about another fax."""


class Asker:
    """Asks one provider, during one look; without *client* it knows nothing.

    Attributes:
        told: How many endings were published that no callback had told.
    """

    def __init__(
        self,
        client: ListClient | None,
        connection: Any,
        publisher: Publishing,
        media: MediaStore,
        grace_seconds: float,
    ) -> None:
        self.told = 0
        self._client = client
        self._connection = connection
        self._publisher = publisher
        self._media = media
        self._grace_seconds = grace_seconds
        self._until = time.monotonic() + ASK_SECONDS
        self._is_away = False

    @property
    def is_over(self) -> bool:
        """Has the provider been asked for long enough in this look?"""
        return not self._is_away and time.monotonic() > self._until

    async def ask(self, fax_id: str) -> Answer:
        """Return how the fax stands. Once the provider did not answer, it is not asked again in this look.

        Raises:
            NotKept: The broker did not take an event.
            MediaUnavailable: The media store did not take a document.
        """
        if self._client is None or self._is_away:
            return "not_asked" if self._client is None else "away"
        try:
            raw = await self._client.fax(fax_id)
        except NotFound:
            return "not_found"
        except KeyRefused:
            return "not_asked"
        except ListUnavailable:
            self._is_away = True
            return "unavailable"
        return await self._take(self._client, fax_id, raw)

    async def _take(self, client: ListClient, fax_id: str, raw: bytes) -> Answer:
        stores = (self._connection, self._publisher, self._media)
        reading = Reading(client, *stores, self._grace_seconds, _note_nothing, is_list=False)
        await reading.take([(fax_id, raw)], utc_now().date())
        self.told += reading.tally.missing
        return answer_of(reading.tally)


def answer_of(tally: Tally) -> Answer:
    """Return what the reading of one fax came to.

    >>> answer_of(Tally(seen=1, under_way=1)), answer_of(Tally(seen=1, early=1)), answer_of(Tally(seen=1, missing=1))
    ('under_way', 'later', 'ended')
    """
    if tally.missing or tally.known:
        return "ended"
    if tally.early or tally.postponed:
        return "later"
    return "under_way" if tally.under_way else "unreadable"


async def _note_nothing(_tally: Tally) -> None:
    """There is no row of this reading."""
