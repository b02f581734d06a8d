"""A ledger that goes away in the middle of taking a batch in: what was committed is handed over when it comes again."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from dispatchers import STORE, DispatcherHarness, an_event
from proxy import Proxy, proxied

from dispatcher.ledger.endpoint_cache import EndpointCache
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.pool import LEDGER_AWAY
from dispatcher.policy.endpoint import FaxMatch
from shared.domain import Event, EventType

OWED_TO_NOBODY = an_event(9, EventType.QUEUED)
"""Because of it, `take` looks again after its commit."""


class Interrupted(Intake):
    """Calls `interrupt` before one of its steps, once."""

    at: str
    proxy: Proxy

    def _interrupted_at(self, step: str) -> bool:
        if step != self.at:
            return False
        self.at = ""
        return True

    async def owe_unowed(self, event_ids, *, leased):
        if self._interrupted_at("after the commit"):
            self.proxy.cut()
        return await super().owe_unowed(event_ids, leased=leased)

    def _doubt(self, taken) -> None:
        super()._doubt(taken)
        if taken.owed and self._interrupted_at("in the commit"):
            self.proxy.stall(both=False)

    async def _take(self, connection, events):
        if self._interrupted_at("before anything"):
            self.proxy.cut()
        return await super()._take(connection, events)


@pytest.fixture
async def through(harness: DispatcherHarness) -> AsyncIterator[tuple[Interrupted, Proxy]]:
    async with proxied(harness.environment["DATABASE_URL"]) as (proxy, url):
        pool = await asyncpg.create_pool(url, min_size=0, command_timeout=1.0)
        book = EndpointCache(pool, STORE)
        await book.refresh()
        intake = Interrupted(pool, STORE, book)
        intake.proxy = proxy
        intake.at = ""
        yield intake, proxy
        pool.terminate()


async def take_twice(intake: Interrupted, proxy: Proxy, at: str, *events: Event):
    """Take *events* with the ledger gone *at* a step, and again when it is back."""
    intake.at = at
    with pytest.raises(LEDGER_AWAY):
        await intake.take(events)
    proxy.cut()
    proxy.restore()
    return await intake.take(events)


@pytest.mark.parametrize("at", ["before anything", "in the commit", "after the commit"])
async def test_a_batch_that_comes_again_hands_over_everything_that_it_owed_with_leases_that_hold(
    harness: DispatcherHarness, through: tuple[Interrupted, Proxy], at: str
) -> None:
    await harness.endpoint()
    await harness.endpoint()
    intake, proxy = through
    await intake._book.refresh()
    events = [OWED_TO_NOBODY, *(an_event(number) for number in range(3))]
    taken = await take_twice(intake, proxy, at, *events)
    assert taken.fresh == {event.id for event in events}
    rows = await harness.deliveries()
    assert len(rows) == 6
    assert {each.delivery_id: each.lease_until for each in taken.owed} == {
        row["id"]: row["lease_until"] for row in rows
    }
    assert (await intake.take(events)).owed == [], "handed over a second time"


async def test_what_another_process_claimed_meanwhile_is_not_handed_over(
    harness: DispatcherHarness, through: tuple[Interrupted, Proxy]
) -> None:
    await harness.endpoint()
    intake, proxy = through
    await intake._book.refresh()
    intake.at = "after the commit"
    with pytest.raises(LEDGER_AWAY):
        await intake.take([an_event(1), OWED_TO_NOBODY])
    await harness.pool.execute("UPDATE deliveries SET lease_until = now() + interval '77 s'")
    proxy.restore()
    assert (await intake.take([an_event(1), OWED_TO_NOBODY])).owed == []


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
    assert [each.owed.event.id for each in taken.owed] == [unowed.id]
    intake = Intake(harness.pool, STORE, EndpointCache(harness.pool, STORE))
    assert [await intake.owe_registered(endpoint) for endpoint in endpoints] == [0, 0]
