"""A fax without an ending is told as stalled once, to those that ask for it, unless its provider tells how it ended."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import msgspec
import pytest
from aiohttp import web
from dispatchers import DispatcherHarness, an_event
from documents import PDF
from list_provider import ListProvider, html
from provider_fax import WORDS
from waiting import until

from dispatcher.ops.faxes.lists.queries import FaxQuery
from dispatcher.ops.faxes.reader import FaxReader
from shared.domain import Direction, Event, EventType, Provider, decode_event
from shared.media import MediaStore
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]

SOON = {"STALLED_AFTER": "1s, received=1s"}


@pytest.fixture
def asking(provider: ListProvider) -> dict[str, str]:
    """The settings of a dispatcher that asks about single faxes: its lists are read once, and are empty."""
    return {**provider.environment, **SOON, "RECONCILE_WINDOW": "1s", "RECONCILE_GRACE": "10m"}


def under_way(provider: str, fax_id: str, direction: str = "sent", **fields: Any) -> Event:
    event_type = EventType.SENDING if direction == "sent" else EventType.RECEIVING
    fixed = {"id": f"{provider}:{fax_id}-inflight", "provider": Provider(provider), "fax_id": fax_id}
    return an_event(1, event_type, **{**fixed, "direction": Direction(direction), **fields})


async def stalled(pool: asyncpg.Pool) -> dict[str, Event]:
    """Return the events of stalled faxes in the ledger, by fax."""
    rows = await pool.fetch("SELECT body FROM events WHERE type = 'fax.stalled'")
    return {event.fax_id: event for event in (decode_event(row["body"]) for row in rows)}


async def stalled_faxes(pool: asyncpg.Pool) -> set[str]:
    """Return the faxes that the list shows as stalled."""
    page = await FaxReader(pool).faxes(FaxQuery(state=EventType.STALLED))
    assert all(fax.stalled_at is not None for fax in page.items)
    return {fax.fax_id for fax in page.items}


async def test_it_is_told_once_by_two_dispatchers_to_the_endpoints_that_name_it_until_the_fax_ends(
    harness: DispatcherHarness, unused_tcp_port_factory: Callable[[], int]
) -> None:
    named = await harness.endpoint(format="standard-v1", types=("fax.stalled",))
    for name in ("phaxio-v2.1", "phaxio-v2", "phaxio-v1", "telnyx-v2", "sinch-v3"):
        await harness.endpoint(format=name, types=("fax.stalled",))
    await harness.endpoint(format="standard-v1", overtaken="deliver")
    unnamed = await harness.endpoint(format="standard-v1", inflight=True)
    faxes = [under_way(name, f"{name}-{direction}", direction) for name in Provider for direction in Direction]
    with_numbers = msgspec.structs.replace(faxes[0], from_number="+1555", to_number="+1556", job_id="j", pages=2)
    async with harness.dispatching(unused_tcp_port_factory(), **SOON):
        async with harness.dispatching(unused_tcp_port_factory(), **SOON):
            await harness.publish(with_numbers, *faxes[1:])
            await harness.settled(len(faxes) + 6 * len(faxes))
            found = await stalled(harness.pool)
            assert set(found) == {fax.fax_id for fax in faxes} == await stalled_faxes(harness.pool)
            alerts = "SELECT count(*) = 4 AND sum(count) = 8 FROM alerts WHERE kind = 'faxes_stalled'"
            await until(lambda: harness.pool.fetchval(alerts), "the operator is to be told")
        # 1. Those that name it and have a word are told once; no state has changed.
        told = Counter(
            (row["endpoint_id"], row["reason"])
            for row in await harness.deliveries()
            if row["event_id"] in {event.id for event in found.values()}
        )
        assert told == {(named.id, None): len(faxes)} | {key: len(faxes) for key in told if key[1] == "no_equivalent"}
        assert len(told) == 6
        assert unnamed.id not in {endpoint_id for endpoint_id, _ in told}
        sent = Counter(webhook.event_id for webhook in harness.receiver.received if b"fax.stalled" in webhook.body)
        assert sent == Counter(event.id for event in found.values())
        states = await harness.pool.fetch("SELECT DISTINCT state FROM faxes")
        assert {row["state"] for row in states} == {"fax.sending", "fax.receiving"}
        first = found[with_numbers.fax_id]
        same = ("from_number", "to_number", "job_id", "pages", "direction", "provider")
        assert [getattr(first, name) for name in same] == [getattr(with_numbers, name) for name in same]
        assert first.fields == {"state": "fax.sending", "after_seconds": 1.0, "provider_says": "not_asked"}
        # 2. What ends is no longer stalled, and is told like any other.
        ended = msgspec.structs.replace(faxes[0], id="late", type=EventType.DELIVERED, phase=EventType.DELIVERED.phase)
        await harness.publish(ended)
        await until(lambda: _is_told(harness, "late"), "the ending is told")
        assert await stalled_faxes(harness.pool) == {fax.fax_id for fax in faxes[1:]}
    assert len(await stalled(harness.pool)) == len(faxes)


async def _is_told(harness: DispatcherHarness, event_id: str) -> bool:
    sql = "SELECT count(*) FROM deliveries WHERE event_id = $1 AND state = 'told'"
    return await harness.pool.fetchval(sql, event_id) == 2


async def test_the_provider_is_asked_first_and_an_ending_that_it_knows_is_told_instead(
    harness: DispatcherHarness,
    dispatching: Dispatching,
    provider: ListProvider,
    asking: dict[str, str],
    store: MediaStore,
) -> None:
    await harness.endpoint(format="standard-v1")
    events = []
    for name in WORDS:
        ended = [provider.fax(name, 1, "fax.failed"), provider.fax(name, 2, "fax.received")]
        ended.append(provider.fax(name, 3, "fax.delivered", ended_ago=30.0))  # its callback may still come
        events += [under_way(name, fax.fax_id, "received" if fax.is_received else "sent") for fax in ended]
        events.append(under_way(name, provider.fax(name, 4, "under way").fax_id))
        events.append(under_way(name, "5" if name == "phaxio" else f"{name}-5"))  # it does not know this one
    async with dispatching(**asking):
        await harness.publish(*events)
        await harness.receiver.got(2 * len(WORDS))
        await until(lambda: _count(harness.pool, 2 * len(WORDS)), "what did not end is told as stalled")
    found = await stalled(harness.pool)
    assert Counter(event.fields["provider_says"] for event in found.values()) == {"under_way": 3, "not_found": 3}
    assert {fax_id[-1] for fax_id in found} == {"4", "5"}
    rows = await harness.pool.fetch("SELECT body FROM events WHERE type IN ('fax.failed', 'fax.received')")
    told = [decode_event(row["body"]) for row in rows]
    assert {event.origin for event in told} == {"list"}
    for event in told:
        if event.type is EventType.RECEIVED:
            assert event.media is not None
            assert await store.get(event.media) == PDF
    assert len(told) == 2 * len(WORDS)


async def _count(pool: asyncpg.Pool, count: int) -> bool:
    return len(await stalled(pool)) == count


async def refuses(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"error": "no"}, status=401)


async def answers_html(_request: web.Request) -> web.StreamResponse:
    return html()


async def answers_another_fax(request: web.Request) -> web.StreamResponse | None:
    if request.path.endswith("/faxes"):
        return None
    return web.json_response({"success": True, "data": {"id": 77, "status": "success"}})


async def asks_for_an_hour(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=429, headers={"Retry-After": "3600"})


@pytest.mark.parametrize("disturb", [answers_html, answers_another_fax, asks_for_an_hour])
async def test_a_provider_that_does_not_answer_is_asked_again_for_as_long_again(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, asking: dict[str, str], disturb: Any
) -> None:
    provider.fax("phaxio", 1, "under way")
    provider.disturb = disturb
    async with dispatching(**asking):
        await harness.publish(under_way("phaxio", "1"))
        await until(lambda: _count(harness.pool, 1), "it is stalled")
    assert await _age_seconds(harness.pool) >= 2.0
    assert (await stalled(harness.pool))["1"].fields["provider_says"] == "not_asked"


async def test_a_provider_that_refuses_is_not_waited_for(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, asking: dict[str, str]
) -> None:
    provider.fax("phaxio", 1, "under way")
    provider.disturb = refuses
    await harness.take(under_way("phaxio", "1"))
    async with dispatching(**asking | {"STALLED_AFTER": "20s"}):
        await harness.pool.execute("UPDATE faxes SET recorded_at = recorded_at - make_interval(secs => 20)")
        await until(lambda: _count(harness.pool, 1), "it is stalled")
    assert await _age_seconds(harness.pool) < 40.0
    assert (await stalled(harness.pool))["1"].fields["provider_says"] == "not_asked"


async def _age_seconds(pool: asyncpg.Pool) -> float:
    """Return how long after it was last heard of the fax was stalled."""
    query = """
        SELECT extract(epoch FROM s.recorded_at - faxes.recorded_at)::float8
        FROM events s JOIN faxes USING (provider, fax_id) WHERE s.type = 'fax.stalled'
    """
    return float(await pool.fetchval(query))


async def test_one_fax_that_the_provider_cannot_give_keeps_no_other_from_being_asked_about(
    harness: DispatcherHarness, dispatching: Dispatching, provider: ListProvider, asking: dict[str, str]
) -> None:
    poison, other = provider.fax("phaxio", 1, "under way"), provider.fax("phaxio", 2, "fax.delivered")

    async def breaks_for_one(request: web.Request) -> web.StreamResponse | None:
        return html() if request.path.endswith("/1") else None

    provider.disturb = breaks_for_one
    await harness.take(under_way("phaxio", poison.fax_id))
    await harness.take(under_way("phaxio", other.fax_id))
    async with dispatching(**asking | {"STALLED_AFTER": "12s"}):
        await harness.pool.execute("UPDATE faxes SET recorded_at = recorded_at - make_interval(secs => 13)")
        await until(lambda: _has_ended(harness.pool, other.fax_id), "the other one's ending is found")
        assert not await stalled(harness.pool)


async def _has_ended(pool: asyncpg.Pool, fax_id: str) -> bool:
    return bool(await pool.fetchval("SELECT true FROM faxes WHERE fax_id = $1 AND rank = 100", fax_id))


async def test_an_ending_that_was_taken_in_before_makes_it_old_news(harness: DispatcherHarness) -> None:
    await harness.endpoint(format="standard-v1", types=("fax.stalled",))
    event = an_event(1, EventType.STALLED, occurred_at=an_event(1).received_at)
    for batches in ([[an_event(1)], [event]], [[an_event(2), an_event(2, EventType.STALLED)]]):
        for batch in batches:
            await harness.take(*batch)
    assert [(row["state"], row["reason"]) for row in await harness.deliveries()] == [("skipped", "overtaken")] * 2
    assert await stalled_faxes(harness.pool) == set()
    fax = await FaxReader(harness.pool).story(Provider.PHAXIO, "1")
    assert fax is not None
    assert (fax.state, fax.stalled_at) == (EventType.DELIVERED, None)


async def test_what_it_is_retried_for_ends_with_the_fax(harness: DispatcherHarness) -> None:
    await harness.endpoint(format="standard-v1", types=("fax.stalled",))
    await asyncio.gather(*(harness.take(an_event(1, EventType.STALLED)) for _ in range(5)))
    (owed,) = await harness.deliveries()
    assert owed["state"] == "pending"
    await harness.take(an_event(1))
    assert await stalled_faxes(harness.pool) == set()
