"""Ranks of faxes are looked up for what is attempted next, many at a time, and again once what is known is too old."""

import asyncio
from typing import Any

import pytest
from dispatchers import DispatcherHarness, an_event
from waiting import until

from dispatcher.ledger.faxes import ranks as ranks_module
from dispatcher.ledger.faxes.ranks import RankLookUps
from dispatcher.policy.delivery import LeasedDelivery
from shared.domain import EventType


class CountingPool:
    """A pool that counts the questions it is asked, and answers once it may."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def fetch(self, *arguments: Any) -> Any:
        self.asked += 1
        await self.may_answer.wait()
        return await self._pool.fetch(*arguments)


async def waiting_pages(harness: DispatcherHarness, count: int) -> list[LeasedDelivery]:
    """Return the deliveries of *count* inflight events of as many faxes, which wait for their turn since long."""
    await harness.endpoint(inflight=True, format="standard-v1", tokens=())
    events = [an_event(number, EventType.SENDING) for number in range(1, count + 1)]
    held = [each for each in (await harness.take(*events)).deliveries if isinstance(each, LeasedDelivery)]
    for each in held:
        each.held_since -= 1.0
    return held


async def test_a_lane_looks_up_together_what_its_next_attempts_need_to_know(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks_module, "RANKED_SECONDS", 10.0)  # however busy the machine is
    held = await waiting_pages(harness, 20)
    pool = CountingPool(harness.pool)
    looking = RankLookUps(pool)  # type: ignore[arg-type]
    await harness.take(an_event(3), an_event(20))  # endings, by another process
    for _ in range(2):
        await asyncio.gather(*(looking.note(each, held[at + 1 :]) for at, each in enumerate(held[:8])))
    assert pool.asked == 1, "eight attempts that begin together, and again at once"
    ranks = [EventType.SENDING.rank] * 16
    ranks[2] = EventType.DELIVERED.rank
    assert [each.fax_rank for each in held[:16]] == ranks
    assert held[-1].ranked_at == 0.0, "no more than the next attempts need"
    held[2].ranked_at -= 11.0
    held[2].fax_rank = 0
    await looking.note(held[2])
    assert (pool.asked, held[2].fax_rank) == (2, EventType.DELIVERED.rank), "what was known is too old"


async def test_a_look_at_ranks_that_is_cut_off_leaves_them_to_the_next(harness: DispatcherHarness) -> None:
    held = await waiting_pages(harness, 2)
    pool = CountingPool(harness.pool)
    looking = RankLookUps(pool)  # type: ignore[arg-type]
    pool.may_answer.clear()
    first = asyncio.create_task(looking.note(held[0], held[1:]))
    second = asyncio.create_task(looking.note(held[1]))
    await until(lambda: pool.asked, "the first look")
    first.cancel()
    pool.may_answer.set()
    await second
    assert (pool.asked, held[0].ranked_at) == (2, 0.0)
    assert held[1].ranked_at > 0.0
    await looking.note(held[0])
    assert pool.asked == 3
