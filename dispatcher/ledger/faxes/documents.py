"""Where the documents are that a provider only named by URL: the copy that is kept, else the newest URL.

| `events.media` | means |
|---|---|
| NULL | nothing but what the event says itself |
| with a `key` | the copy that is kept; it stays |
| with `url` and `named_at` | a repetition of the event brought another URL, at that moment, and no copy is kept yet |
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from dispatcher.ledger.pool import Pool
from shared.domain import Event, Media


class NewerUrl(msgspec.Struct, frozen=True):
    """Where a repetition, received at *named_at*, says that the document is."""

    url: str
    named_at: datetime


OF_EVENT: Final = "SELECT media FROM events WHERE id = $1"


async def find_document(pool: Pool, event_id: str) -> Media | NewerUrl | None:
    """Return where an event's document is kept, or the URL that a repetition brought; None if neither is known."""
    text = await pool.fetchval(OF_EVENT, event_id)
    if text is None:
        return None
    return kept_in(text) or _decode_newer(text)


def kept_in(text: str | None) -> Media | None:
    """Return the copy that `events.media` names; None if it names none."""
    media = None if text is None else _decode_media(text)
    return None if media is None or media.key is None else media


KEEP: Final = "UPDATE events SET media = $2 WHERE id = $1 AND media ->> 'key' IS NULL"


async def keep_document(pool: Pool, event_id: str, media: Media) -> None:
    """Record where it is kept. The first record wins; a later one names the same document, or a copy of it."""
    await pool.execute(KEEP, event_id, msgspec.json.encode(media).decode())


OF_FAX: Final = """
SELECT body, media FROM events WHERE provider = $1 AND fax_id = $2 AND id <> $3 AND body IS NOT NULL
ORDER BY media ->> 'key' IS NULL, received_at DESC, id LIMIT $4
"""

MOST_LOOKED_AT: Final = 50
"""Of the events of one fax, which have some tens at most; those whose copy the ledger names come first."""


async def find_copy_of_fax(pool: Pool, event: Event) -> Media | None:
    """Return the copy that is kept for another event of the same fax, the newest one; None if no other has one."""
    rows = await pool.fetch(OF_FAX, event.provider, event.fax_id, event.id, MOST_LOOKED_AT)
    for row in rows:
        own = _named_in(row["body"])
        kept = kept_in(row["media"]) or (own if own is not None and own.key is not None else None)
        if kept is not None:
            return kept
    return None


def merge_repeated(copies: Sequence[Event]) -> Event:
    """Return the last of the *copies* of one event, with the best document of them: a stored one, else the newest URL.

    Copies that come in one batch are one event: none of them may cost it what another brings.
    """
    copies = sorted(copies, key=lambda each: each.received_at)
    named = [each.media for each in copies if each.media is not None]
    named.sort(key=lambda each: each.key is not None)  # it keeps the order otherwise
    return msgspec.structs.replace(copies[-1], media=named[-1] if named else None)


NAMED_BEFORE: Final = """
SELECT id, body FROM events WHERE id = ANY($1::text[]) AND body IS NOT NULL AND media ->> 'key' IS NULL
"""
NOTE: Final = """
WITH locked AS (
    SELECT id, batch.media, batch.named_at FROM events
    JOIN unnest($1::text[], $2::jsonb[], $3::timestamptz[]) AS batch (id, media, named_at) USING (id)
    WHERE body IS NOT NULL
    ORDER BY id FOR NO KEY UPDATE OF events
)
UPDATE events SET media = locked.media FROM locked
WHERE events.id = locked.id AND events.media ->> 'key' IS NULL AND (
    locked.media ->> 'key' IS NOT NULL
    OR greatest(events.received_at, (events.media ->> 'named_at')::timestamptz) < locked.named_at)
"""


async def note_repeated_documents(pool: Pool, repeated: Sequence[Event]) -> None:
    """Note what repetitions say of documents that their events only named by URL: a copy, or another URL.

    An order of arrival means nothing: the URL that was received last is the newest.
    """
    brought = {event.id: event for event in repeated if event.media is not None}
    if not brought:
        return
    rows = await pool.fetch(NAMED_BEFORE, list(brought))
    noted = [event for row in rows if _says_more(event := brought[row["id"]], _named_in(row["body"]))]
    if noted:
        media = [_noted(event) for event in noted]
        await pool.execute(NOTE, [event.id for event in noted], media, [event.received_at for event in noted])


def _says_more(repetition: Event, named: Media | None) -> bool:
    """Does an event only have a URL (*named*) of its document, and its *repetition* bring it, or another URL?"""
    if named is None or named.key is not None or repetition.media is None:
        return False
    return repetition.media.key is not None or repetition.media.url not in {None, named.url}


def _named_in(body: bytes) -> Media | None:
    """Return the document that an event names; None also of what a newer version of ours wrote in another way."""
    try:
        return _decode_body(body).media
    except msgspec.DecodeError:
        return None


def _noted(event: Event) -> str:
    assert event.media is not None
    if event.media.key is not None:
        return msgspec.json.encode(event.media).decode()
    assert event.media.url is not None
    return msgspec.json.encode(NewerUrl(event.media.url, event.received_at)).decode()


class _Body(msgspec.Struct):
    """An event, as far as it is needed here."""

    media: Media | None = None


_decode_body: Final = msgspec.json.Decoder(_Body).decode
_decode_media: Final = msgspec.json.Decoder(Media).decode
_decode_newer: Final[Any] = msgspec.json.Decoder(NewerUrl).decode
