"""A store that comes back is used again by itself, and meanwhile the dispatcher is not ready."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import aiohttp
import pytest
from dispatchers import DispatcherHarness, an_event
from proxy import Proxy, proxied
from waiting import until

from shared.backoff import parse_backoff
from shared.broker import WORK_EVENTS, declare, topology, verify
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
BACK_SECONDS = 10.0

HURTS = {"cut": Proxy.cut, "stall": Proxy.stall, "stall one way": lambda proxy: proxy.stall(both=False)}


@pytest.fixture
def port(unused_tcp_port: int) -> int:
    """Where the dispatcher of `dispatching` tells of its health."""
    return unused_tcp_port


async def is_ready(port: int) -> bool:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/readyz") as response:
        return response.status == 200


async def back(port: int) -> None:
    await until(lambda: is_ready(port), "ready again", BACK_SECONDS)


async def away(port: int, seconds: float = 5.0) -> None:
    async def is_away() -> bool:
        return not await is_ready(port)

    await until(is_away, "not ready any more", seconds)


@pytest.mark.parametrize("hurt", HURTS)
async def test_what_a_dispatcher_cut_off_from_the_ledger_was_pushed_another_one_takes(
    harness: DispatcherHarness,
    dispatching: Dispatching,
    port: int,
    unused_tcp_port_factory: Callable[[], int],
    hurt: str,
) -> None:
    await harness.endpoint()
    other_port = unused_tcp_port_factory()
    async with (
        proxied(harness.environment["DATABASE_URL"]) as (proxy, through),
        dispatching(DATABASE_URL=through),
        harness.dispatching(other_port),
    ):
        HURTS[hurt](proxy)
        await harness.publish(*(an_event(number) for number in range(300)))
        await harness.settled(300, seconds=25)
        assert await is_ready(other_port)
        assert not await is_ready(port)
        proxy.restore()
        await back(port)
        await harness.publish(*(an_event(number) for number in range(300, 320)))
        await harness.settled(320)
    assert len(harness.receiver.received) == 320


@pytest.mark.parametrize("hurt", HURTS)
async def test_a_ledger_that_comes_back_is_used_again_within_ten_seconds(
    harness: DispatcherHarness, dispatching: Dispatching, port: int, hurt: str
) -> None:
    await harness.endpoint()
    async with proxied(harness.environment["DATABASE_URL"]) as (proxy, through), dispatching(DATABASE_URL=through):
        await harness.publish(*(an_event(number) for number in range(50)))
        await harness.settled(50)
        HURTS[hurt](proxy)
        await harness.publish(*(an_event(number) for number in range(50, 60)))
        await away(port)
        proxy.restore()
        restored = time.monotonic()
        await back(port)
        await harness.settled(60, BACK_SECONDS - (time.monotonic() - restored))
    assert len(harness.receiver.received) == 60


@pytest.mark.parametrize("hurt", HURTS)
async def test_a_broker_that_comes_back_is_used_again_within_ten_seconds(
    harness: DispatcherHarness, dispatching: Dispatching, port: int, hurt: str
) -> None:
    await harness.endpoint()
    heartbeat_seconds = 4
    async with (
        proxied(harness.amqp_url) as (proxy, through),
        dispatching(AMQP_URL=f"{through}?heartbeat={heartbeat_seconds}"),
    ):
        HURTS[hurt](proxy)
        await away(port, BACK_SECONDS)
        await harness.publish(*(an_event(number) for number in range(10)))
        proxy.restore()  # for new connections; those that hang keep hanging
        await back(port)
        # What the broker pushes into a connection of which it does not know that it hangs, it gives to others when
        # nothing has come over it for two heartbeats.
        await harness.settled(10, BACK_SECONDS if hurt == "cut" else 5 * heartbeat_seconds)


@asynccontextmanager
async def of_few_connections(harness: DispatcherHarness) -> AsyncIterator[tuple[str, Callable[[int], Any]]]:
    """Yield the ledger's URL for a role that is no superuser, and what limits its connections."""
    parts = urlsplit(harness.environment["DATABASE_URL"])
    role = f"few_{parts.path.strip('/')}"
    await harness.pool.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'few'")
    await harness.pool.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    host = parts.netloc.rpartition("@")[2]

    async def limit(most: int) -> None:
        await harness.pool.execute(f"ALTER ROLE {role} CONNECTION LIMIT {most}")
        await harness.pool.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role)

    try:
        yield urlunsplit(parts._replace(netloc=f"{role}:few@{host}")), limit
    finally:
        await limit(0)
        await harness.pool.execute(f"DROP OWNED BY {role}")
        await harness.pool.execute(f"DROP ROLE {role}")


async def test_a_ledger_that_has_no_connection_left_is_waited_for(
    harness: DispatcherHarness, dispatching: Dispatching, port: int
) -> None:
    await harness.endpoint()
    async with of_few_connections(harness) as (url, limit), dispatching(DATABASE_URL=url):
        await harness.publish(an_event(1))
        await harness.settled(1)
        await limit(0)
        await harness.publish(*(an_event(number) for number in range(2, 12)))
        await away(port)
        await limit(1)  # one is enough, if slowly
        await harness.settled(11, BACK_SECONDS)
        await limit(-1)
        await back(port)
    assert len(harness.receiver.received) == 11


async def problems(port: int) -> str:
    async with aiohttp.ClientSession() as http:
        try:
            async with http.get(f"http://127.0.0.1:{port}/readyz") as response:
                return await response.text()
        except aiohttp.ClientConnectorError:
            return "no answer"


async def test_a_dispatcher_is_not_ready_before_it_has_checked_the_brokers_queues(
    harness: DispatcherHarness, dispatching: Dispatching, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()

    async def held_back(*arguments: Any) -> None:
        await go_on.wait()
        await verify(*arguments)

    async def only_that_is_missing() -> bool:
        return "queues are not checked yet" in (said := await problems(port)) and "away" not in said

    monkeypatch.setattr("shared.broker.verify", held_back)
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        ready = group.create_task(stack.enter_async_context(dispatching()))
        await until(only_that_is_missing, "all but the check is done")
        assert not ready.done()
        go_on.set()
        await ready


async def test_a_consumer_that_the_broker_cancelled_comes_back_with_its_queue(
    harness: DispatcherHarness, dispatching: Dispatching, port: int, backoff: str
) -> None:
    await harness.endpoint()
    wanted = topology(parse_backoff(backoff))
    async with dispatching():
        async with await aio_pika.connect(harness.amqp_url) as connection:
            channel = await connection.channel()
            for queue in wanted.queues:
                await channel.queue_delete(queue.name)
            await away(port, BACK_SECONDS)
        await declare(harness.amqp_url, wanted)
        await harness.publish(an_event(1))
        await harness.settled(1, BACK_SECONDS)
        await back(port)


async def test_a_queue_that_is_there_again_before_its_consumers_are_told_is_consumed_within_a_minute(
    harness: DispatcherHarness, dispatching: Dispatching, backoff: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.consumers.consumer.SILENCE_SECONDS", 2.0)  # the minute
    await harness.endpoint()
    (work,) = [queue for queue in topology(parse_backoff(backoff)).queues if queue.name == WORK_EVENTS]
    async with dispatching(), await aio_pika.connect(harness.amqp_url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(work.name)
        declared = await channel.declare_queue(work.name, durable=True, arguments=work.all_arguments())
        await declared.bind(work.exchange, work.key)
        for number in (1, 2, 3):
            await harness.publish(an_event(number))
            await harness.settled(number)
    assert len(harness.receiver.received) == 3
