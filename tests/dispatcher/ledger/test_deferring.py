"""What may not be attempted now is deferred without a lease; what the claim would treat in another way is left to it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from dispatchers import STORE, DispatcherHarness, an_event

from dispatcher.ledger import deliveries, parking
from dispatcher.maintenance.overdue import find
from dispatcher.policy.delivery import Refused
from dispatcher.policy.endpoint import Endpoint

MARGIN = 15.0
WAIT = 60.0
LONGEST = 3_600.0


def refused(endpoint: Endpoint) -> Refused:
    urls = {"url": endpoint.url, "failover_url": endpoint.failover_url}
    return Refused(endpoint_id=endpoint.id, wait_seconds=WAIT, **urls)


async def a_free_one(harness: DispatcherHarness, **fields: Any) -> tuple[Endpoint, UUID]:
    """Return an endpoint and the delivery that it is owed, which has no lease."""
    endpoint = await harness.endpoint(**fields)
    (delivery,) = (await harness.take(an_event(1))).deliveries
    await deliveries.release(harness.pool, [(delivery, 0.0)])
    return endpoint, delivery.delivery_id


@pytest.mark.parametrize("failover_url", [None, "https://other.example/"])
async def test_it_is_due_after_its_wait_and_may_be_claimed_as_before(
    harness: DispatcherHarness, failover_url: str | None
) -> None:
    endpoint, delivery_id = await a_free_one(harness, failover_url=failover_url)
    await harness.pool.execute("UPDATE deliveries SET due_at = now() - interval '7 seconds'")
    (deferred,) = await deliveries.defer(harness.pool, [(delivery_id, 1)], [refused(endpoint)], LONGEST)
    assert 7.0 <= deferred.overdue_seconds < 60.0
    assert msgspec.structs.replace(deferred, overdue_seconds=0.0) == deliveries.Deferred(
        delivery_id=delivery_id, event_id=an_event(1).id, endpoint_id=endpoint.id, attempt=1, wait_seconds=WAIT
    )
    row = await harness.pool.fetchrow(
        "SELECT state, attempts, lease_until, extract(epoch FROM due_at - now())::float8 AS wait FROM deliveries"
    )
    assert (row["state"], row["attempts"], row["lease_until"]) == ("pending", 0, None)
    assert WAIT - 10.0 < row["wait"] <= WAIT
    assert len(await deliveries.claim(harness.pool, STORE, [(delivery_id, 1)], MARGIN)) == 1


async def test_if_its_message_is_lost_the_sweeper_finds_it_after_its_wait_and_not_before(
    harness: DispatcherHarness,
) -> None:
    endpoint, delivery_id = await a_free_one(harness)
    assert await deliveries.defer(harness.pool, [(delivery_id, 1)], [refused(endpoint)], LONGEST)
    now = datetime.now(UTC)
    assert await find(harness.pool, 0.0, 10, before=now + timedelta(seconds=WAIT - 10.0)) == []
    overdue = await find(harness.pool, 0.0, 10, before=now + timedelta(seconds=WAIT + 10.0))
    assert [each.delivery_id for each in overdue] == [delivery_id]


async def test_a_lease_that_ran_out_with_its_process_is_no_hindrance(harness: DispatcherHarness) -> None:
    endpoint, delivery_id = await a_free_one(harness)
    await harness.pool.execute("UPDATE deliveries SET lease_until = now() - interval '1 second'")
    assert await deliveries.defer(harness.pool, [(delivery_id, 1)], [refused(endpoint)], LONGEST)
    assert await harness.pool.fetchval("SELECT lease_until FROM deliveries") is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE deliveries SET lease_until = now() + interval '1 minute'",
        "UPDATE deliveries SET attempts = 1, state = 'retrying'",
        "UPDATE deliveries SET state = 'told', settled_at = now()",
        "UPDATE deliveries SET created_at = now() - interval '2 hours'",
        "UPDATE endpoints SET url = 'https://new.example/'",
        "UPDATE endpoints SET failover_url = 'https://new.example/'",
        "UPDATE endpoints SET enabled = false",
        "UPDATE endpoints SET paused = true",
        "UPDATE endpoints SET removed_at = now()",
    ],
)
async def test_what_the_claim_would_treat_in_another_way_is_left_to_it(harness: DispatcherHarness, change: str) -> None:
    endpoint, delivery_id = await a_free_one(harness)
    await harness.pool.execute(change)
    before = await harness.deliveries()
    assert await deliveries.defer(harness.pool, [(delivery_id, 1)], [refused(endpoint)], LONGEST) == []
    assert await harness.deliveries() == before


async def test_one_that_was_replayed_is_as_young_as_its_replay(harness: DispatcherHarness) -> None:
    endpoint, delivery_id = await a_free_one(harness)
    await harness.pool.execute("UPDATE deliveries SET created_at = now() - interval '2 hours', replayed_at = now()")
    assert await deliveries.defer(harness.pool, [(delivery_id, 1)], [refused(endpoint)], LONGEST)


async def test_what_is_parked_stays_so(harness: DispatcherHarness) -> None:
    endpoint = await harness.endpoint()
    taken = (await harness.take(an_event(1))).deliveries
    await harness.pool.execute("UPDATE endpoints SET paused = true")
    assert all((await parking.park(harness.pool, taken)).values())
    await harness.pool.execute("UPDATE endpoints SET paused = false")
    before = await harness.deliveries()
    wanted = [(taken[0].delivery_id, 1)]
    assert await deliveries.defer(harness.pool, wanted, [refused(endpoint)], LONGEST) == []
    assert await harness.deliveries() == before


async def test_those_of_other_endpoints_are_left_alone(harness: DispatcherHarness) -> None:
    await a_free_one(harness)
    other = await harness.endpoint(scope="number", match="+15550199")
    rows = await harness.deliveries()
    wanted = [(row["id"], 1) for row in rows]
    assert await deliveries.defer(harness.pool, wanted, [refused(other)], LONGEST) == []
    assert await harness.deliveries() == rows
