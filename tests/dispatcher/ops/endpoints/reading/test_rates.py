"""Rates are counted from the attempts in the ledger, over an hour, a day and a week; a sample of many is called one."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from large_ledgers import add_faxes
from ledgers import endpoint

from dispatcher.ops.endpoints.reading import rates
from dispatcher.ops.endpoints.reading.rates import EndpointRate, read_rates
from dispatcher.policy.endpoint import Endpoint
from shared.domain import utc_now
from shared.ids import first_uuid7

ADD = """
WITH owed AS (
    INSERT INTO deliveries (id, event_id, endpoint_id, state, attempts, settled_at)
    SELECT $2::uuid, $2::uuid::text, $1, $3, 1, $4 RETURNING id
)
INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome)
SELECT id, 1, $4, $5, CASE $3 WHEN 'told' THEN 'told' ELSE 'not_told' END FROM owed
"""


async def tried(
    pool: asyncpg.Pool, to: Endpoint, owed_at: datetime, state: str = "told", *, seconds: float = 0.1, **at: Any
) -> None:
    """Write a delivery that was owed then, and an attempt at it, by itself at the same time."""
    number = int(await pool.fetchval("SELECT count(*) FROM deliveries"))
    delivery_id = first_uuid7(owed_at).int | 0x7 << 76 | 0x2 << 62 | number
    await pool.execute(ADD, to.id, f"{delivery_id:032x}", state, at.get("tried_at", owed_at), seconds)


async def rates_of(pool: asyncpg.Pool, to: Endpoint, now: datetime) -> dict[str, EndpointRate]:
    return {rate.span: rate for rate in (await read_rates(pool, to.id, now)).items}


async def test_attempts_are_counted_in_the_spans_that_they_were_made_in(pool: asyncpg.Pool) -> None:
    now, wanted, other = utc_now(), await endpoint(pool), await endpoint(pool)
    for minutes, state, seconds in ((1, "told", 0.1), (2, "retrying", 15.0), (50, "told", 0.3), (70, "told", 0.2)):
        await tried(pool, wanted, now - timedelta(minutes=minutes), state, seconds=seconds)
    await tried(pool, wanted, now - timedelta(days=6), "dead", seconds=1.0)
    await tried(pool, wanted, now - timedelta(days=8))
    await tried(pool, other, now - timedelta(minutes=1), "dead")
    found = await rates_of(pool, wanted, now)
    assert {span: (rate.told, rate.failed) for span, rate in found.items()} == {
        "hour": (2, 1),
        "day": (3, 1),
        "week": (3, 2),
    }
    hour = found["hour"]
    assert (hour.success, hour.median_seconds, hour.is_sample) == (pytest.approx(2 / 3), 0.3, False)
    assert [(each.told, each.failed) for each in hour.slices] == [(0, 0), (0, 0), (1, 0), *[(0, 0)] * 8, (1, 1)]
    assert all(sum(each.told for each in rate.slices) == rate.told for rate in found.values())


async def test_an_old_delivery_counts_where_it_was_tried(pool: asyncpg.Pool) -> None:
    now, wanted = utc_now(), await endpoint(pool)
    for state in ("retrying", "dead"):
        await tried(pool, wanted, now - timedelta(days=3), state, tried_at=now - timedelta(minutes=3))
    assert (await rates_of(pool, wanted, now))["hour"].failed == 2


async def test_without_an_attempt_there_is_no_rate(pool: asyncpg.Pool) -> None:
    rate = (await rates_of(pool, await endpoint(pool), utc_now()))["week"]
    assert (rate.success, rate.median_seconds, rate.is_sample, len(rate.slices)) == (None, None, False, 28)


async def test_of_more_than_are_looked_at_it_is_a_sample_and_says_so(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "WALKED_AT_MOST", 3)
    now, wanted = utc_now(), await endpoint(pool)
    for second in range(5):
        await tried(pool, wanted, now - timedelta(seconds=10 + second))
    hour = (await rates_of(pool, wanted, now))["hour"]
    assert (hour.told, hour.is_sample) == (3, True)


async def test_no_attempts_are_read_but_those_of_the_deliveries_that_are_looked_at(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "WALKED_AT_MOST", 10)
    ids = [(await endpoint(pool)).id for _ in range(10)]
    await add_faxes(pool, 8_000, ids)  # 1,900 of them in the last week
    asked: list[tuple[str, tuple[Any, ...]]] = []

    class RecordingPool:
        async def fetch(self, statement: str, *values: Any) -> Any:
            asked.append((statement, values))
            return await pool.fetch(statement, *values)

    recording: Any = RecordingPool()
    week = (await read_rates(recording, ids[0], utc_now())).items[-1]
    assert (week.told + week.failed >= 20, week.is_sample) == (True, True)
    for statement, values in asked:
        plan = await pool.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values)
        scans = [
            each for each in nodes(msgspec.json.decode(plan)[0]["Plan"]) if each.get("Relation Name") == "attempts"
        ]
        read = sum(
            (each["Actual Rows"] + each.get("Rows Removed by Filter", 0)) * each["Actual Loops"] for each in scans
        )
        assert len(scans) > 0
        assert read <= 300, scans


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)
