"""Each new cause of dead letters is a matter, until none of it is left; a broker that is away changes nothing."""

import asyncpg
import pytest
from dispatchers import an_event
from ledgers import endpoint, take

from dispatcher.alerts.checks.dead import EMPTY_LOOKS, DeadLetterCheck, queue_depths
from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import open_subjects
from shared.amqp.errors import ConnectionLost


class Depths:
    def __init__(self, **depths: int) -> None:
        self.depths: dict[str, int] | None = depths

    async def __call__(self) -> dict[str, int]:
        if self.depths is None:
            raise ConnectionLost("the broker is away")
        return self.depths


async def dies(pool: asyncpg.Pool, number: int, cause: str) -> None:
    await take(pool, an_event(number))
    await pool.execute(
        "UPDATE deliveries SET state = 'dead', reason = $2, settled_at = now() WHERE event_id = $1",
        an_event(number).id,
        cause,
    )


async def test_each_cause_is_one_matter_until_none_of_it_is_left(pool: asyncpg.Pool) -> None:
    await endpoint(pool)
    check = DeadLetterCheck(Depths())
    for number, cause in enumerate(["http_500", "http_500", "stuck", "gone"], start=1):
        await dies(pool, number, cause)
    await check.look(pool)
    await check.look(pool)
    rows = await pool.fetch("SELECT subject, what, count FROM alerts ORDER BY subject")
    assert [tuple(row) for row in rows] == [
        ("delivery http_500", "2 deliveries to 1 endpoint are dead: http_500", 2),
        ("delivery stuck", "1 delivery to 1 endpoint is dead: stuck", 1),
    ]
    await pool.execute("UPDATE deliveries SET state = 'pending' WHERE reason = 'stuck'")
    await check.look(pool)
    assert await open_subjects(pool, Kind.DEAD_LETTERS) == {"delivery http_500"}


async def test_callbacks_and_events_are_matters_until_their_queue_was_seen_empty_three_times(
    pool: asyncpg.Pool,
) -> None:
    depths = Depths(callback=2, event=0)
    check = DeadLetterCheck(depths)
    await check.look(pool)
    assert await pool.fetchval("SELECT what FROM alerts") == "2 callbacks could not be read; kept in dead.callbacks"
    depths.depths = {"callback": 0, "event": 0}  # a process browses it
    await check.look(pool)
    depths.depths = None
    with pytest.raises(ConnectionLost):
        await check.look(pool)
    assert await open_subjects(pool, Kind.DEAD_LETTERS) == {"callback"}
    depths.depths = {"callback": 0, "event": 0}
    for _ in range(EMPTY_LOOKS - 1):
        await check.look(pool)
    assert await open_subjects(pool, Kind.DEAD_LETTERS) == set()


async def test_the_depths_are_those_of_the_broker(amqp_url: str) -> None:
    assert await queue_depths(amqp_url) == {"callback": 0, "event": 0}
