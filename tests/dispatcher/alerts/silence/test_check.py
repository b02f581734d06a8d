"""Silence over a real ledger: faxes are counted by the hour within bounds, learnt, told, and over with the next callback."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import open_subjects
from dispatcher.alerts.silence import check, hours
from dispatcher.alerts.silence.check import SilenceCheck
from dispatcher.alerts.silence.judging import Line
from shared.domain import utc_now

FILL = """
INSERT INTO faxes (provider, fax_id, direction, state, rank, type_order, event_id, endings, from_number, to_number,
                   first_received_at, last_received_at)
SELECT 'telnyx', 'f' || number, CASE number % 4 WHEN 0 THEN 'sent' ELSE 'received' END, 'fax.received', 100, 1,
       'e' || number, 1, CASE number % 4 WHEN 0 THEN '+15550100' ELSE '+19995550' END,
       CASE number % 4 WHEN 0 THEN '+19995550' ELSE '+1555010' || number % 2 END,
       at, at
FROM (
    SELECT row_number() OVER () AS number, at FROM generate_series($1::timestamptz, $2, interval '7 minutes') AS at
    WHERE extract(hour FROM at AT TIME ZONE 'UTC') BETWEEN 8 AND 16 AND extract(isodow FROM at AT TIME ZONE 'UTC') < 6
) AS times
"""
TUESDAY = datetime(2026, 11, 24, tzinfo=UTC)


async def fill(pool: asyncpg.Pool, since: datetime, until: datetime) -> None:
    await pool.execute(FILL, since, until)


async def counted(pool: asyncpg.Pool, now: datetime, since: datetime | None = None) -> int:
    """Count until all is; return how many calls that took."""
    for calls in range(1, 100):
        if (since := await hours.count_hours(pool, since, now)) == now:
            return calls
    raise AssertionError("it does not come to its end")


async def ready(pool: asyncpg.Pool, now: datetime) -> SilenceCheck:
    made = SilenceCheck()
    await counted(pool, now)
    made._profiles = await hours.learn_lines(pool, now)
    return made


async def test_an_outage_is_told_once_for_the_provider_and_is_over_with_the_next_fax(pool: asyncpg.Pool) -> None:
    noon = TUESDAY.replace(hour=12)
    await fill(pool, TUESDAY - timedelta(weeks=8), noon)
    made = await ready(pool, noon)
    await made.judge(pool, noon + timedelta(minutes=20))
    assert await open_subjects(pool, Kind.SILENCE) == set()
    for later in (3, 4):
        await made.judge(pool, noon + timedelta(hours=later))
        assert await open_subjects(pool, Kind.SILENCE) == {"telnyx"}
    what = await pool.fetchval("SELECT what FROM alerts")
    assert what.startswith("telnyx: no callback of a fax for 4.1 h, since 2026-11-24 11:54 UTC")
    later = noon + timedelta(hours=4, minutes=10)
    await pool.execute("UPDATE faxes SET fax_id = 'new', first_received_at = $1 WHERE fax_id = 'f1'", later)
    await counted(pool, later)
    await made.judge(pool, later)
    assert await open_subjects(pool, Kind.SILENCE) == set()


async def test_each_of_our_numbers_is_a_line_and_the_other_side_s_are_not(pool: asyncpg.Pool) -> None:
    noon = TUESDAY.replace(hour=12)
    await fill(pool, TUESDAY - timedelta(weeks=5), noon)
    made = await ready(pool, noon)
    assert set(made._profiles) == {
        Line("telnyx"),
        Line("telnyx", "sent", "+15550100"),
        Line("telnyx", "received", "+15550100"),
        Line("telnyx", "received", "+15550101"),
    }
    # One number goes quiet while the others do not.
    await pool.execute(
        "DELETE FROM faxes WHERE to_number = '+15550101' AND first_received_at >= $1", noon - timedelta(hours=3)
    )
    await pool.execute("DELETE FROM line_hours WHERE number = '+15550101' AND hour >= $1", noon - timedelta(hours=3))
    await made.judge(pool, noon)
    assert await open_subjects(pool, Kind.SILENCE) <= {"telnyx received +15550101"}


async def test_counting_goes_on_where_it_ended_in_steps_and_what_comes_late_is_counted(pool: asyncpg.Pool) -> None:
    noon = TUESDAY.replace(hour=12)
    await fill(pool, TUESDAY - timedelta(weeks=8), noon - timedelta(hours=1))
    assert await counted(pool, noon) > 20  # at first some hours in each call, over weekends without a fax
    before = await pool.fetchval("SELECT sum(slots) FROM line_hours")
    assert await counted(pool, noon) == 1
    assert await pool.fetchval("SELECT sum(slots) FROM line_hours") == before
    late = noon - timedelta(hours=1, minutes=31)
    await pool.execute("UPDATE faxes SET fax_id = 'late', first_received_at = $1 WHERE fax_id = 'f1'", late)
    await counted(pool, noon)
    assert await pool.fetchval("SELECT sum(slots) FROM line_hours") >= before


async def test_a_batch_counts_as_the_minutes_it_took_and_a_fax_of_the_list_not_at_all(pool: asyncpg.Pool) -> None:
    at = TUESDAY.replace(hour=2)
    await pool.execute(
        FILL.replace("7 minutes", "2 seconds"), TUESDAY.replace(hour=9), TUESDAY.replace(hour=9, minute=9)
    )
    await counted(pool, TUESDAY.replace(hour=10))
    assert await pool.fetchval("SELECT slots FROM line_hours WHERE direction = 'any'") == 2
    await pool.execute("UPDATE faxes SET listed = 4, first_received_at = $1", at)
    await pool.execute("DELETE FROM line_hours")
    await counted(pool, TUESDAY.replace(hour=10))
    assert await pool.fetchval("SELECT count(*) FROM line_hours") == 0


async def test_nothing_is_judged_while_faxes_wait_for_the_dispatcher(pool: asyncpg.Pool, monkeypatch: Any) -> None:
    now = utc_now()
    await fill(pool, now - timedelta(weeks=8), now - timedelta(days=20))
    await pool.execute(
        """
        INSERT INTO events (id, provider, fax_id, type, received_at)
        VALUES ('e', 'telnyx', 'f1', 'fax.received', now() - interval '1 hour')
        """
    )
    monkeypatch.setattr(check, "WARM_UP_SECONDS", 0.0)
    judged = []
    made = SilenceCheck()

    async def judge(*_given: Any) -> None:
        judged.append(1)

    monkeypatch.setattr(made, "judge", judge)
    for _ in range(60):
        await made.look(pool)
    assert judged == []
    await pool.execute("UPDATE events SET received_at = now()")
    await made.look(pool)
    assert judged == [1]


async def test_an_empty_ledger_is_not_silent(pool: asyncpg.Pool) -> None:
    made = SilenceCheck()
    for _ in range(40):
        await made.look(pool)
    await made.judge(pool, utc_now())
    assert await open_subjects(pool, Kind.SILENCE) == set()
