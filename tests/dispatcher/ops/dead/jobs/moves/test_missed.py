"""What an endpoint was never owed: the preview counts exactly what `routing` says, and the job owes exactly that."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import pytest
from dispatchers import STORE, an_event
from ledgers import take

from dispatcher.formats import FORMATS
from dispatcher.ops.dead.jobs import store as jobs
from dispatcher.ops.dead.jobs.bodies import Selection, Skipped
from dispatcher.ops.dead.jobs.moves import deliveries, missed
from dispatcher.ops.dead.jobs.moves.kinds import ENDINGS
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from dispatcher.policy.lifecycle import overtaking_rank
from dispatcher.policy.routing import has_word, route, skip_overtaken
from shared.domain import FINISHED_RANK, Direction, Event, EventType, Provider
from shared.ids import uuid7

NUMBER: Final = "+15550100102"
OTHER_NUMBER: Final = "+15550100103"
ENDED: Final = {Direction.SENT: EventType.DELIVERED, Direction.RECEIVED: EventType.RECEIVED}

ENDPOINTS: Final[dict[str, dict[str, Any]]] = {
    "everything": {},
    "sent": {"direction": "sent"},
    "received": {"direction": "received"},
    "inflight, too": {"inflight": True},
    "overtaken, too": {"inflight": True, "overtaken": "deliver"},
    "some types": {"types": ("fax.failed", "fax.received", "fax.stalled")},
    "telnyx-v2": {"inflight": True, "format": "telnyx-v2"},
    "mail": {"inflight": True, "url": "mailto:desk@example.com"},
    "of a number": {"scope": "number", "match": NUMBER, "inflight": True},
    "of a fax": {"scope": "fax", "match": FaxMatch(provider=Provider.PHAXIO, fax_id="3"), "inflight": True},
    "of a job": {"scope": "fax", "match": FaxMatch(job_id="job-4"), "inflight": True},
    "switched off": {"enabled": False},
}
"""Whose events are recovered."""

OTHERS: Final[dict[str, list[dict[str, Any]]]] = {
    "alone": [],
    "beside those of a number": [{"scope": "number", "match": NUMBER}],
    "beside those of numbers of sent faxes": [{"scope": "number", "match": NUMBER, "direction": "sent"}],
    "beside those of single faxes": [
        {"scope": "fax", "match": FaxMatch(provider=Provider.PHAXIO, fax_id="0"), "enabled": False},
        {"scope": "fax", "match": FaxMatch(provider=Provider.PHAXIO, fax_id="100")},
        {"scope": "fax", "match": FaxMatch(job_id="job-1")},
        {"scope": "fax", "match": FaxMatch(job_id="job-101")},
    ],
}
"""More specific ones, some of which match only what they are not for."""


def all_events() -> list[Event]:
    """Return events of every type, of every provider, to two numbers; half of the faxes that are under way have ended.

    Faxes from 100 on were received.
    """
    events: list[Event] = []
    for direction in Direction:
        first = 100 * (direction is Direction.RECEIVED)
        types = [each for each in EventType if ENDINGS.get(each, direction) is direction]
        for number, event_type in enumerate((each for each in types for _ in range(4)), first):
            shared = {
                "provider": list(Provider)[number % 2],
                "direction": direction,
                "to_number": NUMBER if number % 3 else OTHER_NUMBER,
                "job_id": f"job-{number}",
                "fields": {"event_type": "fax.x", "payload": {}},
            }
            named = [event_type, *([ENDED[direction]] if event_type.rank < FINISHED_RANK and number % 4 < 2 else [])]
            events += [an_event(number, each, **shared, id=f"{number}-{each}") for each in named]
    return events


def expected(endpoint: Endpoint, others: Sequence[Endpoint], events: Sequence[Event]) -> Counter[str]:
    """Return by fate what a recovery of all *events* finds, by `routing` alone."""
    rank_of: dict[tuple[str, str], int] = {}
    for event in events:
        fax = (event.provider, event.fax_id)
        rank_of[fax] = max(rank_of.get(fax, 0), event.type.rank)
    owed = [each for event in events for each in skip_overtaken(route(event, [endpoint, *others]), rank_of)]
    of_endpoint = [each.skipped for each in owed if each.endpoint.id == endpoint.id]
    fates = {None: "waiting", "overtaken": "overtaken", "endpoint_disabled": "endpoint"}
    return Counter(fates[each] for each in of_endpoint if each != "no_equivalent")


@pytest.fixture
async def events(pool: asyncpg.Pool) -> list[Event]:
    made = all_events()
    await take(pool, *made)
    return made


async def test_the_preview_counts_what_routing_says_for_every_endpoint_beside_every_other(
    pool: asyncpg.Pool, events: list[Event]
) -> None:
    since = datetime(2020, 1, 1, tzinfo=UTC)
    for beside, fields_of_others in OTHERS.items():
        others = [Endpoint(**{"id": uuid7(), "url": "http://127.0.0.1:1/", **each}) for each in fields_of_others]
        for each in others:
            await STORE.insert(pool, each)
        for name, fields in ENDPOINTS.items():
            endpoint = Endpoint(**{"id": uuid7(), "url": "http://127.0.0.1:1/hook", **fields})
            await STORE.insert(pool, endpoint)
            selection = Selection(skipped=Skipped(endpoint_id=endpoint.id, since=since))
            counts = Counter({fate: count for _, fate, count in await missed.count(pool, selection)})
            assert counts == expected(endpoint, others, events), f"{name}, {beside}"
            if name == "everything" and beside == "alone":
                assert counts["waiting"] == sum(event.type in ENDINGS for event in events)
            await pool.execute("DELETE FROM endpoints WHERE id = $1", endpoint.id)
        await pool.execute("DELETE FROM endpoints")


@pytest.mark.parametrize("name", ["everything", "inflight, too", "of a number", "of a job"])
async def test_the_job_owes_what_the_preview_counted(pool: asyncpg.Pool, events: list[Event], name: str) -> None:
    for fields in OTHERS["beside those of single faxes"]:
        await STORE.insert(pool, Endpoint(**{"id": uuid7(), "url": "http://127.0.0.1:1/", **fields}))
    endpoint = Endpoint(**{"id": uuid7(), "url": "http://127.0.0.1:1/hook", **ENDPOINTS[name]})
    await STORE.insert(pool, endpoint)
    selection = Selection(skipped=Skipped(endpoint_id=endpoint.id, since=datetime(2020, 1, 1, tzinfo=UTC)))
    counts = {fate: count for _, fate, count in await missed.count(pool, selection)}
    job_id = uuid7()
    await missed.insert_items(pool, job_id, selection)
    items = await pool.fetch("SELECT delivery_id, event_id, state FROM job_items WHERE job_id = $1", job_id)
    assert Counter(each["state"] for each in items) == counts
    waiting = {each["delivery_id"]: each["event_id"] for each in items if each["state"] == "waiting"}
    async with pool.acquire() as connection, connection.transaction():
        await missed.write(connection, endpoint.id, waiting)
    owed = await pool.fetch("SELECT event_id FROM deliveries WHERE endpoint_id = $1", endpoint.id)
    assert sorted(each["event_id"] for each in owed) == sorted(waiting.values())
    assert {fate: count for _, fate, count in await missed.count(pool, selection)}.get("waiting", 0) == 0


def test_no_ending_needs_its_fax() -> None:
    """It is of faxes of one direction, never overtaken, and every format has a word for it."""
    assert {each for each in EventType if each.rank == FINISHED_RANK} == set(ENDINGS)
    for event_type, direction in ENDINGS.items():
        assert overtaking_rank(event_type) is None
        for provider in Provider:
            event = an_event(1, event_type, provider=provider, direction=direction)
            assert all(has_word("https://a.example/", each, event) for each in FORMATS)
            assert has_word("mailto:a@b.example", "", event)


STATES: Final = ("told", "dead", "pending", "retrying", "skipped")


@pytest.mark.parametrize("beside", OTHERS)
async def test_of_what_was_told_too_the_preview_counts_what_the_job_takes(
    pool: asyncpg.Pool, events: list[Event], beside: str
) -> None:
    """The preview reads the events of that time once, the job in two statements."""
    for fields in OTHERS[beside]:
        await STORE.insert(pool, Endpoint(**{"id": uuid7(), "url": "http://127.0.0.1:1/", **fields}))
    await pool.execute("UPDATE events SET body = NULL WHERE id LIKE '%0-%'")
    for name, fields in ENDPOINTS.items():
        endpoint = Endpoint(**{"id": uuid7(), "url": "http://127.0.0.1:1/hook", **fields})
        await STORE.insert(pool, endpoint)
        for number, event in enumerate(events[::2]):
            await pool.execute(
                "INSERT INTO deliveries (id, event_id, endpoint_id, state, reason) VALUES ($1, $2, $3, $4, $5)",
                *(uuid7(), event.id, endpoint.id, STATES[number % 5], "superseded" if number % 10 == 4 else None),
            )
        for overtaken in (False, True):
            skipped = Skipped(endpoint_id=endpoint.id, since=datetime(2020, 1, 1, tzinfo=UTC), told=True)
            selection = Selection(skipped=skipped, overtaken=overtaken)
            counts = Counter[str]()
            for _, fate, count in await deliveries.count_fates(pool, "endpoint.recover", selection):
                counts[fate] += count
            job_id = uuid7()
            await deliveries.insert_items(pool, job_id, "endpoint.recover", selection)
            items = await pool.fetch("SELECT state, reason FROM job_items WHERE job_id = $1", job_id)
            assert Counter(each["reason"] or each["state"] for each in items) == counts, (name, overtaken)
            assert {"owed", "pruned"} <= counts.keys()
            await pool.execute("DELETE FROM job_items")
        await pool.execute("DELETE FROM endpoints WHERE id = $1", endpoint.id)
        await pool.execute("DELETE FROM deliveries")


async def test_another_job_on_the_same_endpoint_leaves_nothing_to_take_twice(
    pool: asyncpg.Pool, events: list[Event]
) -> None:
    endpoint = Endpoint(id=uuid7(), url="http://127.0.0.1:1/hook")
    await STORE.insert(pool, endpoint)
    for told in (False, True):
        skipped = Skipped(endpoint_id=endpoint.id, since=datetime(2020, 1, 1, tzinfo=UTC), told=told)
        selection = Selection(skipped=skipped)
        before = await deliveries.count_fates(pool, "endpoint.recover", selection)
        job_id = await jobs.insert(pool, "endpoint.recover", "eve", None, selection, uuid7())
        await deliveries.insert_items(pool, job_id, "endpoint.recover", selection)
        after = await deliveries.count_fates(pool, "endpoint.recover", selection)
        ended = sum(event.type in ENDINGS for event in events)
        assert (before, after) == ([(endpoint.id, "waiting", ended)], [(endpoint.id, "taken", ended)])
        await pool.execute("DELETE FROM job_items")
        await pool.execute("DELETE FROM jobs")
