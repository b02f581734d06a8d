"""Intake: a batch owes each event once, however often it comes and wherever the ledger goes away in between."""

import asyncpg
import pytest
from dispatchers import SECRETS_KEY, STORE, DispatcherHarness, an_event
from proxy import Proxy, proxied

from dispatcher.ledger.endpoint_cache import EndpointCache
from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pool import LEDGER_UNAVAILABLE
from dispatcher.policy.endpoint import FaxMatch
from shared.seal import Seal


class CutOffAfterLooking(EndpointStore):
    """Cuts the connection to the ledger once, before or after the batch's deliveries are written."""

    proxy: Proxy
    stalls: bool

    async def of_faxes(self, connection, events):
        found = await super().of_faxes(connection, events)
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
        endpoints = EndpointCache(pool, store)
        await endpoints.refresh()
        with pytest.raises(LEDGER_UNAVAILABLE):
            await Intake(pool, store, endpoints).take(events)
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
    intake = Intake(harness.pool, STORE, EndpointCache(harness.pool, STORE))
    assert [await intake.owe_registered(endpoint) for endpoint in endpoints] == [0, 0]
