"""One step of pruning takes all of an event's content or nothing: never what is owed, dead or locked. Rows and ids stay."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dispatchers import DispatcherHarness, an_event
from hypothesis import given
from hypothesis import strategies as st
from old_events import an_old_event, in_state, payloads, tried

from dispatcher.ledger.pruning import Old, few, old_events, prune, prune_jobs
from shared.domain import Media
from shared.ids import uuid7

KEY = "ab/" + "ab" * 32
START = (datetime.min.replace(tzinfo=UTC), "")


def limit() -> datetime:
    return datetime.now(UTC) - timedelta(days=30)


async def old(harness: DispatcherHarness, most: int = 100, after: tuple[datetime, str] = START) -> list[Old]:
    return await old_events(harness.pool, limit(), after, most)


async def test_old_events_come_in_order_page_by_page_with_what_they_cost_and_whether_they_are_over(
    harness: DispatcherHarness,
) -> None:
    await harness.endpoint()
    await in_state(harness, an_old_event(1), "told", tried=3)
    await in_state(harness, an_old_event(2), "dead", tried=2)
    await in_state(harness, an_old_event(3), "retrying", settled=None)
    await in_state(harness, an_old_event(4), "told", settled=timedelta(days=29))
    await in_state(harness, an_event(5, received_at=datetime.now(UTC)), "told", settled=timedelta())
    found = await old(harness)
    assert [(each.event_id, each.attempts, each.is_over) for each in found] == [
        ("phaxio:1-fax.delivered", 3, True),
        ("phaxio:2-fax.delivered", 2, False),
        ("phaxio:3-fax.delivered", 1, False),
        ("phaxio:4-fax.delivered", 1, False),
    ]
    first = await old(harness, 3)
    assert first + await old(harness, 3, (first[-1].received_at, first[-1].event_id)) == found


@pytest.mark.parametrize(
    ("state", "settled", "goes"),
    [
        ("told", timedelta(days=31), True),
        ("skipped", timedelta(days=31), True),
        ("told", timedelta(days=29), False),
        ("pending", None, False),
        ("retrying", None, False),
        ("dead", timedelta(days=31), False),
    ],
)
async def test_a_step_prunes_what_is_settled_since_the_limit_and_leaves_what_is_owed_or_dead(
    harness: DispatcherHarness, state: str, settled: timedelta | None, goes: bool
) -> None:
    await harness.endpoint()
    event = an_old_event(1)
    await in_state(harness, event, state, settled=settled, tried=2)
    async with harness.pool.acquire() as connection:
        step = await prune(connection, [event.id], limit())
    assert (step.event_ids, step.attempts) == ((frozenset({event.id}), 2) if goes else (frozenset(), 0))
    assert await payloads(harness) == await tried(harness) == (set() if goes else {"1"})
    assert len(await harness.deliveries()) == await harness.pool.fetchval("SELECT count(*) FROM events") == 1


async def test_a_locked_event_is_left_for_the_next_step(harness: DispatcherHarness) -> None:
    await harness.endpoint()
    events = [an_old_event(number) for number in (1, 2)]
    for event in events:
        await in_state(harness, event, "told")
    async with harness.pool.acquire() as intake, harness.pool.acquire() as connection:
        async with intake.transaction():
            await intake.execute("SELECT FROM events WHERE id = $1 FOR KEY SHARE", events[0].id)
            assert (await prune(connection, [each.id for each in events], limit())).event_ids == {events[1].id}
        assert (await prune(connection, [each.id for each in events], limit())).event_ids == {events[0].id}
        assert (await prune(connection, [], limit())).event_ids == frozenset()


async def test_the_documents_of_pruned_events_are_noted_once_and_no_others(harness: DispatcherHarness) -> None:
    await harness.endpoint()
    gone = [an_old_event(number, media=Media(key=KEY)) for number in (1, 2)]
    kept = an_old_event(3, media=Media(key="cd/" + "cd" * 32))
    for event, state in ((gone[0], "told"), (gone[1], "told"), (kept, "dead")):
        await in_state(harness, event, state)
    async with harness.pool.acquire() as connection:
        await prune(connection, [each.id for each in (*gone, kept)], limit())
    assert [row[0] for row in await harness.pool.fetch("SELECT * FROM documents_to_prune")] == [KEY]


async def test_finished_jobs_go_a_few_items_at_a_time_and_running_ones_stay(harness: DispatcherHarness) -> None:
    async def job(finished_at: datetime | None, items: int) -> Any:
        job_id = uuid7()
        await harness.pool.execute(
            "INSERT INTO jobs (id, what, who, selection, lease_until, finished_at) "
            "VALUES ($1, 'dead.replay', 'cli', '{}', now(), $2)",
            job_id,
            finished_at,
        )
        await harness.pool.executemany(
            "INSERT INTO job_items (job_id, letter_id, kind, state) VALUES ($1, $2, 'event', 'done')",
            [(job_id, f"{job_id} {number}") for number in range(items)],
        )
        return job_id

    now = datetime.now(UTC)
    await job(now - timedelta(days=31), 5)
    kept = {await job(now - timedelta(days=29), 1), await job(None, 1)}
    assert [await prune_jobs(harness.pool, limit(), 3) for _ in range(3)] == [3, 3, 0], "3 items; 2 and their job"
    assert {row["id"] for row in await harness.pool.fetch("SELECT id FROM jobs")} == kept
    assert await harness.pool.fetchval("SELECT count(*) FROM job_items") == 2


@given(costs=st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=12), most=st.integers(0, 30))
def test_a_step_is_the_longest_front_within_the_bound_and_at_least_one_event(
    costs: list[tuple[int, bool]], most: int
) -> None:
    found = [
        Old(event_id=str(number), received_at=datetime.min.replace(tzinfo=UTC), attempts=attempts, is_over=is_over)
        for number, (attempts, is_over) in enumerate(costs)
    ]

    def cost(events: list[Old]) -> int:
        return sum(each.attempts for each in events if each.is_over)

    taken = few(found, most)
    assert taken == found[: len(taken)]
    assert len(taken) >= min(1, len(found))
    assert cost(taken) <= most or len(taken) == 1
    assert len(taken) == len(found) or cost(found[: len(taken) + 1]) > most
