"""An endpoint is read from the ledger as it was written, its tokens are encrypted there, and a removed one is not read."""

from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from dispatchers import SECRETS_KEY, STORE, an_event
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as st
from ledgers import add_endpoints_of_numbers
from ledgers import endpoint as add_endpoint

from dispatcher.ledger.endpoints import EndpointFilter, EndpointStore
from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.domain import EventType, Provider
from shared.ids import uuid7
from shared.seal import Seal, Unsealable

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
MATCHES = st.one_of(
    st.just(("global", None)),
    st.tuples(st.just("number"), TEXTS),
    st.tuples(
        st.just("fax"),
        st.builds(FaxMatch, provider=st.sampled_from(Provider), fax_id=TEXTS) | st.builds(FaxMatch, job_id=TEXTS),
    ),
)
ENDPOINTS = st.builds(
    lambda scope_and_match, **fields: Endpoint(
        id=uuid7(), scope=scope_and_match[0], match=scope_and_match[1], **fields
    ),
    scope_and_match=MATCHES,
    direction=st.sampled_from(["sent", "received", "any"]),
    url=TEXTS,
    failover_url=st.none() | TEXTS,
    format=TEXTS,
    tokens=st.lists(TEXTS, max_size=4).map(tuple),
    inflight=st.booleans(),
    overtaken=st.sampled_from(["skip", "deliver"]),
    enabled=st.booleans(),
    timeout_seconds=st.floats(min_value=0, max_value=60, exclude_min=True),
    max_concurrent=st.integers(1, 1000),
    paused=st.booleans(),
    types=st.lists(TEXTS, max_size=3).map(tuple),
    headers=st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
    description=TEXTS,
)


def test_the_property_draws_every_field_of_an_endpoint() -> None:
    drawn = {"scope", "match", "id", *ENDPOINTS.wrapped_strategy.kwargs} - {"scope_and_match"}
    assert drawn == set(Endpoint.__struct_fields__) - {"catching_up", "damaged", "removed_at"}, "set by the ledger"


@examples(60, at_most=500)
@given(written=ENDPOINTS, changed=ENDPOINTS)
async def test_every_field_is_read_as_it_was_written_and_changed(
    pool: asyncpg.Pool, written: Endpoint, changed: Endpoint
) -> None:
    await STORE.insert(pool, written)
    assert await STORE.get(pool, written.id) == written
    changed = msgspec.structs.replace(changed, id=written.id)
    await STORE.update(pool, changed)
    catching_up = written.paused and not (changed.paused and changed.enabled)
    assert await STORE.get(pool, written.id) == msgspec.structs.replace(changed, catching_up=catching_up)


async def test_tokens_are_encrypted_in_the_ledger_and_want_their_key(pool: asyncpg.Pool) -> None:
    made = await add_endpoint(pool, tokens=("first-token", "second-token"))
    (sealed,) = await pool.fetchrow("SELECT sealed_tokens FROM endpoints")
    assert len(sealed) == 2
    assert not any(b"token" in each for each in sealed)
    other_key = "3q2-796tvu_erb7v3q2-796tvu_erb7v3q2-796tvu8="
    both = EndpointStore(Seal([other_key, SECRETS_KEY]))
    assert await both.get(pool, made.id) == made, "a key that was replaced still opens"
    with pytest.raises(Unsealable, match="SECRETS_KEY"):
        await EndpointStore(Seal([other_key])).get(pool, made.id)


async def test_a_removed_endpoint_is_not_read_changed_or_removed_again_and_its_row_stays(pool: asyncpg.Pool) -> None:
    made = await add_endpoint(pool)
    assert await STORE.remove(pool, made.id)
    assert await STORE.get(pool, made.id) is None
    for read in (STORE.everything(pool), STORE.page(pool, None, 10)):
        assert await read == []
    (kept,) = await STORE.of_ids(pool, [made.id])
    assert (kept.removed_at is not None, kept.url) == (True, made.url)
    await STORE.update(pool, msgspec.structs.replace(made, url="http://other.example/"))
    assert not await STORE.remove(pool, made.id)
    row = await pool.fetchrow("SELECT url, removed_at FROM endpoints")
    assert row["url"] == made.url
    assert row["removed_at"] is not None


async def test_an_endpoint_that_answered_410_is_switched_off_once_and_enabling_it_forgets_that(
    pool: asyncpg.Pool,
) -> None:
    async def is_gone() -> bool:
        return bool(await pool.fetchval("SELECT is_gone FROM endpoints"))

    made = await add_endpoint(pool)
    assert await STORE.gone(pool, made.id)
    assert not await STORE.gone(pool, made.id), "it is off already"
    assert await STORE.get(pool, made.id) == msgspec.structs.replace(made, enabled=False)
    await STORE.update(pool, msgspec.structs.replace(made, enabled=False, url="http://other.example/"))
    assert await is_gone(), "a change that leaves it off"
    await STORE.update(pool, made)
    assert not await is_gone()
    await STORE.update(pool, msgspec.structs.replace(made, enabled=False))
    assert not await STORE.gone(pool, made.id), "a person switched it off"
    assert not await is_gone()


async def test_all_are_read_the_oldest_first_and_pages_by_id(
    pool: asyncpg.Pool,
) -> None:
    made = [
        await add_endpoint(pool),
        await add_endpoint(pool, scope="number", match="+15551"),
        await add_endpoint(pool, scope="fax", match=FaxMatch(job_id="a")),
        await add_endpoint(pool, scope="fax", match=FaxMatch(job_id="b")),
    ]
    assert await STORE.everything(pool) == made
    by_id = sorted(made, key=lambda each: each.id)  # which is not that of their making within one millisecond
    newest = await STORE.page(pool, None, 3, newest_first=True)
    assert newest == by_id[:0:-1]
    assert await STORE.page(pool, newest[-1].id, 3, newest_first=True) == by_id[:1]
    first = await STORE.page(pool, None, 3)
    assert first == by_id[:3]
    assert await STORE.page(pool, first[-1].id, 3) == by_id[3:]


async def test_an_event_finds_the_endpoints_of_its_fax_its_job_or_its_number_and_the_global_ones(
    pool: asyncpg.Pool,
) -> None:
    by_fax = await add_endpoint(pool, scope="fax", match=FaxMatch(provider=Provider.PHAXIO, fax_id="1"))
    by_job = await add_endpoint(pool, scope="fax", match=FaxMatch(job_id="job"), enabled=False)
    number = await add_endpoint(pool, scope="number", match="+15551")
    await add_endpoint(pool, scope="fax", match=FaxMatch(provider=Provider.TELNYX, fax_id="1"))
    await add_endpoint(pool, scope="fax", match=FaxMatch(job_id="other"))
    await add_endpoint(pool, scope="number", match="+15552")
    everything = await add_endpoint(pool)
    removed = await add_endpoint(pool)
    await STORE.remove(pool, removed.id)

    async def found(*fields: dict[str, Any]) -> set[UUID]:
        return {each.id for each in await STORE.of_events(pool, [an_event(1, **each) for each in fields])}

    received = {"event_type": EventType.RECEIVED}
    assert await found() == await found({"fax_id": "2"}) == {everything.id}
    assert await found({}) == {by_fax.id, everything.id}
    assert await found({"fax_id": "2", "job_id": "job"}) == {by_job.id, everything.id}
    assert await found({"fax_id": "2"}, {"job_id": "job"}) == {by_fax.id, by_job.id, everything.id}
    assert await found({**received, "job_id": "job"}) == {everything.id}, "a received fax has no endpoint of its own"
    assert await found({**received, "to_number": "+15551"}) == {number.id, everything.id}
    assert await found({"fax_id": "2", "to_number": "+15551"}) == {everything.id}, "numbers are of received faxes"
    assert await found({**received, "to_number": "+1"}, {}) == {by_fax.id, everything.id}


async def test_a_change_is_found_at_once_also_where_another_connection_made_it(pool: asyncpg.Pool) -> None:
    event = an_event(1, EventType.RECEIVED, to_number="+15551")
    made = await add_endpoint(pool, scope="number", match="+15551")
    async with pool.acquire() as reading, reading.transaction():
        assert await STORE.of_events(reading, [event]) == [made]
        moved = msgspec.structs.replace(made, url="http://other.example/")
        await STORE.update(pool, moved)
        assert await STORE.of_events(reading, [event]) == [moved]
        await STORE.update(pool, msgspec.structs.replace(made, match="+15552"))
        assert await STORE.of_events(reading, [event]) == []


async def test_a_wrong_key_is_found_at_the_start_at_either_end(pool: asyncpg.Pool) -> None:
    other_key = "3q2-796tvu_erb7v3q2-796tvu_erb7v3q2-796tvu8="
    other = EndpointStore(Seal([other_key]))
    assert await other.check_tokens(pool) == 0
    ids = [(await add_endpoint(pool, tokens=("token",))).id for _ in range(2)]
    assert await STORE.check_tokens(pool) == len(ids), "each once"
    with pytest.raises(Unsealable):
        await other.check_tokens(pool)
    for position in (0, -1):
        await pool.execute("UPDATE endpoints SET removed_at = NULL")
        await STORE.remove(pool, sorted(ids)[position])
        with pytest.raises(Unsealable):
            await other.check_tokens(pool)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EndpointFilter(scope="global"), [0, 1]),
        (EndpointFilter(number="+15551"), [2, 3]),
        (EndpointFilter(job_id="a"), [4]),
        (EndpointFilter(fax_id="a"), []),
        (EndpointFilter(enabled=False), [1, 3]),
        (EndpointFilter(number="+15551", enabled=True), [2]),
        (EndpointFilter(scope="fax", number="+15551"), []),
    ],
    ids=str,
)
async def test_a_page_holds_what_every_given_filter_matches(
    pool: asyncpg.Pool, wanted: EndpointFilter, expected: list[int]
) -> None:
    made = [
        await add_endpoint(pool),
        await add_endpoint(pool, enabled=False),
        await add_endpoint(pool, scope="number", match="+15551"),
        await add_endpoint(pool, scope="number", match="+15551", enabled=False),
        await add_endpoint(pool, scope="fax", match=FaxMatch(job_id="a")),
        await add_endpoint(pool, scope="number", match="+15552"),
    ]
    matching = sorted((made[index] for index in expected), key=lambda each: each.id)
    assert await STORE.page(pool, None, 10, wanted) == matching
    assert await STORE.page(pool, None, 1, wanted) == matching[:1]
    if matching:
        assert await STORE.page(pool, matching[0].id, 10, wanted) == matching[1:]


async def test_with_100_000_endpoints_every_look_up_and_every_list_reads_a_few_of_them(pool: asyncpg.Pool) -> None:
    """Also where the statistics are those of an empty table."""
    await add_endpoints_of_numbers(pool, 100_000)
    event = an_event(1, EventType.RECEIVED, to_number="+1555000077")
    by_numbers = [event, an_event(2, job_id="job"), an_event(3)]
    lists = [None, EndpointFilter(scope="number"), EndpointFilter(number="+1555000077"), EndpointFilter(enabled=True)]
    lists += [EndpointFilter(scope="global"), EndpointFilter(job_id="job"), EndpointFilter(enabled=False)]
    async with pool.acquire() as connection, connection.transaction():
        assert len(await STORE.of_events(connection, by_numbers)) == 1
        for wanted in lists:
            assert len(await STORE.page(connection, None, 10, wanted)) <= 10
        read = await connection.fetchval(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'endpoints'"
        )
    assert read < 100, "no list and no look-up reads the table"
