"""A provider whose callbacks are answered 401 is a matter until one is accepted; the ingress's notes say so."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from waiting import until

from dispatcher.alerts.checks.refusals import RefusalCheck, sentence_of, verdict
from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import open_subjects
from ingress.metrics import Metrics
from ingress.refusal_notes import RefusalNotes
from shared.domain import Provider
from shared.media import MediaStore
from shared.refused import MOST_ENTRIES, Entry, RefusedCallbacks, note_key, read_note, with_refused
from shared.runtime.service import end

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def refused(*entries: tuple[float, int]) -> RefusedCallbacks:
    return RefusedCallbacks(tuple(Entry(ago(hours), count) for hours, count in entries))


@pytest.mark.parametrize(
    ("note", "taken_at", "expected"),
    [
        (refused((0.1, 3)), None, "refused"),
        (refused((0.9, 1), (0.5, 1), (0.1, 1)), ago(0), "refused"),
        (refused((0.1, 2)), None, "unknown"),  # a stranger who tried
        (refused((2.0, 99)), None, "unknown"),  # the provider waits before it repeats
        (refused((2.0, 99)), ago(3), "unknown"),
        (refused((2.0, 99)), ago(1), "over"),
        (refused((2.0, 99), (0.5, 1)), ago(0.1), "unknown"),
        (refused((24.5, 99)), None, "over"),
    ],
)
def test_it_is_over_only_once_one_is_accepted(note: RefusedCallbacks, taken_at: datetime | None, expected: str) -> None:
    assert verdict(note, taken_at, NOW) == expected


def test_the_sentence_says_whether_others_are_accepted() -> None:
    assert "none was accepted" in sentence_of("telnyx", refused((0.1, 9)), ago(5), NOW)
    assert "others were accepted" in sentence_of("telnyx", refused((0.1, 9)), ago(0.2), NOW)


def test_a_note_stays_small_and_one_that_cannot_be_read_says_nothing() -> None:
    note = refused((30.0, 5))
    for number in range(2 * MOST_ENTRIES):
        note = with_refused(note, 1, NOW + timedelta(seconds=number))
    assert len(note.entries) == MOST_ENTRIES
    assert read_note(b'{"entries": 7}') == read_note(b"\xff") == read_note(None) == RefusedCallbacks()


async def test_what_two_ingresses_refuse_reaches_the_operator(pool: asyncpg.Pool, store: MediaStore) -> None:
    check, ingresses = RefusalCheck(store), (Metrics(), Metrics())
    await check.look(pool)
    tasks = {asyncio.create_task(RefusalNotes(each, store, list(Provider), 0.02).run()) for each in ingresses}
    key = note_key(Provider.TELNYX)

    async def noted(count: int) -> bool:
        return sum(entry.count for entry in read_note(await store.read_note(key)).entries) == count

    for number, metrics in enumerate(ingresses, start=1):
        for _ in range(2):
            metrics.answered(Provider.TELNYX, "signature_invalid", 0.001)
        metrics.answered(Provider.PHAXIO, "accepted", 0.001)
        await until(lambda number=number: noted(2 * number), "noted")
    await end(tasks)
    await check.look(pool)
    assert await open_subjects(pool, Kind.PROVIDER_REFUSED) == {"telnyx"}
    assert await store.read_note(note_key(Provider.PHAXIO)) is None
    assert "4 callbacks were answered 401" in await pool.fetchval("SELECT what FROM alerts")
