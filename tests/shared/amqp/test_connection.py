"""A connection to the broker that cannot be made, closed or trusted is replaced, and the process lives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from proxy import proxied
from waiting import until

from shared.amqp.publisher import NotKept, Publisher
from shared.broker import FAX_IN
from shared.runtime.service import end


@asynccontextmanager
async def running(publisher: Publisher) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(publisher.run())
    try:
        yield task
    finally:
        await end({task})


async def test_a_port_that_accepts_and_closes_at_once_is_a_broker_that_is_away_and_nothing_dies() -> None:
    accepted = 0

    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with running(Publisher(f"amqp://u:p@127.0.0.1:{port}/", "test")) as task:
            await until(lambda: accepted >= 4 or task.done(), "tried again and again")
            assert not task.done()


async def test_after_a_cut_connection_the_publisher_is_back_by_itself(amqp_url: str) -> None:
    async with proxied(amqp_url) as (proxy, through):
        publisher = Publisher(through, "test")
        async with running(publisher) as task:
            await until(lambda: publisher.is_ready, "ready")
            proxy.cut()
            await until(lambda: not publisher.is_ready, "noticed")
            with pytest.raises(NotKept):
                await publisher.publish(FAX_IN, "a.b", b"{}", {})
            proxy.restore()
            await until(lambda: publisher.is_ready or task.done(), "ready again", seconds=10)
            await publisher.publish(FAX_IN, "a.b", b"{}", {})


async def test_a_peer_that_stops_reading_with_full_buffers_is_given_up_and_replaced(amqp_url: str) -> None:
    async with proxied(amqp_url) as (proxy, through):
        publisher = Publisher(through, "test", confirm_timeout_seconds=0.5)
        async with running(publisher):
            await until(lambda: publisher.is_ready, "ready")
            proxy.stall()
            body = b"x" * 65_536

            async def given_up() -> bool:
                results = await asyncio.gather(
                    *(publisher.publish(FAX_IN, "a.b", body, {}) for _ in range(50)), return_exceptions=True
                )
                assert all(isinstance(result, NotKept) for result in results)
                return not publisher.is_ready

            await until(given_up, "given up", seconds=20)
            proxy.restore()
            await until(lambda: publisher.is_ready, "ready again", seconds=15)
            await publisher.publish(FAX_IN, "a.b", b"{}", {})


async def test_confirms_that_stop_at_the_limit_in_flight_are_noticed_too(amqp_url: str) -> None:
    async with proxied(amqp_url) as (proxy, through):
        publisher = Publisher(through, "test", confirm_timeout_seconds=0.5, most_unconfirmed=20)
        async with running(publisher):
            await until(lambda: publisher.is_ready, "ready")
            proxy.stall(both=False)  # ours goes out, nothing comes back
            await asyncio.gather(
                *(publisher.publish(FAX_IN, "a.b", b"{}", {}) for _ in range(20)), return_exceptions=True
            )
            assert publisher.unconfirmed == 20

            async def given_up() -> bool:
                with pytest.raises(NotKept):
                    await publisher.publish(FAX_IN, "a.b", b"{}", {})
                return publisher.unconfirmed == 0

            await until(given_up, "given up", seconds=15)
            proxy.restore()
            await until(lambda: publisher.is_ready, "ready again", seconds=15)
