"""What failed, when, why and for whom is found; pages neither skip nor repeat; contradictions are refused."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from dispatchers import an_event
from ledgers import endpoint, take

from dispatcher.ops.api.moments import BadMoment
from dispatcher.ops.faxes.lists import walk
from dispatcher.ops.faxes.lists.lists import Contradiction
from dispatcher.ops.faxes.lists.queries import DeliveryQuery, EventQuery, FaxQuery
from dispatcher.ops.faxes.reader import FaxReader
from shared.domain import Direction, EventType, Failure, Phase
from shared.ids import uuid7

DAY = datetime(2026, 10, 3, tzinfo=UTC)
BUSY = Failure(type="lineError", code="42", message="Busy")


@pytest.fixture
async def filled(pool: asyncpg.Pool) -> FaxReader:
    """Ten faxes, one each hour from 18:00 on; the even ones failed, the third part of them busy."""
    await endpoint(pool)
    for number in range(10):
        is_failed = number % 2 == 0
        await take(
            pool,
            an_event(
                number,
                EventType.FAILED if is_failed else EventType.DELIVERED,
                received_at=DAY + timedelta(hours=18 + number),
                failure=BUSY if number in {0, 6} else None,
                job_id=f"job-{number}",
                to_number="+15550100102" if number < 5 else "+15550100103",
            ),
        )
    return FaxReader(pool)


async def everything(read: Callable[[Any], Awaitable[Any]], query: Any) -> list[Any]:
    items: list[Any] = []
    while True:
        page = await read(query)
        items += page.items
        if page.next is None:
            return items
        query = msgspec.structs.replace(query, after=page.next)


@pytest.mark.parametrize("walked_at_most", [3, 20_000])
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"failed": True}, "86420"),
        ({"failed": False}, "97531"),
        ({"failed": True, "since": "2026-10-03", "until": "2026-10-04"}, "420"),
        ({"since": "2026-10-03T20:00:00Z", "until": "2026-10-03T23:00:00+01:00"}, "32"),
        ({"failure": "lineError"}, "60"),
        ({"failure": "42", "since": "2026-10-04"}, "6"),
        ({"state": EventType.FAILED, "number": "103"}, "86"),
        ({"number": "0102"}, "43210"),
        ({"number": "0102", "failed": True, "until": "2026-10-03T20:00:00Z"}, "0"),
        ({"job_id": "job-7"}, "7"),
        ({"job_id": "job-7", "failed": True}, ""),
        ({"number": "010010"}, ""),
    ],
)
async def test_faxes_are_found_by_outcome_time_reason_number_and_job(
    filled: FaxReader, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any], found: str, walked_at_most: int
) -> None:
    monkeypatch.setattr(walk, "WALKED_AT_MOST", walked_at_most)
    for limit in (1, 3, 200):
        items = await everything(filled.faxes, FaxQuery(**wanted, limit=limit))
        assert "".join(each.fax_id for each in items) == found, limit


async def test_a_fax_in_a_list_says_why_it_failed_and_how_its_webhooks_stand(
    filled: FaxReader, pool: asyncpg.Pool
) -> None:
    await pool.execute("UPDATE deliveries SET state = 'dead' WHERE event_id = 'phaxio:0-fax.failed'")
    by_id = {each.fax_id: each for each in (await filled.faxes(FaxQuery())).items}
    assert by_id["0"].failure == BUSY
    assert by_id["1"].failure is None
    assert (by_id["0"].webhooks.dead, by_id["0"].webhooks.pending) == (1, 0)
    assert (by_id["1"].webhooks.dead, by_id["1"].webhooks.pending) == (0, 1)
    await pool.execute("UPDATE events SET body = NULL")
    assert {each.failure for each in (await filled.faxes(FaxQuery())).items} == {None}
    assert (await filled.faxes(FaxQuery(failure="42"))).items == ()


@pytest.mark.parametrize("walked_at_most", [2, 20_000])
async def test_faxes_with_failing_webhooks_are_found_once_each_however_many_of_them_fail(
    filled: FaxReader, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, walked_at_most: int
) -> None:
    other = await endpoint(pool, url="http://127.0.0.1:1/b")
    await pool.execute(
        """
        INSERT INTO deliveries (id, event_id, endpoint_id, state)
        SELECT $1, 'phaxio:3-fax.delivered', $2, 'dead'
        """,
        uuid7(),
        other.id,
    )
    await pool.execute(
        "UPDATE deliveries SET state = 'retrying' WHERE event_id LIKE 'phaxio:3-%' AND state = 'pending'"
    )
    await pool.execute("UPDATE deliveries SET state = 'retrying' WHERE event_id LIKE ANY('{phaxio:5-%,phaxio:6-%}')")
    monkeypatch.setattr(walk, "WALKED_AT_MOST", walked_at_most)

    async def found(limit: int, **wanted: Any) -> str:
        return "".join(each.fax_id for each in await everything(filled.faxes, FaxQuery(**wanted, limit=limit)))

    for limit in (1, 2, 200):
        assert await found(limit, webhooks="failing") == "365"
        assert await found(limit, webhooks="dead") == "3"
        assert await found(limit, webhooks="failing", number="103") == "65"
        assert await found(limit, webhooks="failing", failed=True) == "6"
        assert await found(limit, webhooks="failing", job_id="job-5") == "5"
        assert await found(limit, webhooks="failing", until="2026-10-04") == "35"
        assert await found(limit, endpoint_id=other.id) == "3"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"since": "2000-01-01"}, 10),
        ({"until": "2000-01-01"}, 0),
        ({"number": "0102"}, 5),
        ({"job_id": "job-4"}, 1),
        ({"job_id": "job-4", "type": EventType.DELIVERED}, 0),
        ({"type": EventType.FAILED, "number": "103"}, 2),
    ],
)
async def test_events_and_deliveries_are_found_by_the_same(
    filled: FaxReader, wanted: dict[str, Any], found: int
) -> None:
    for limit in (1, 200):
        assert len(await everything(filled.events, EventQuery(**wanted, limit=limit))) == found
        assert len(await everything(filled.deliveries, DeliveryQuery(**wanted, limit=limit))) == found


async def test_deliveries_are_found_by_their_reason(filled: FaxReader, pool: asyncpg.Pool) -> None:
    await pool.execute("UPDATE deliveries SET state = 'dead', reason = 'timeout' WHERE event_id LIKE 'phaxio:7-%'")
    for state in (None, "dead"):
        (found,) = await everything(filled.deliveries, DeliveryQuery(reason="timeout", state=state))
        assert found.event_id == "phaxio:7-fax.delivered"


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"state": EventType.DELIVERED, "failed": True}, "failed"),
        ({"state": EventType.FAILED, "failed": False}, "failed"),
        ({"failure": "42", "failed": False}, "failure"),
        ({"failure": "42", "state": EventType.DELIVERED}, "failure"),
        ({"direction": Direction.RECEIVED, "state": EventType.DELIVERED}, "direction"),
        ({"direction": Direction.SENT, "state": EventType.RECEIVE_FAILED}, "direction"),
    ],
)
async def test_filters_that_contradict_each_other_are_refused(
    filled: FaxReader, wanted: dict[str, Any], field: str
) -> None:
    with pytest.raises(Contradiction) as refused:
        await filled.faxes(FaxQuery(**wanted))
    assert refused.value.field == field
    with pytest.raises(Contradiction, match="reason"):
        await filled.deliveries(DeliveryQuery(state="told", reason="timeout"))
    with pytest.raises(BadMoment):
        await filled.deliveries(DeliveryQuery(since="today", until="yesterday"))


def test_the_states_that_failed_are_endings_and_the_successful_endings_are_not_among_them() -> None:
    from dispatcher.ops.faxes.lists.queries import FAILED  # noqa: PLC0415

    endings = {each for each in EventType if each.phase is Phase.POSTFLIGHT}
    assert endings - FAILED == {EventType.DELIVERED, EventType.RECEIVED}


@pytest.mark.parametrize("walked_at_most", [2, 20_000])
async def test_stalled_faxes_are_found_whatever_their_state_until_they_end(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, walked_at_most: int
) -> None:
    monkeypatch.setattr(walk, "WALKED_AT_MOST", walked_at_most)
    await endpoint(pool)
    await take(pool, *(an_event(n, EventType.SENDING, received_at=DAY + timedelta(hours=n)) for n in range(9)))
    stalled = [an_event(n, EventType.STALLED, received_at=DAY + timedelta(hours=12)) for n in (1, 4, 6, 7)]
    await take(pool, *stalled)
    await take(pool, an_event(4))
    faxes = FaxReader(pool)
    for limit in (1, 3, 200):
        query = FaxQuery(state=EventType.STALLED, limit=limit)
        items = await everything(faxes.faxes, query)
        assert [(each.fax_id, each.state) for each in items] == [(n, EventType.SENDING) for n in "761"]
        assert {each.stalled_at for each in items} == {DAY + timedelta(hours=12)}
        early = msgspec.structs.replace(query, until="2026-10-03T06:30:00Z", failed=False)
        assert "".join(each.fax_id for each in await everything(faxes.faxes, early)) == "61"
        failing = msgspec.structs.replace(query, webhooks="failing")
        assert await everything(faxes.faxes, failing) == []
    with pytest.raises(Contradiction, match="failed"):
        await faxes.faxes(FaxQuery(state=EventType.STALLED, failed=True))
