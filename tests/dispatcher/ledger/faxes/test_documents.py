"""What repetitions say of a document is known by the newest of them, in any order; a copy that is kept stays."""

import itertools
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from dispatchers import DispatcherHarness
from documents import received
from ledgers import STORE

from dispatcher.ledger.faxes.documents import (
    NewerUrl,
    find_copy_of_fax,
    find_document,
    keep_document,
    kept_in,
    merge_repeated,
)
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pruning import documents_of
from shared.domain import Event, Media

NOW = datetime.now(UTC).replace(microsecond=0)
COPY = Media(key=f"ab/{'0' * 64}", sha256="0" * 64, bytes=1, content_type="application/pdf")


def event_of(url: str, minute: int) -> Event:
    return msgspec.structs.replace(received(url, fax_id="f"), received_at=NOW + timedelta(minutes=minute))


async def repeat(harness: DispatcherHarness, *events: Event) -> None:
    intake = Intake(harness.pool, STORE)
    for event in events:
        assert (await intake.take([event])).fresh == frozenset()
        await intake.note_repeated([event])


@pytest.mark.parametrize("order", list(itertools.permutations((1, 2, 3))))
async def test_the_newest_url_is_known_whatever_came_first(harness: DispatcherHarness, order: tuple[int, ...]) -> None:
    event = event_of("https://p.example/0", 0)
    await harness.take(event)
    await repeat(harness, *(event_of(f"https://p.example/{minute}", minute) for minute in order))
    assert await find_document(harness.pool, event.id) == NewerUrl("https://p.example/3", NOW + timedelta(minutes=3))


async def test_the_same_url_an_older_one_and_an_event_without_are_not_noted(harness: DispatcherHarness) -> None:
    event = event_of("https://p.example/0", 0)
    await harness.take(event)
    await repeat(
        harness,
        event_of("https://p.example/0", 1),
        event_of("https://p.example/older", -1),
        msgspec.structs.replace(event, media=None, received_at=NOW + timedelta(minutes=2)),
    )
    assert await find_document(harness.pool, event.id) is None


@pytest.mark.parametrize("minutes_ago", [-2, 2])
async def test_a_repetition_that_brings_the_document_itself_is_kept_and_no_url_after_it(
    harness: DispatcherHarness, minutes_ago: int
) -> None:
    event = event_of("https://p.example/0", 0)
    await harness.take(event)
    brought = msgspec.structs.replace(event, media=COPY, received_at=NOW - timedelta(minutes=minutes_ago))
    await repeat(harness, event_of("https://p.example/1", 1), brought, event_of("https://p.example/3", 3))
    assert await find_document(harness.pool, event.id) == COPY
    assert await documents_of(harness.pool, [event.id]) == {COPY.key}


async def test_what_was_fetched_takes_the_place_of_a_url_and_stays(harness: DispatcherHarness) -> None:
    event = event_of("https://p.example/0", 0)
    await harness.take(event)
    await repeat(harness, event_of("https://p.example/1", 1))
    fetched = msgspec.structs.replace(COPY, url="https://p.example/1")
    await keep_document(harness.pool, event.id, fetched)
    await keep_document(harness.pool, event.id, msgspec.structs.replace(COPY, key="another"))
    await repeat(harness, event_of("https://p.example/2", 2))
    assert await find_document(harness.pool, event.id) == fetched


async def test_an_event_that_came_with_its_document_notes_nothing(harness: DispatcherHarness) -> None:
    event = msgspec.structs.replace(event_of("https://p.example/0", 0), media=COPY)
    await harness.take(event)
    await repeat(harness, event_of("https://p.example/1", 1))
    assert await find_document(harness.pool, event.id) is None


async def test_the_newest_copy_of_another_event_of_the_same_fax_is_found(harness: DispatcherHarness) -> None:
    event = event_of("https://p.example/0", 0)
    fetched, with_it, of_another_fax = (
        msgspec.structs.replace(event, id="telnyx:fetched", received_at=NOW + timedelta(minutes=1)),
        msgspec.structs.replace(event, id="telnyx:with", media=COPY),
        msgspec.structs.replace(event, id="telnyx:other", fax_id="g", media=msgspec.structs.replace(COPY, key="g")),
    )
    await harness.take(event, of_another_fax)
    assert await find_copy_of_fax(harness.pool, event) is None
    await harness.take(with_it)
    assert await find_copy_of_fax(harness.pool, event) == COPY
    await harness.take(fetched)
    newer = msgspec.structs.replace(COPY, key="newer")
    await keep_document(harness.pool, fetched.id, newer)
    assert await find_copy_of_fax(harness.pool, event) == newer


async def test_what_cannot_be_read_names_no_document_and_stops_nothing(harness: DispatcherHarness) -> None:
    event = event_of("https://p.example/0", 0)
    await harness.take(event, msgspec.structs.replace(event, id="telnyx:with", media=COPY))
    await harness.pool.execute("UPDATE events SET body = $1", b'{"media": 7}')
    await repeat(harness, event_of("https://p.example/1", 1))
    assert await find_document(harness.pool, event.id) is None
    assert await find_copy_of_fax(harness.pool, event) is None


def test_a_url_alone_is_no_copy() -> None:
    assert kept_in(None) is None
    assert kept_in(json.dumps({"url": "https://p.example/1", "named_at": NOW.isoformat()})) is None
    assert kept_in(msgspec.json.encode(COPY).decode()) == COPY


@pytest.mark.parametrize("order", list(itertools.permutations((0, 1, 2))))
def test_of_copies_in_one_batch_the_best_document_stays_in_any_order(order: tuple[int, ...]) -> None:
    without = msgspec.structs.replace(event_of("", 3), media=None)
    first, second = event_of("https://p.example/1", 1), event_of("https://p.example/2", 2)
    stored = msgspec.structs.replace(first, media=COPY)
    for copies, media in (((without, first, second), second.media), ((without, stored, second), COPY)):
        merged = merge_repeated([copies[place] for place in order])
        assert (merged.media, merged.received_at) == (media, without.received_at)
    assert merge_repeated([without, without]) == without
