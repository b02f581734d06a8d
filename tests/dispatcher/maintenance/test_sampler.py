"""One dispatcher reports what the ledger owes, at little cost, and another takes over when it is gone."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from dispatchers import an_event
from ledgers import ADVISORY_LOCKS
from waiting import until

from dispatcher.ledger.locks import Lock
from dispatcher.ledger.pool import open_pool
from dispatcher.maintenance.sampler import SAMPLE, Sampler, sample
from dispatcher.metrics import Metrics


@asynccontextmanager
async def sampling(database_url, metrics=None):
    metrics = metrics or Metrics()

    async def known():
        pass

    pool = await open_pool(database_url, size=1)
    task = asyncio.create_task(Sampler(pool, metrics, every_seconds=0.05).run(known))
    try:
        yield metrics
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await pool.close()


@pytest.fixture
async def owing(harness):
    await harness.endpoint()
    await harness.take(*(an_event(number) for number in range(5)))
    return harness


async def test_a_sample_counts_what_is_owed_and_due_and_how_long(owing):
    found = await sample(owing.pool)
    assert (found.owed, found.due, found.oldest_overdue_seconds) == (
        5,
        0,
        0.0,
    )  # leased to the process that took them in
    await owing.pool.execute(
        "UPDATE deliveries SET lease_until = NULL, due_at = now() - interval '90 s' "
        "WHERE id IN (SELECT id FROM deliveries ORDER BY id LIMIT 2)"
    )
    await owing.pool.execute(
        "UPDATE deliveries SET state = 'told', settled_at = now() WHERE id = (SELECT max(id::text)::uuid FROM deliveries)"
    )
    found = await sample(owing.pool)
    assert (found.owed, found.due) == (4, 2)
    assert 90 <= found.oldest_overdue_seconds < 120


async def test_an_empty_ledger_owes_nothing(harness):
    found = await sample(harness.pool)
    assert (found.owed, found.due, found.oldest_overdue_seconds) == (0, 0, 0.0)


async def test_one_process_tells_and_the_next_one_takes_over(owing, database_url):
    async with sampling(database_url) as second:
        async with sampling(database_url) as first:
            await until(lambda: first.sample or second.sample, "a sample")
            for _ in range(5):
                assert (first.sample is None) != (second.sample is None)
                await asyncio.sleep(0.02)  # some samples later
            leader, other = (first, second) if first.sample else (second, first)
            assert b"\nfaxhook_owed_deliveries 5.0\n" in leader.render()
            assert b"\nfaxhook_owed_deliveries " not in other.render()
        await until(lambda: second.sample, "the second takes over, or goes on")


class Remembering(Metrics):
    """Metrics that keep each sample they are given, and each end of telling."""

    def __setattr__(self, name, value):
        if name == "sample":
            self.__dict__.setdefault("samples", []).append(value)
        super().__setattr__(name, value)


async def test_a_connection_that_breaks_is_replaced_and_nothing_stale_is_told(owing, database_url):
    async with sampling(database_url, Remembering()) as metrics:
        await until(lambda: metrics.sample, "a sample")
        pid = await owing.pool.fetchval(f"SELECT pid FROM {ADVISORY_LOCKS} WHERE objid = $1", Lock.SAMPLE)  # noqa: S608 - a constant
        before = len(metrics.samples)
        assert await owing.pool.fetchval("SELECT pg_terminate_backend($1)", pid)
        await until(lambda: None in metrics.samples[before:], "nothing stale")
        await until(lambda: metrics.sample, "a sample again")


async def test_what_is_due_is_found_by_the_index(owing):
    async with owing.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch(f"EXPLAIN {SAMPLE.replace('$1', '10').replace('$2', '10')}")
    text = "\n".join(row[0] for row in plan)
    assert text.count("deliveries_to_look_at") == 3, text
