"""Attempts are found by outcome, error, time, endpoint, event, fax, number and job; pages neither skip nor repeat."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from dispatchers import an_event
from ledgers import endpoint, take

from dispatcher.ops.api.cursor import BadCursor
from dispatcher.ops.api.moments import BadMoment
from dispatcher.ops.deliveries.attempts import CURSOR, AttemptReader
from dispatcher.ops.faxes.lists import found as found_faxes
from dispatcher.ops.faxes.lists import walk
from dispatcher.ops.faxes.lists.lists import Contradiction
from dispatcher.ops.faxes.lists.queries import AttemptQuery
from shared.domain import EventType
from shared.ids import uuid7

DAY = datetime(2026, 10, 3, tzinfo=UTC)
OTHER = UUID(int=7)
ADD = """
INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome, url, http_status, error, answer)
SELECT id, $2, $3, 0.1, CASE WHEN $4::text IS NULL THEN 'told' ELSE 'not_told' END, 'http://127.0.0.1:1/hook', $5, $4, ''
FROM deliveries WHERE event_id = $1
"""


@pytest.fixture
async def filled(pool: asyncpg.Pool) -> AttemptReader:
    """Six faxes; the even ones took two attempts, an hour apart: written like 4:2. Number 5 went to another endpoint."""
    await endpoint(pool)
    for number in range(6):
        kind = EventType.FAILED if number == 3 else EventType.DELIVERED
        to_number = "+15550100102" if number < 3 else "+15550100103"
        await take(pool, an_event(number, kind, job_id=f"job-{number}", to_number=to_number))
        event_id, at = f"phaxio:{number}-{kind}", DAY + timedelta(hours=4 * number)
        if number % 2 == 0:
            await pool.execute(ADD, event_id, 1, at, "http_503" if number else "timeout", 503 if number else None)
        await pool.execute(ADD, event_id, 2 - number % 2, at + timedelta(hours=1), None, 200)
    await pool.execute("UPDATE deliveries SET endpoint_id = $1 WHERE event_id LIKE 'phaxio:5-%'", OTHER)
    return AttemptReader(pool)


async def found(reader: AttemptReader, limit: int, wanted: dict[str, Any]) -> str:
    shown, query = [], AttemptQuery(**wanted, limit=limit)
    while True:
        page = await reader.page(query)
        shown += [f"{each.fax_id}:{each.number}" for each in page.items]
        if page.next is None:
            return " ".join(shown)
        query = msgspec.structs.replace(query, after=page.next)


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize(
    ("wanted", "attempts_found"),
    [
        ({}, "5:1 4:2 4:1 3:1 2:2 2:1 1:1 0:2 0:1"),
        ({"outcome": "not_told"}, "4:1 2:1 0:1"),
        ({"outcome": "told", "since": "2026-10-03T12:00:00Z"}, "5:1 4:2 3:1"),
        ({"since": "2026-10-03T08:00:00Z", "until": "2026-10-03T11:00:00+02:00"}, "2:1"),
        ({"error": "http_503"}, "4:1 2:1"),
        ({"error": "http_5xx", "until": "2026-10-03T10:00:00Z"}, "2:1"),
        ({"error": "timeout", "outcome": "not_told"}, "0:1"),
        ({"error": "other"}, ""),
        ({"error": "http_5.."}, ""),
        ({"endpoint_id": OTHER}, "5:1"),
        ({"endpoint_id": OTHER, "outcome": "not_told"}, ""),
        ({"type": EventType.FAILED}, "3:1"),
        ({"event_id": "phaxio:2-fax.delivered"}, "2:2 2:1"),
        ({"fax_id": "4"}, "4:2 4:1"),
        ({"fax_id": "4", "provider": "telnyx"}, ""),
        ({"provider": "telnyx"}, ""),
        ({"number": "0102"}, "2:2 2:1 1:1 0:2 0:1"),
        ({"number": "+1 555 010 0103", "outcome": "not_told"}, "4:1"),
        ({"number": "999"}, ""),
        ({"job_id": "job-4"}, "4:2 4:1"),
        ({"job_id": "job-4", "type": EventType.FAILED}, ""),
    ],
)
async def test_attempts_are_found_a_page_at_a_time(
    filled: AttemptReader, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any], attempts_found: str, few: bool
) -> None:
    if few:  # a ledger that is larger than one page walks, and numbers that have more faxes than are looked up
        monkeypatch.setattr(walk, "WALKED_AT_MOST", 2)
        monkeypatch.setattr(found_faxes, "MOST_FAXES", 1)
    for limit in (1, 3, 200):
        assert await found(filled, limit, wanted) == attempts_found, limit


async def test_an_attempt_in_a_list_says_what_it_was_an_attempt_at_and_by_whom_it_was_asked_for(
    filled: AttemptReader, pool: asyncpg.Pool
) -> None:
    await pool.execute("UPDATE deliveries SET state = 'told', attempts = 2 WHERE event_id LIKE 'phaxio:4-%'")
    await pool.execute(
        "INSERT INTO decisions (delivery_id, job_id, what, who, was, attempts) "
        "SELECT id, $1, 'delivery.resend', 'Ada', 'told', 1 FROM deliveries WHERE event_id LIKE 'phaxio:4-%'",
        uuid7(),
    )
    second, first = (await filled.page(AttemptQuery(fax_id="4"))).items
    assert (second.resent_by, first.resent_by) == ("Ada", None)
    assert (second.delivery_state, second.type, second.event_id) == ("told", "fax.delivered", "phaxio:4-fax.delivered")
    assert (second.endpoint_name, second.http_status, first.error) == ("127.0.0.1:1/hook", 200, "http_503")
    (deleted,) = (await filled.page(AttemptQuery(endpoint_id=OTHER))).items
    assert (deleted.endpoint_name, deleted.endpoint_id) == (None, OTHER)
    (of_delivery,) = (await filled.page(AttemptQuery(delivery_id=deleted.delivery_id))).items
    assert of_delivery == deleted


async def test_what_no_attempt_can_match_is_refused(filled: AttemptReader) -> None:
    with pytest.raises(Contradiction, match="error"):
        await filled.page(AttemptQuery(error="timeout", outcome="told"))
    with pytest.raises(BadMoment):
        await filled.page(AttemptQuery(since="today", until="yesterday"))
    for key in (["x"], [DAY, str(OTHER), 2**31], [DAY, str(OTHER), -1], [DAY.replace(tzinfo=None), str(OTHER), 1]):
        with pytest.raises(BadCursor):
            await filled.page(AttemptQuery(after=CURSOR.write(*key)))
