"""An endpoint that has failed for an hour, or was switched off by a 410, is a matter until it is well again."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from dispatchers import STORE
from ledgers import endpoint

from dispatcher.alerts.checks.endpoints import MOST_ONE_BY_ONE, EndpointCheck, subjects_of
from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import open_subjects
from shared.domain import utc_now
from shared.ids import uuid7


class Health(msgspec.Struct):
    verdict: str
    sentence: str = "failing since 2 h ago"
    failing_since: Any = None


class Reader:
    """Reads what the test says; *troubled* are those in trouble."""

    def __init__(self) -> None:
        self.troubled: dict[UUID, Health] = {}
        self.others: dict[UUID, Health] = {}

    async def of_those_in_trouble(self) -> dict[UUID, Health]:
        return self.troubled

    async def of(self, endpoint_ids: Any) -> dict[UUID, Health]:
        return {each: self.others[each] for each in endpoint_ids if each in self.others}


def failing(hours: float) -> Health:
    return Health("failing", failing_since=utc_now() - timedelta(hours=hours))


async def test_an_endpoint_is_a_matter_after_an_hour_of_failures_and_until_it_is_well(pool: asyncpg.Pool) -> None:
    reader, made = Reader(), await endpoint(pool, description="the clinic's archive")
    check = EndpointCheck(reader, STORE)
    for health, is_open in (
        (failing(0.9), False),
        (failing(1.1), True),
        (failing(2), True),
        (Health("healthy"), False),
    ):
        reader.troubled = {made.id: health}
        await check.look(pool)
        assert await open_subjects(pool, Kind.ENDPOINT_FAILING) == ({str(made.id)} if is_open else set())
    assert await pool.fetchval("SELECT what FROM alerts") == "the clinic's archive: failing since 2 h ago"


async def test_an_endpoint_that_is_no_longer_among_them_is_looked_at_by_name_before_its_matter_is_over(
    pool: asyncpg.Pool,
) -> None:
    reader, made = Reader(), await endpoint(pool)
    check = EndpointCheck(reader, STORE)
    reader.troubled = {made.id: Health("gone")}
    await check.look(pool)
    reader.troubled, reader.others = {}, {made.id: Health("gone")}
    await check.look(pool)
    assert await open_subjects(pool, Kind.ENDPOINT_GONE) == {str(made.id)}
    reader.others = {made.id: Health("removed")}
    await check.look(pool)
    assert await open_subjects(pool, Kind.ENDPOINT_GONE) == set()


async def test_a_hundred_that_fail_at_once_are_one_matter(pool: asyncpg.Pool) -> None:
    reader = Reader()
    made = [await endpoint(pool) for _ in range(MOST_ONE_BY_ONE + 1)]
    check = EndpointCheck(reader, STORE)
    reader.troubled = {each.id: failing(2) for each in made}
    await check.look(pool)
    assert await open_subjects(pool, Kind.ENDPOINT_FAILING) == {"several"}
    assert await pool.fetchval("SELECT what FROM alerts") == "11 endpoints have failed for an hour"
    reader.troubled = {made[0].id: failing(2)}
    await check.look(pool)
    assert await open_subjects(pool, Kind.ENDPOINT_FAILING) == {str(made[0].id)}


def test_what_is_open_stays_open_when_many_join_it() -> None:
    many = [uuid7() for _ in range(20)]
    assert subjects_of(many, {str(many[0])}) == {str(many[0]), "several"}
    assert subjects_of(many[:3], {"several"}) == {str(each) for each in many[:3]}
    assert subjects_of([], {"several"}) == set()
