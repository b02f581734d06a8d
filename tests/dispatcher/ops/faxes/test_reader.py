"""Pages of faxes, events and deliveries are bounded and neither skip nor repeat; any id finds its fax."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import msgspec
import pytest
from dispatchers import RECEIVED_AT, an_event
from ledgers import endpoint, take

from dispatcher.ops.faxes.lists import walk
from dispatcher.ops.faxes.lists.queries import DeliveryQuery, EventQuery, FaxQuery
from dispatcher.ops.faxes.reader import FaxReader
from shared.domain import Direction, EventType, Provider
from shared.ids import uuid7

Read = Callable[[Any], Awaitable[Any]]


async def everything(read: Read, query: Any) -> list[Any]:
    """Follow the cursors."""
    items: list[Any] = []
    while True:
        page = await read(query)
        items += page.items
        assert len(page.items) <= query.limit
        if page.next is None:
            return items
        query = msgspec.structs.replace(query, after=page.next)


@pytest.mark.parametrize("walked_at_most", [4, 20_000])
async def test_pages_neither_skip_nor_repeat_however_rarely_a_filter_matches(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch, walked_at_most: int
) -> None:
    monkeypatch.setattr(walk, "WALKED_AT_MOST", walked_at_most)
    first = await endpoint(pool)
    await endpoint(pool, url="http://127.0.0.1:1/b")
    await take(pool, *(an_event(n, to_number=f"+1555{n:04}", received_at=RECEIVED_AT) for n in range(23)))
    faxes = FaxReader(pool)
    cases: list[tuple[Read, Any, int]] = [
        (faxes.faxes, FaxQuery(), 23),
        (faxes.faxes, FaxQuery(state=EventType.DELIVERED, direction=Direction.SENT), 23),
        (faxes.faxes, FaxQuery(number="+15550007"), 1),
        (faxes.faxes, FaxQuery(provider=Provider.TELNYX), 0),
        (faxes.events, EventQuery(), 23),
        (faxes.events, EventQuery(type=EventType.DELIVERED), 23),
        (faxes.events, EventQuery(fax_id="7"), 1),
        (faxes.events, EventQuery(fax_id="7", provider=Provider.PHAXIO), 1),
        (faxes.events, EventQuery(fax_id="7", provider=Provider.SINCH), 0),
        (faxes.events, EventQuery(provider=Provider.SINCH), 0),
        (faxes.deliveries, DeliveryQuery(), 46),
        (faxes.deliveries, DeliveryQuery(state="pending"), 46),
        (faxes.deliveries, DeliveryQuery(state="told"), 0),
        (faxes.deliveries, DeliveryQuery(state="dead"), 0),
        (faxes.deliveries, DeliveryQuery(endpoint_id=first.id), 23),
        (faxes.deliveries, DeliveryQuery(event_id="phaxio:7-fax.delivered"), 2),
    ]
    for read, query, count in cases:
        for limit in (1, 5, 200):
            items = await everything(read, msgspec.structs.replace(query, limit=limit))
            keys = {(getattr(each, "id", None), getattr(each, "fax_id", None)) for each in items}
            assert (len(items), len(keys)) == (count, count), (query, limit)


async def test_what_is_added_meanwhile_does_not_move_the_pages_that_follow(pool: asyncpg.Pool) -> None:
    await endpoint(pool)
    await take(pool, *(an_event(n, received_at=RECEIVED_AT) for n in range(10)))
    faxes = FaxReader(pool)
    for read, query in (
        (faxes.faxes, FaxQuery(limit=6)),
        (faxes.events, EventQuery(limit=6)),
        (faxes.deliveries, DeliveryQuery(limit=6)),
    ):
        first = await read(query)
        await take(pool, an_event(100 + len(query.__struct_fields__)))
        second = await read(msgspec.structs.replace(query, after=first.next))
        keys = [getattr(each, "id", getattr(each, "fax_id", None)) for each in (*first.items, *second.items)]
        assert len(keys) == len(set(keys)) >= 10
        await pool.execute("DELETE FROM faxes WHERE fax_id::int >= 100")


async def test_the_newest_come_first(pool: asyncpg.Pool) -> None:
    for number in (1, 2, 3):
        await take(pool, an_event(number, received_at=RECEIVED_AT.replace(minute=number)))
    faxes = FaxReader(pool)
    assert [each.fax_id for each in (await faxes.faxes(FaxQuery())).items] == ["3", "2", "1"]
    assert [each.fax_id for each in (await faxes.events(EventQuery())).items] == ["3", "2", "1"]


async def test_a_fax_is_found_by_any_id(pool: asyncpg.Pool) -> None:
    await endpoint(pool)
    await take(pool, an_event(1, job_id="job-1"), an_event(2, fax_id="a/b"))
    delivery_id = await pool.fetchval("SELECT id FROM deliveries WHERE event_id = 'phaxio:1-fax.delivered'")
    faxes = FaxReader(pool)
    for text in ("phaxio:1", "phaxio/1", "1", "phaxio:1-fax.delivered", str(delivery_id), "job-1"):
        assert await faxes.find(text) == [(Provider.PHAXIO, "1")], text
    for text in ("phaxio:a/b", "phaxio/a/b", "a/b"):
        assert await faxes.find(text) == [(Provider.PHAXIO, "a/b")], text
    for text in ("", "phaxio:", "telnyx:1", str(uuid7()), "nothing"):
        assert await faxes.find(text) == [], text


async def test_an_id_that_two_providers_use_means_both(pool: asyncpg.Pool) -> None:
    await take(pool, an_event(1), an_event(1, id="sinch:1", provider=Provider.SINCH))
    assert await FaxReader(pool).find("1") == [(Provider.PHAXIO, "1"), (Provider.SINCH, "1")]
    assert await FaxReader(pool).find("sinch:1") == [(Provider.SINCH, "1")]
