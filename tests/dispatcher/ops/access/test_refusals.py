"""A flood of refused log-ins costs the audit a bounded number of lines and loses none of their count."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from waiting import until

from dispatcher.ops.access import refusals
from dispatcher.ops.access.refusals import BURST_LINES, MOST_WAITING, Refusals
from dispatcher.ops.api.audit import ORIGIN
from shared.runtime.service import end


@pytest.fixture
async def written(pool: asyncpg.Pool) -> AsyncIterator[Refusals]:
    """Refusals that are written; time stands still, so that no more than the burst is."""
    found = Refusals(pool, clock=lambda: 0.0)
    task = asyncio.create_task(found.run())
    yield found
    await end({task})


async def test_a_flood_is_a_burst_of_lines_and_the_rest_is_counted(written: Refusals, pool: asyncpg.Pool) -> None:
    for number in range(1_000):
        ORIGIN.set(f"10.0.0.{number}")
        written.note("api.refused", "unknown", "the token is not valid here")
    counted = "SELECT count(*) FROM audit"
    await until(lambda: is_at(pool, counted, BURST_LINES), "the burst is written")
    assert len(written._waiting) <= MOST_WAITING + 1
    in_audit = await pool.fetchval("SELECT sum((details ->> 'count')::int) FROM audit")
    assert in_audit + sum(written._waiting.values()) == 1_000
    assert await pool.fetchval("SELECT origin FROM audit ORDER BY id LIMIT 1") == "10.0.0.0"


async def test_equal_refusals_become_one_line_while_the_ledger_is_away(
    written: Refusals, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "LEDGER_SECONDS", 0.02)
    await pool.execute("ALTER TABLE audit RENAME TO audit_away")
    for _ in range(7):
        written.note("console.refused", "Eve", "the token is not valid here")
    await pool.execute("ALTER TABLE audit_away RENAME TO audit")
    counted = "SELECT (details ->> 'count')::int FROM audit WHERE who = 'Eve'"
    await until(lambda: is_at(pool, counted, 7), "one line with the count")


async def is_at(pool: asyncpg.Pool, query: str, wanted: int) -> bool:
    return bool(await pool.fetchval(query) == wanted)
