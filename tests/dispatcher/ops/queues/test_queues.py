"""Queues as the real broker has them: read, sampled, shown; what is away is said, never raised."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress

import aio_pika
import aiohttp
import aiormq
import asyncpg
import msgspec
import pytest
from dispatchers import DispatcherHarness, an_event
from ledgers import endpoint, take
from stores import Stores
from typer.testing import CliRunner

from dispatcher.ledger.pool import open_pool
from dispatcher.ops.cli import app
from dispatcher.ops.queues.bodies import Queue, Queues
from dispatcher.ops.queues.history import QueueHistory
from dispatcher.ops.queues.reader import QueueReader
from dispatcher.ops.queues.waiting import read_waiting
from shared.amqp.channel import QueueDepth
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
BACKOFF = parse_backoff(DEFAULT_BACKOFF)


def the(found: Queues, name: str) -> Queue:
    return next(queue for queue in found.items if queue.name == name)


async def test_depths_and_consumers_are_those_of_the_broker(harness: DispatcherHarness) -> None:
    await harness.publish(an_event(1), an_event(2))
    found = await QueueReader(harness.amqp_url, None, harness.pool, BACKOFF).read()
    queue = the(found, "work.events")
    assert (queue.messages, queue.consumers, queue.standing, queue.in_per_second) == (2, 0, "present", None)
    assert found.troubles == ()


async def test_a_queue_that_was_deleted_is_missing_and_the_others_are_still_read(
    harness: DispatcherHarness,
) -> None:
    async with await aio_pika.connect(harness.amqp_url) as connection:
        channel = await connection.channel()
        await channel.queue_delete("retry.10m")
    found = await QueueReader(harness.amqp_url, None, harness.pool, BACKOFF).read()
    assert [queue.name for queue in found.items if queue.standing == "missing"] == ["retry.10m"]
    assert the(found, "dead.deliveries").messages == 0


async def test_the_management_api_adds_unacked_and_left_over_queues(
    harness: DispatcherHarness, service_stores: Stores
) -> None:
    if service_stores.api_url is None:
        pytest.skip("no management API here")
    found = await QueueReader(harness.amqp_url, service_stores.api_url, harness.pool, BACKOFF[:1]).read()
    assert the(found, "work.events").unacked is not None
    assert the(found, "work.events").in_per_second is not None
    assert the(found, "retry.6h").standing == "left_over"
    assert any("left over" in trouble for trouble in found.troubles)


async def test_whatever_is_away_is_a_sentence_and_the_rest_is_there(database_url: str, unused_tcp_port: int) -> None:
    nowhere = f"127.0.0.1:{unused_tcp_port}"
    pool = await open_pool(database_url)
    found = await QueueReader(f"amqp://{nowhere}/", f"http://u:p@{nowhere}", pool, BACKOFF).read()
    assert found.owed == 0
    assert len(found.troubles) == 2
    assert "p@" not in str(found.troubles)
    await pool.close()
    away = await open_pool(f"postgresql://u:p@{nowhere}/x")
    found = await QueueReader(f"amqp://{nowhere}/", None, away, BACKOFF).read()
    assert (found.owed, found.overdue, len(found.troubles)) == (None, None, 2)
    await away.close()


async def test_what_is_owed_due_and_waiting_is_told_by_the_ledger(harness: DispatcherHarness) -> None:
    await endpoint(harness.pool)
    await take(harness.pool, an_event(1), an_event(2), an_event(3))
    await harness.pool.execute("UPDATE deliveries SET lease_until = NULL")
    await harness.pool.execute(
        "UPDATE deliveries SET state = 'retrying', attempts = 1, due_at = now() + interval '200 seconds' "
        "WHERE event_id = 'phaxio:1-fax.delivered'"
    )
    async with await aio_pika.connect(harness.amqp_url) as connection:
        channel = await connection.channel()
        retry = await channel.get_exchange("fax.retry")
        await retry.publish(aio_pika.Message(b"{}"), "retry.5m")
    found = await QueueReader(harness.amqp_url, None, harness.pool, BACKOFF).read()
    assert (found.owed, found.overdue) == (3, 2)
    queue = the(found, "retry.5m")
    assert queue.next_due_at is not None
    assert 195 < (queue.next_due_at - found.at).total_seconds() <= 200
    assert queue.oldest_seconds == pytest.approx(100, abs=5)


async def test_after_a_replay_the_attempts_since_say_in_which_queue_a_delivery_waits(pool: asyncpg.Pool) -> None:
    await endpoint(pool)
    await take(pool, an_event(1), an_event(2))
    for number, seconds, attempts in ((1, 200.0, 18), (2, 10.0, 17)):
        await pool.execute(
            "UPDATE deliveries SET state = 'retrying', lease_until = NULL, budget_from = 17, attempts = $3, "
            "due_at = now() + make_interval(secs => $2) WHERE event_id = $1",
            an_event(number).id,
            seconds,
            attempts,
        )
    waiting = await read_waiting(pool)
    assert list(waiting.retries) == [1]
    assert waiting.held_back is not None
    assert waiting.held_back < waiting.retries[1]


class Readings:
    """What a history reads, at the test's will."""

    def __init__(self) -> None:
        self.depth: int | None = 0
        self.reads = 0

    async def depths(self) -> dict[str, QueueDepth] | None:
        return None if self.depth is None else {"work.events": QueueDepth(self.depth, 1)}

    async def read(self, _last_empty: object) -> Queues:
        self.reads += 1
        await asyncio.sleep(0)  # other readers have their turn, as while a broker answers
        return Queues(items=(), at=None, owed=0, overdue=0, troubles=())


async def test_the_history_remembers_an_hour_and_when_a_queue_was_last_empty() -> None:
    readings = Readings()
    history = QueueHistory(readings, every_seconds=600)
    await history.sample()
    empty_at = history.last_empty("work.events")
    for depth in (4, None, 5, 6, 7, 8, 9):
        readings.depth = depth
        await history.sample()
    assert [sample.messages["work.events"] for sample in history.samples()] == [4, 5, 6, 7, 8, 9], "six fit in the hour"
    assert history.last_empty("work.events") == empty_at is not None
    assert history.last_empty("dead.events") is None


async def test_many_who_ask_at_once_cost_one_look() -> None:
    readings = Readings()
    history = QueueHistory(readings)
    await asyncio.gather(*(history.now() for _ in range(20)))
    assert readings.reads == 1


async def test_the_api_answers_what_the_command_prints(
    harness: DispatcherHarness, dispatching: Dispatching, unused_tcp_port: int
) -> None:
    async with dispatching(OPS_TOKEN="ops-token"), aiohttp.ClientSession() as http:
        headers = {"Authorization": "Bearer ops-token"}
        async with http.get(f"http://127.0.0.1:{unused_tcp_port}/v1/queues", headers=headers) as response:
            body = await response.json()
        result = await asyncio.to_thread(CliRunner().invoke, app, ["queues", "--json"], env=harness.environment)
    printed = msgspec.json.decode(result.stdout)
    assert result.exit_code == 0
    assert [each["name"] for each in body["items"]] == [each["name"] for each in printed["items"]]
    assert body.keys() == printed.keys()
    assert next(each["consumers"] for each in body["items"] if each["name"] == "work.events") == 1


async def test_the_command_ends_with_69_for_a_broker_that_is_away_and_78_for_a_missing_queue(
    harness: DispatcherHarness, pool: asyncpg.Pool, unused_tcp_port: int
) -> None:
    async def ended(**environment: str) -> int:
        environment = {**harness.environment, "COLUMNS": "140", **environment}
        return (await asyncio.to_thread(CliRunner().invoke, app, ["queues"], env=environment)).exit_code

    assert await ended(OPS_AMQP_URL=f"amqp://127.0.0.1:{unused_tcp_port}/") == 69
    assert await ended() == 0
    assert await ended(BACKOFF="7m") == 78
    assert await ended(RABBITMQ_API_URL="ftp://x") == 78


async def test_sampling_ends_when_it_is_told_to_though_a_connection_swallows_it(
    monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    connecting = asyncio.Event()

    async def swallowing(_connection: aiormq.Connection) -> None:
        connecting.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    monkeypatch.setattr(aiormq.Connection, "connect", swallowing)
    pool = await open_pool(database_url)
    sampling = asyncio.create_task(QueueHistory(QueueReader("amqp://x/", None, pool, BACKOFF)).run())
    await connecting.wait()
    sampling.cancel()
    done, _ = await asyncio.wait({sampling}, timeout=3)
    assert done
    await pool.close()
