"""Paused, an endpoint gets nothing, and nothing dies; resumed, it gets all that waited, in order, once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web
from apis import TOKENS, Api
from dispatchers import STORE, DispatcherHarness, an_event
from msgspec.structs import replace
from processes import running
from waiting import until

from dispatcher.delivery.circuit_breaker import TIMEOUTS_TO_OPEN
from dispatcher.ledger import parking
from dispatcher.maintenance.catch_up import CatchUp
from shared.backoff import DEFAULT_BACKOFF
from shared.domain import EventType

UNDER_LOAD = 300


@pytest.fixture
def backoff(request: pytest.FixtureRequest) -> str:
    """The table of waits; a test may parametrize it."""
    return getattr(request, "param", DEFAULT_BACKOFF)


@pytest.fixture
async def two(harness: DispatcherHarness, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[tuple[Api, Api]]:
    """The APIs of two dispatchers on the same stores."""
    ports = [unused_tcp_port_factory(), unused_tcp_port_factory()]
    async with (
        harness.dispatching(ports[0], **TOKENS),
        harness.dispatching(ports[1], **TOKENS),
        aiohttp.ClientSession() as http,
    ):
        yield Api(http, f"http://127.0.0.1:{ports[0]}"), Api(http, f"http://127.0.0.1:{ports[1]}")


async def switch(api: Api, endpoint_id: Any, to: str) -> dict[str, Any]:
    status, body = await api.ask("POST", f"/v1/endpoints/{endpoint_id}/{to}", {})
    assert status == 200
    return body


async def parked(harness: DispatcherHarness) -> int:
    return await harness.pool.fetchval(
        "SELECT count(*) FROM deliveries WHERE due_at > now() + interval '1000 years' AND lease_until IS NULL"
    )


async def test_paused_at_one_of_two_dispatchers_under_load_neither_attempts_anything_after_the_answer(
    harness: DispatcherHarness, two: tuple[Api, Api]
) -> None:
    one, other = two
    endpoint = await harness.endpoint(max_concurrent=2)

    async def answer() -> int:
        await asyncio.sleep(0.03)  # the application's own time
        return 200

    harness.receiver.answer = lambda _: answer()
    await asyncio.gather(*(harness.publish(an_event(number)) for number in range(UNDER_LOAD)))
    await harness.receiver.got(30)
    paused = await switch(one, endpoint.id, "pause")
    at = time.monotonic()
    assert (paused["paused"], paused["under_way"]) == (True, 0)
    told = len(harness.receiver.received)
    assert told < UNDER_LOAD
    await harness.publish(*[an_event(UNDER_LOAD + number) for number in range(100)])
    await harness.events(UNDER_LOAD + 100)

    async def all_wait() -> bool:
        return await parked(harness) == UNDER_LOAD + 100 - told

    await until(all_wait, "all parked")
    assert [each for each in harness.receiver.received if each.at > at] == []
    _, shown = await other.ask("GET", f"/v1/endpoints/{endpoint.id}")
    assert (shown["health"]["verdict"], shown["health"]["owed"]) == ("paused", UNDER_LOAD + 100 - told)
    # Resumed at the other one, both catch up; what comes meanwhile comes after.
    assert (await switch(other, endpoint.id, "resume"))["catching_up"] is True
    await harness.publish(*[an_event(UNDER_LOAD + 100 + number) for number in range(50)])
    await harness.receiver.got(UNDER_LOAD + 150)
    await harness.settled(UNDER_LOAD + 150)
    numbers = [int(each.event_id.partition(":")[2].partition("-")[0]) for each in harness.receiver.received]
    assert sorted(numbers) == list(range(UNDER_LOAD + 150)), "each once"
    waited = [each.event_id for each in harness.receiver.received[told:]]
    rows = await harness.pool.fetch("SELECT event_id FROM deliveries WHERE event_id = ANY($1) ORDER BY id", waited)
    places = {row["event_id"]: place for place, row in enumerate(rows)}
    strayed = max(abs(place - places[each]) for place, each in enumerate(waited))
    assert strayed < 40, "in order, but for what both dispatchers lease at a time"


async def test_a_dispatcher_killed_while_it_catches_up_leaves_everything_to_the_next_in_order(
    harness: DispatcherHarness,
) -> None:
    endpoint = await harness.endpoint(max_concurrent=1, paused=True)
    await harness.take(*[an_event(number) for number in range(80)])

    async def slowly(_: Any) -> int:
        await asyncio.sleep(0.01)  # so that the dispatcher is killed in the middle
        return 200

    harness.receiver.answer = slowly
    environment = {**harness.environment, **TOKENS, "OPS_PORT": "0"}
    async with running("dispatcher", environment) as killed, aiohttp.ClientSession() as http:
        await switch(Api(http, killed.url), endpoint.id, "resume")
        await harness.receiver.got(10)
        killed.kill()
        await killed.ended()
    leased = {
        row["id"]
        for row in await harness.pool.fetch(
            "UPDATE deliveries SET lease_until = now() WHERE lease_until > now() RETURNING id"  # they have run out
        )
    }
    before = {UUID(each.delivery_id) for each in harness.receiver.received}
    assert len(leased - before) < 80 - len(before), "it was killed in the middle"
    async with running("dispatcher", environment):
        await harness.settled(80)
    got = [UUID(each.delivery_id) for each in harness.receiver.received]
    in_order = [row["id"] for row in await harness.pool.fetch("SELECT id FROM deliveries ORDER BY id")]
    assert set(got) == set(in_order), "none is lost"
    repeated = {each for each in got if got.count(each) > 1}
    assert repeated <= before & leased, "each once, but for what was told and not recorded yet"
    assert len(got) - len(repeated) == 80
    assert [each for each in got if each not in leased] == [each for each in in_order if each not in leased]
    late = [each for each in dict.fromkeys(got) if each in leased]
    assert late == sorted(late), "what the killed one held comes as its leases end, in order, too"


@pytest.mark.parametrize("backoff", ["0.4s*2"], indirect=True)
async def test_retries_deferred_and_replayed_deliveries_wait_too_and_none_dies(
    harness: DispatcherHarness, two: tuple[Api, Api]
) -> None:
    api, _ = two
    endpoint = await harness.endpoint()
    harness.receiver.answer = lambda _: 500
    await harness.publish(*[an_event(number) for number in range(4)])
    await harness.settled(4)  # the short table of the tests is used up: dead
    dead = await harness.deliveries()
    assert {row["state"] for row in dead} == {"dead"}
    await harness.publish(an_event(10))
    await harness.receiver.got(len(harness.receiver.received) + 1)
    await switch(api, endpoint.id, "pause")
    before = len(harness.receiver.received)
    status, _ = await api.ask("POST", "/v1/dead-letters/replay", {"ids": [str(row["id"]) for row in dead]})
    assert status in {200, 202}

    async def all_wait() -> bool:
        return (
            await parked(harness)
            + await harness.pool.fetchval(
                "SELECT count(*) FROM deliveries WHERE state = 'dead' AND event_id LIKE '%:10-%'"
            )
            >= 5
        )

    await until(all_wait, "all parked")
    assert len(harness.receiver.received) == before
    harness.receiver.answer = lambda _: 200
    await switch(api, endpoint.id, "resume")
    await until(lambda: len(harness.receiver.received) >= before + 4, "told")


async def test_after_a_pause_longer_than_the_whole_table_an_open_circuit_kills_nothing(
    harness: DispatcherHarness, two: tuple[Api, Api]
) -> None:
    api, other = two
    endpoint = await harness.endpoint(timeout_seconds=0.05, max_concurrent=1, paused=True)
    await harness.publish(*[an_event(number) for number in range(TIMEOUTS_TO_OPEN + 20)])
    await harness.events(TIMEOUTS_TO_OPEN + 20)
    await harness.pool.execute("UPDATE deliveries SET created_at = now() - interval '9 days'")
    gate = asyncio.Event()

    async def hang(_: Any) -> web.Response:
        await gate.wait()
        return web.Response()

    harness.receiver.answer = hang
    await switch(api, endpoint.id, "resume")

    async def is_open() -> bool:
        for each in (api, other):
            _, health = await each.ask("GET", f"/v1/endpoints/{endpoint.id}/health")
            if health["circuit"] == "open":
                return True
        return False

    await until(is_open, "circuit open")
    untried = await harness.pool.fetchval("SELECT count(*) FROM deliveries WHERE state = 'dead' AND attempts = 0")
    assert untried == 0
    gate.set()


async def test_disabled_or_removed_while_it_is_paused_what_waited_becomes_dead_letters(
    harness: DispatcherHarness, two: tuple[Api, Api]
) -> None:
    api, _ = two
    disabled, removed = await harness.endpoint(paused=True), await harness.endpoint(paused=True)
    await harness.publish(an_event(1), an_event(2, EventType.RECEIVED))
    await harness.events(2)
    await until(lambda: parked_are(harness, 4), "parked")
    await api.ask("PATCH", f"/v1/endpoints/{disabled.id}", {"enabled": False})
    await api.ask("DELETE", f"/v1/endpoints/{removed.id}")
    rows = await harness.settled(4)
    assert {(row["endpoint_id"], row["state"], row["reason"]) for row in rows} == {
        (disabled.id, "dead", "endpoint_disabled"),
        (removed.id, "dead", "endpoint_removed"),
    }
    assert harness.receiver.received == []


async def parked_are(harness: DispatcherHarness, count: int) -> bool:
    return await parked(harness) == count


async def test_pausing_twice_and_at_once_with_resuming_ends_in_what_was_said_last(
    harness: DispatcherHarness, two: tuple[Api, Api]
) -> None:
    one, other = two
    endpoint = await harness.endpoint()
    for _ in range(2):
        assert (await switch(one, endpoint.id, "pause"))["paused"] is True
    await harness.publish(*[an_event(number) for number in range(20)])
    await asyncio.gather(
        *(switch(api, endpoint.id, to) for api in (one, other) for to in ("pause", "resume")),
    )
    await switch(other, endpoint.id, "resume")
    await harness.settled(20)
    assert len(harness.receiver.received) == 20
    whats = [row["what"] for row in await harness.pool.fetch("SELECT what FROM audit ORDER BY id")]
    assert whats[0] == "endpoint.paused"
    assert all(one != two for one, two in pairwise(whats)), "a change each, no repetition"


async def test_endpoints_that_take_nothing_keep_no_other_from_catching_up(
    harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one look finds: those that do not answer may catch up for days."""
    monkeypatch.setattr(parking, "MOST_ENDPOINTS", 2)
    endpoints = [await harness.endpoint(paused=True) for _ in range(5)]
    await harness.take(an_event(1))
    for each in endpoints:
        await STORE.update(harness.pool, replace(each, paused=False))
    *hanging, last = sorted(each.id for each in endpoints)

    class Lanes:
        def __init__(self) -> None:
            self.entered: list[UUID] = []

        def waiting_in(self, _endpoint_id: UUID) -> int:
            return 0

        def room_in(self, endpoint_id: UUID) -> int:
            return 0 if endpoint_id in hanging else 100

        def enter(self, deliveries: Any) -> None:
            self.entered.extend(each.endpoint_id for each in deliveries)

    lanes = Lanes()
    catch_up = CatchUp(harness.pool, STORE, lanes)
    for _ in range(3):
        await catch_up.fill()
    assert lanes.entered == [last]
    assert await parking.catching_up(harness.pool) == hanging[:2], "these are still to come"
