"""Intake: a batch owes each event once, however often it comes and wherever the ledger goes away in between."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest
from dispatchers import SECRETS_KEY, STORE, DispatcherHarness, an_event
from ledgers import add_endpoints_of_numbers
from proxy import Proxy, proxied
from waiting import until

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE
from dispatcher.maintenance.overdue import find
from dispatcher.policy.endpoint import FaxMatch
from shared.backoff import DEFER_WAITS_SECONDS
from shared.domain import EventType
from shared.seal import Seal


class CutOffAfterLooking(EndpointStore):
    """Cuts the connection to the ledger once, before or after the batch's deliveries are written."""

    proxy: Proxy
    stalls: bool

    async def of_events(self, connection, events):
        found = await super().of_events(connection, events)
        if self.stalls:
            self.proxy.stall(both=False)  # what is sent arrives, and no answer comes back
        else:
            self.proxy.cut()
        return found


@pytest.mark.parametrize("stalls", [False, True], ids=["before the deliveries", "with the commit in doubt"])
async def test_a_batch_that_comes_again_after_the_ledger_went_away_owes_each_event_once(
    harness: DispatcherHarness, *, stalls: bool
) -> None:
    await harness.endpoint()
    await harness.endpoint()
    events = [an_event(number) for number in range(3)]
    async with proxied(harness.environment["DATABASE_URL"]) as (proxy, url):
        pool = await asyncpg.create_pool(url, min_size=0, command_timeout=1.0)
        store = CutOffAfterLooking(Seal([SECRETS_KEY]))
        store.proxy, store.stalls = proxy, stalls
        with pytest.raises(LEDGER_UNAVAILABLE):
            await Intake(pool, store).take(events)
        pool.terminate()
    taken = await harness.take(*events)
    again = await harness.take(*events)
    rows = await harness.deliveries()
    assert len(rows) == 2 * len(events)
    assert {row["state"] for row in rows} == {"pending"}
    assert all(row["lease_until"] is not None for row in rows), "for the sweeper, where the process has lost them"
    assert len(taken.deliveries) in {0, len(rows)}, "all of the batch, or nothing of it"
    assert (again.fresh, again.deliveries) == (frozenset(), [])


async def test_nothing_is_owed_for_an_event_whose_body_was_pruned_and_the_others_of_its_batch_go_on(
    harness: DispatcherHarness,
) -> None:
    old, unowed = an_event(1), an_event(2)
    await harness.take(old, unowed)
    await harness.pool.execute("UPDATE events SET body = NULL WHERE id = $1", old.id)
    endpoints = [
        await harness.endpoint(scope="fax", match=FaxMatch(provider=event.provider, fax_id=event.fax_id))
        for event in (old, unowed)
    ]
    taken = await harness.take(old, unowed)
    assert taken.fresh == frozenset()
    assert [each.event.id for each in taken.deliveries] == [unowed.id]
    intake = Intake(harness.pool, STORE)
    assert [await intake.owe_registered(endpoint) for endpoint in endpoints] == [0, 0]


async def test_a_batch_reads_only_its_own_endpoints_also_by_a_plan_that_was_made_while_there_were_few(
    harness: DispatcherHarness,
) -> None:
    async def rows_read(connection: asyncpg.Connection) -> int:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        return await connection.fetchval("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'endpoints'")

    received = {"event_type": EventType.RECEIVED, "to_number": "+1555000077"}
    await add_endpoints_of_numbers(harness.pool, 100)
    await harness.pool.execute("ANALYZE endpoints")
    async with asyncpg.create_pool(harness.environment["DATABASE_URL"], min_size=1, max_size=1) as pool:
        intake = Intake(pool, STORE)
        for number in range(10):  # from the sixth on, the plan is kept
            await intake.take([an_event(number, **received)])
            await intake.owe_unowed([an_event(number, **received).id], leased=True)
        await harness.pool.execute("DELETE FROM endpoints")
        await add_endpoints_of_numbers(harness.pool, 100_000)
        async with pool.acquire() as connection:
            before = await rows_read(connection)
        taken = await intake.take([an_event(10, **received), an_event(11)])
        async with pool.acquire() as connection:
            assert await rows_read(connection) == before
    assert [each.event.id for each in taken.deliveries] == [an_event(10, **received).id]


async def test_a_change_that_was_committed_before_a_batch_is_in_force_for_all_of_it(harness: DispatcherHarness) -> None:
    """The batch waits for another one's fax; the endpoints change meanwhile."""
    old, new = [await harness.endpoint(enabled=False) for _ in range(2)]
    async with harness.pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE faxes IN ACCESS EXCLUSIVE MODE")
        taking = asyncio.create_task(harness.take(an_event(1)))
        await until(lambda: waits_for_a_lock(harness.pool), "the batch waits")
        await STORE.remove(harness.pool, old.id)
        await STORE.update(harness.pool, msgspec.structs.replace(new, enabled=True, url="http://new.example/"))
    (owed,) = (await taking).deliveries
    assert (owed.endpoint.id, owed.endpoint.url) == (new.id, "http://new.example/")


async def test_what_comes_while_its_endpoint_gets_no_attempts_is_written_as_deferred_and_never_leased(
    harness: DispatcherHarness,
) -> None:
    wait = DEFER_WAITS_SECONDS[0]
    hanging, well = await harness.endpoint(), await harness.endpoint()
    paused = await harness.endpoint(paused=True)
    intake = Intake(harness.pool, STORE, lambda endpoint: None if endpoint.id == well.id else wait)
    taken = await intake.take([an_event(number) for number in range(3)])
    rows = {row["id"]: row for row in await harness.deliveries()}
    assert [each.endpoint_id for each in taken.deliveries] == [well.id] * 3
    assert len(taken.parked) == 3, "a paused endpoint's wait for it to be resumed"
    assert [(each.endpoint_id, each.attempt, each.wait_seconds) for each in taken.deferred] == [
        (hanging.id, 1, wait)
    ] * 3
    assert [rows[each.delivery_id]["event_id"] for each in taken.deferred] == [each.event_id for each in taken.deferred]
    assert sorted(taken.owed_ids) == sorted(each for number in range(3) for each in [an_event(number).id] * 3)
    assert {row["endpoint_id"] for row in rows.values() if row["lease_until"] is not None} == {well.id}
    overdue = await find(harness.pool, 0.0, 10, before=datetime.now(UTC) + timedelta(seconds=wait - 1))
    assert {each.endpoint_id for each in overdue} <= {well.id}, "not due before"
    overdue = await find(harness.pool, 0.0, 10, before=datetime.now(UTC) + timedelta(seconds=wait))
    assert {each.delivery_id for each in taken.deferred} <= {each.delivery_id for each in overdue}, (
        "the sweeper finds what lost its message"
    )
    assert paused.id not in {each.endpoint_id for each in overdue}


async def test_what_is_owed_to_no_endpoint_at_first_is_deferred_all_the_same_and_left_to_the_sweeper_at_once(
    harness: DispatcherHarness,
) -> None:
    intake = Intake(harness.pool, STORE, lambda _endpoint: DEFER_WAITS_SECONDS[0])
    event, other = an_event(1), an_event(2)
    await intake.take([event, other])
    own = FaxMatch(provider=event.provider, fax_id=event.fax_id)
    await harness.endpoint(scope="fax", match=own)
    late = await intake.owe_unowed([event.id], leased=True)
    assert ([each.event_id for each in late.deferred], late.deliveries) == ([event.id], [])
    await harness.endpoint(scope="fax", match=FaxMatch(provider=other.provider, fax_id=other.fax_id))
    left = await intake.owe_unowed([other.id], leased=False)
    assert left.deferred == []
    assert [each.event_id for each in await find(harness.pool, None, 10)] == [other.id]


async def waits_for_a_lock(pool: asyncpg.Pool) -> bool:
    return await pool.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())"
    )
