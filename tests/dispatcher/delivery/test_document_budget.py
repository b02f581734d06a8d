"""The bytes of documents are bounded, for the process and for each endpoint, and every request has its turn."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import pytest
from dispatchers import DispatcherHarness, an_event
from hypothesis import given
from hypothesis import strategies as st
from receiver import Received

from dispatcher.delivery import deliverer as deliver
from dispatcher.delivery.document_budget import DocumentBudget
from shared.domain import EventType, Media
from shared.ids import uuid7
from shared.media import MediaStore
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

ONE, OTHER, THIRD = uuid7(), uuid7(), uuid7()


async def entering(budget: DocumentBudget, endpoint_id: UUID, count: int) -> "asyncio.Task[None]":
    """Ask for budget, in a task that holds it until it is cancelled."""

    async def hold() -> None:
        async with budget.reserve(endpoint_id, count):
            has_it.set()
            await asyncio.get_running_loop().create_future()

    has_it = asyncio.Event()
    task = asyncio.create_task(hold())
    task.has_it = has_it
    await asyncio.sleep(0)  # its first turn, in which it asks for its bytes
    return task


async def left(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)  # the turn in which those that wait get its bytes


async def test_one_endpoint_takes_no_more_than_its_share_and_the_others_go_on() -> None:
    budget = DocumentBudget(100, 50)
    first, second = await entering(budget, ONE, 50), await entering(budget, ONE, 1)
    other = await entering(budget, OTHER, 50)
    assert [each.has_it.is_set() for each in (first, second, other)] == [True, False, True]
    await left(first)
    assert second.has_it.is_set()
    await left(second)
    await left(other)
    assert budget.held_bytes == 0


async def test_a_large_one_is_not_overtaken_for_ever_by_small_ones() -> None:
    budget = DocumentBudget(100, 100)
    first = await entering(budget, ONE, 60)
    large, small = await entering(budget, OTHER, 50), await entering(budget, THIRD, 10)
    assert not large.has_it.is_set()
    assert not small.has_it.is_set()
    await left(first)
    assert large.has_it.is_set()
    assert small.has_it.is_set()
    await left(large)
    await left(small)


async def test_who_turns_out_to_need_less_gives_back_the_rest_and_who_stops_waiting_takes_nothing() -> None:
    budget = DocumentBudget(100, 100)
    async with budget.reserve(ONE, 1000) as held:
        waiting, stopping = await entering(budget, OTHER, 40), await entering(budget, THIRD, 60)
        await left(stopping)
        held.shrink(60)
        await asyncio.sleep(0)  # the turn in which those that wait get the rest
        assert waiting.has_it.is_set()
        assert budget.held_bytes == 100
        held.shrink(90)
        assert budget.held_bytes == 100, "it only shrinks"
    await left(waiting)
    assert budget.held_bytes == 0


async def test_a_request_that_stops_waiting_holds_up_no_request_behind_it() -> None:
    budget = DocumentBudget(100, 100)
    first = await entering(budget, ONE, 60)
    large, small = await entering(budget, OTHER, 50), await entering(budget, THIRD, 10)
    await left(large)
    assert small.has_it.is_set()
    await left(first)
    await left(small)
    assert budget.held_bytes == 0


async def test_who_is_cancelled_in_the_moment_of_being_given_budget_gives_it_back() -> None:
    budget = DocumentBudget(100, 100)
    first = await entering(budget, ONE, 100)
    waiting = await entering(budget, OTHER, 100)
    first.cancel()
    while not budget._held[OTHER]:
        await asyncio.sleep(0)  # the loop's next turn, in which it is given
    assert not waiting.has_it.is_set(), "and does not know yet"
    waiting.cancel()
    await asyncio.wait({first, waiting})
    assert budget.held_bytes == 0


async def test_a_dispatcher_reads_no_more_documents_than_there_is_budget_for(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 50_000
    monkeypatch.setattr(deliver, "DocumentBudget", lambda: DocumentBudget(3 * size, 2 * size))
    media = await MediaStore(harness.environment["MEDIA_URL"]).put(b"%PDF-" + b"x" * (size - 5), "application/pdf")
    endpoints = [await harness.endpoint(), await harness.endpoint()]
    reading, most = Counter[str](), Counter[str]()

    async def read(store: MediaStore, media: Media) -> bytes:
        reading["all"] += 1
        return await getting(store, media)

    async def slowly(received: Received) -> int:
        most["all"] = max(most["all"], reading["all"])
        await asyncio.sleep(0.02)  # an application that takes its time
        reading["all"] -= 1
        return 200

    getting = MediaStore.get
    monkeypatch.setattr(MediaStore, "get", read)
    harness.receiver.answer = slowly
    await harness.publish(*(an_event(number, EventType.RECEIVED, media=media) for number in range(10)))
    async with dispatching():
        deliveries = await harness.settled(10 * len(endpoints))
    assert {each["state"] for each in deliveries} == {"told"}
    assert most["all"] == 3


@given(st.lists(st.tuples(st.sampled_from([ONE, OTHER, THIRD]), st.integers(0, 70)), max_size=30), st.randoms())
async def test_the_bounds_hold_and_every_request_is_served(asked: list[tuple[UUID, int]], random) -> None:
    budget, served, most = DocumentBudget(100, 50), 0, 0

    async def use(endpoint_id: UUID, count: int) -> None:
        nonlocal served, most
        async with budget.reserve(endpoint_id, count):
            most = max(most, budget.held_bytes)
            assert sum(each for each in budget._held.values()) == budget.held_bytes
            assert all(each <= 50 for each in budget._held.values())
            for _ in range(random.randint(0, 3)):
                await asyncio.sleep(0)  # a few turns, so that requests overlap in any order
            served += 1

    async with asyncio.timeout(5):
        await asyncio.gather(*(use(*each) for each in asked))
    assert served == len(asked)
    assert most <= 100
    assert budget.held_bytes == 0
