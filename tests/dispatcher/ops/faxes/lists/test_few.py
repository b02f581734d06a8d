"""An endpoint or provider that has little is listed on one page, however many rows of others are newer."""

import asyncpg
import pytest
from dispatchers import an_event
from ledgers import endpoint, take

from dispatcher.ops.deliveries.attempts import AttemptReader
from dispatcher.ops.faxes.lists.few import few_deliveries
from dispatcher.ops.faxes.lists.queries import AttemptQuery, DeliveryQuery, EventQuery, FaxQuery
from dispatcher.ops.faxes.reader import FaxReader
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.domain import EventType, Provider, utc_now

PAGES = (EventQuery, DeliveryQuery, AttemptQuery)
SETTINGS = ("statement_timeout", "plan_cache_mode")


@pytest.fixture
async def rare(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """An endpoint that was owed the first two of forty events; a page looks at ten rows."""
    monkeypatch.setattr("dispatcher.ops.faxes.lists.walk.WALKED_AT_MOST", 10)
    monkeypatch.setattr("dispatcher.ops.faxes.lists.walk.LOOKED_INTO_AT_MOST", 10)
    await endpoint(pool, description="all others")
    made = await endpoint(pool, scope="fax", match=FaxMatch(job_id="a job"), inflight=True)
    await take(pool, an_event(0, EventType.SENDING, job_id="a job"), an_event(0, job_id="a job"))
    await take(pool, an_event(99, provider=Provider.SINCH))
    for number in range(1, 38):
        await take(pool, an_event(number))
    await pool.execute(
        "INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome, url, answer) "
        "SELECT d.id, 1, d.created_at, 0.1, 'told', '', '' FROM deliveries d"
    )
    return made


def readers(pool: asyncpg.Pool) -> dict:
    """Return what reads a page, by query."""
    faxes = FaxReader(pool)
    return {EventQuery: faxes.events, DeliveryQuery: faxes.deliveries, AttemptQuery: AttemptReader(pool).page}


@pytest.mark.parametrize("query", PAGES)
async def test_the_few_of_an_endpoint_are_on_one_page(pool: asyncpg.Pool, rare: Endpoint, query: type) -> None:
    read = readers(pool)[query]
    page = await read(query(endpoint_id=rare.id))
    assert (len(page.items), page.next) == (2, None)
    first = await read(query(endpoint_id=rare.id, limit=1))
    second = await read(query(endpoint_id=rare.id, limit=1, after=first.next))
    assert ([*first.items, *second.items], second.next) == (list(page.items), None)
    for asked, count in (
        ({"type": EventType.SENDING}, 1),
        ({"since": "1h"}, 2),
        ({"until": "1h"}, 0),
        ({"job_id": "a job"}, 2),
        ({"job_id": "another"}, 0),
    ):
        page = await read(query(endpoint_id=rare.id, **asked))
        assert (len(page.items), page.next) == (count, None), asked


async def test_the_few_faxes_of_an_endpoint_are_on_one_page(pool: asyncpg.Pool, rare: Endpoint) -> None:
    await take(pool, an_event(200, job_id="a job"))
    await take(pool, *(an_event(number) for number in range(201, 215)))
    faxes = FaxReader(pool)
    page = await faxes.faxes(FaxQuery(endpoint_id=rare.id))
    assert ([each.fax_id for each in page.items], page.next) == (["200", "0"], None)
    first = await faxes.faxes(FaxQuery(endpoint_id=rare.id, limit=1))
    second = await faxes.faxes(FaxQuery(endpoint_id=rare.id, limit=1, after=first.next))
    assert ([each.fax_id for each in (*first.items, *second.items)], second.next) == (["200", "0"], None)
    for asked, found in (
        ({"job_id": "a job"}, ["200", "0"]),
        ({"failed": True}, []),
        ({"since": "10000d", "state": EventType.DELIVERED}, ["200", "0"]),
        ({"until": "10000d"}, []),
        ({"provider": Provider.SINCH}, []),
    ):
        page = await faxes.faxes(FaxQuery(endpoint_id=rare.id, **asked))  # type: ignore[arg-type]  # as a query has them
        assert ([each.fax_id for each in page.items], page.next) == (found, None), asked


@pytest.mark.parametrize("query", PAGES)
@pytest.mark.parametrize("why", ["many", "not found in time", "in a large ledger"])
async def test_otherwise_each_page_looks_at_some_rows_and_none_is_left_out(
    pool: asyncpg.Pool, rare: Endpoint, query: type, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {each: await pool.fetchval("SELECT current_setting($1)", each) for each in SETTINGS}
    if why == "many":
        monkeypatch.setattr("dispatcher.ops.faxes.lists.few.MOST_FEW", 1)
    elif why == "in a large ledger":
        await pool.execute("ANALYZE deliveries")
        monkeypatch.setattr("dispatcher.ops.faxes.lists.few.MOST_READ", 10)
    else:
        slow = "SELECT id, event_id FROM deliveries, pg_sleep(1) WHERE endpoint_id = $1 AND id >= $2 LIMIT $3"
        monkeypatch.setattr("dispatcher.ops.faxes.lists.few._DELIVERIES", slow)
    assert await few_deliveries(pool, DeliveryQuery(endpoint_id=rare.id), None) is None
    found, after, pages = [], None, 0
    while pages == 0 or after is not None:
        page = await readers(pool)[query](query(endpoint_id=rare.id, after=after))
        found += page.items
        after, pages = page.next, pages + 1
    assert (len(found), pages > 2) == (2, True)
    for setting in SETTINGS:
        assert await pool.fetchval("SELECT current_setting($1)", setting) == before[setting], "for one statement only"


async def test_an_export_reads_on_by_itself(pool: asyncpg.Pool, rare: Endpoint) -> None:
    assert await few_deliveries(pool, DeliveryQuery(endpoint_id=rare.id, limit=1_000), None) is None


async def test_attempts_at_what_was_owed_before_are_found(pool: asyncpg.Pool, rare: Endpoint) -> None:
    moved = await pool.fetchval("SELECT id FROM deliveries WHERE endpoint_id = $1 ORDER BY id LIMIT 1", rare.id)
    await pool.execute("DELETE FROM attempts WHERE delivery_id = $1", moved)
    await pool.execute("UPDATE deliveries SET id = '00000000-0000-7000-8000-000000000001' WHERE id = $1", moved)
    await pool.execute(
        "INSERT INTO attempts (delivery_id, number, started_at, seconds, outcome, url, answer) "
        "VALUES ('00000000-0000-7000-8000-000000000001', 1, $1, 0.1, 'told', '', '')",
        utc_now(),
    )
    page = await AttemptReader(pool).page(AttemptQuery(endpoint_id=rare.id, since="1h"))
    assert len(page.items) == 2


async def test_the_few_events_of_a_provider_are_on_one_page(
    pool: asyncpg.Pool, rare: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    faxes = FaxReader(pool)
    for provider, count in ((Provider.SINCH, 1), (Provider.TELNYX, 0)):
        page = await faxes.events(EventQuery(provider=provider))
        assert ([each.provider for each in page.items], page.next) == ([provider] * count, None)
    assert not (await faxes.events(EventQuery(provider=Provider.SINCH, endpoint_id=rare.id))).items
    monkeypatch.setattr("dispatcher.ops.faxes.lists.few.MOST_FEW", 0)
    page = await faxes.events(EventQuery(provider=Provider.SINCH))
    assert (page.items, page.next is not None) == ((), True)
