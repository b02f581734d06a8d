"""Faxes over their limit are found page by page by an index, by the ledger's clock alone."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from dispatchers import an_event
from ledgers import take

from dispatcher.lists.stalled import faxes
from dispatcher.lists.stalled.faxes import UNENDED, stalled_event, unended_faxes
from shared.domain import Direction, EventType, Provider, utc_now

LIMITS = {(provider, direction): 3_600.0 for provider in Provider for direction in Direction}


async def found(pool: asyncpg.Pool) -> list[str]:
    async with pool.acquire() as connection:
        return [fax.fax_id async for fax in unended_faxes(connection, Provider.PHAXIO, LIMITS)]


async def age(pool: asyncpg.Pool, seconds: float, *fax_ids: int) -> None:
    sql = "UPDATE faxes SET recorded_at = now() - make_interval(secs => $1) WHERE fax_id = ANY($2)"
    await pool.execute(sql, seconds, [str(each) for each in fax_ids])


async def test_those_over_their_limit_without_an_ending_are_found_once_the_oldest_first(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faxes, "PER_PAGE", 3)
    await take(pool, *(an_event(n, EventType.QUEUED) for n in range(1, 12)), an_event(3), an_event(99))
    await take(pool, an_event(4, EventType.STALLED), an_event(20, EventType.UNKNOWN))
    await age(pool, 3_590.0, 5)
    for n in (1, 2, 3, 4, 6, 7, 8, 9, 10, 99):
        await age(pool, 7_200.0 - n, n)
    await age(pool, 7_200.0, 11, 20)
    assert await found(pool) == ["11", "20", "1", "2", "6", "7", "8", "9", "10"]


@pytest.mark.parametrize("off", [timedelta(days=-400), timedelta(days=400)])
async def test_neither_an_ingress_s_clock_nor_a_provider_s_makes_a_fax_older_or_younger(
    pool: asyncpg.Pool, off: timedelta
) -> None:
    wrong = utc_now() + off
    await take(pool, *(an_event(n, EventType.QUEUED, received_at=wrong, occurred_at=wrong) for n in (1, 2)))
    await age(pool, 3_601.0, 2)
    assert await found(pool) == ["2"]


async def test_an_index_of_what_is_under_way_is_all_that_is_read(pool: asyncpg.Pool) -> None:
    await pool.execute(
        """
        INSERT INTO faxes (provider, fax_id, direction, state, rank, type_order, event_id, endings,
                           first_received_at, last_received_at, recorded_at)
        SELECT 'phaxio', n::text, 'sent', 'fax.delivered', CASE WHEN n % 1000 = 0 THEN 10 ELSE 100 END, 0, n::text, 0,
               now(), now(), now() - make_interval(hours => 2)
        FROM generate_series(1, 20000) AS n
        """
    )
    await pool.execute("ANALYZE faxes")
    start = datetime(1970, 1, 1, tzinfo=UTC)
    plan = await pool.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {UNENDED}", "phaxio", "sent", 3_600.0, start, "", 500)
    text = "\n".join(row[0] for row in plan)
    assert "faxes_unended" in text
    assert "Seq Scan" not in text
    assert len(await found(pool)) == 20


def test_the_event_has_one_id_for_a_fax_whichever_process_makes_it_and_when() -> None:
    fax = faxes.UnendedFax(
        provider=Provider.TELNYX, fax_id="7", direction=Direction.SENT, state=EventType.SENDING, from_number=None,
        to_number="+1555", job_id=None, pages=None, recorded_at=utc_now(), age_seconds=9.0,
    )  # fmt: skip
    one, other = (stalled_event(fax, limit, "under_way", utc_now()) for limit in (1.0, 2.0))
    assert one.id == other.id
    assert one.id.startswith("telnyx:")
    assert (one.occurred_at, one.phase) == (fax.recorded_at + timedelta(seconds=1), "inflight")
