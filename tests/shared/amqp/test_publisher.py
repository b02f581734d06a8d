"""A publish that returns was kept by a queue; every other one raises `NotKept` in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from proxy import proxied
from stores import count, take_all
from waiting import until

from shared.amqp.publisher import NotKept, Publisher
from shared.broker import FAX_IN, WORK_EVENTS
from shared.runtime.service import end


@asynccontextmanager
async def publishing(amqp_url: str, **options: float) -> AsyncIterator[Publisher]:
    publisher = Publisher(amqp_url, "test", **options)
    task = asyncio.create_task(publisher.run())
    await until(lambda: publisher.is_ready or task.done(), "publisher ready")
    try:
        yield publisher
    finally:
        await end({task})


async def test_a_published_message_lies_in_the_queue_with_body_headers_and_persistence(amqp_url: str) -> None:
    async with publishing(amqp_url) as publisher:
        await publisher.publish(FAX_IN, "phaxio.fax.queued", b'{"a":1}', {"event_id": "phaxio:1", "schema": 1})
    (message,) = await take_all(amqp_url, WORK_EVENTS)
    assert message.body == b'{"a":1}'
    ours = {name: value for name, value in message.headers.items() if not name.startswith("x-")}
    assert ours == {"event_id": "phaxio:1", "schema": 1}
    assert message.routing_key == "phaxio.fax.queued"
    assert message.content_type == "application/json"
    assert message.delivery_mode == 2
    assert message.message_id is None


async def test_a_body_larger_than_a_frame_arrives_whole(amqp_url: str) -> None:
    body = bytes(range(256)) * 2048  # 512 KiB, four frames
    async with publishing(amqp_url) as publisher:
        await publisher.publish(FAX_IN, "a.b", body, {})
    (message,) = await take_all(amqp_url, WORK_EVENTS)
    assert message.body == body


async def test_a_message_that_cannot_be_written_is_raised_and_leaves_the_confirms_of_the_others_theirs(
    amqp_url: str,
) -> None:
    async with publishing(amqp_url) as publisher:
        with pytest.raises(UnicodeEncodeError):
            await publisher.publish(FAX_IN, "a.b", b"{}", {"event_id": "\ud800"})
        assert publisher.unconfirmed == 0
        await publisher.publish(FAX_IN, "a.b", b"{}", {})  # confirmed by its own number, or not at all
        assert publisher.unconfirmed == 0


async def test_a_message_that_no_queue_takes_is_not_kept(amqp_url: str) -> None:
    async with publishing(amqp_url) as publisher:
        with pytest.raises(NotKept, match="no queue takes"):
            await publisher.publish("fax.retry", "retry.unheard-of", b"{}", {})


async def test_an_unroutable_message_among_many_is_the_only_one_not_kept(amqp_url: str) -> None:
    async with publishing(amqp_url) as publisher:
        keys = [("fax.retry", "nowhere") if number == 37 else (FAX_IN, "a.b") for number in range(100)]
        results = await asyncio.gather(
            *(publisher.publish(exchange, key, b"{}", {"event_id": "same"}) for exchange, key in keys),
            return_exceptions=True,
        )
    assert [number for number, result in enumerate(results) if result is not None] == [37]
    assert await count(amqp_url, WORK_EVENTS) == 99


async def test_publishing_to_an_exchange_that_is_missing_fails_and_later_publishes_succeed_again(amqp_url: str) -> None:
    async with publishing(amqp_url) as publisher:
        with pytest.raises(NotKept):
            await publisher.publish("no.such.exchange", "a", b"{}", {})
        await until(lambda: publisher.is_ready, "connected again")
        await publisher.publish(FAX_IN, "a.b", b"{}", {})


async def test_without_a_broker_every_publish_fails_at_once(unused_tcp_port: int) -> None:
    publisher = Publisher(f"amqp://nobody:nothing@127.0.0.1:{unused_tcp_port}/", "test")
    task = asyncio.create_task(publisher.run())
    try:
        async with asyncio.timeout(0.5):
            with pytest.raises(NotKept, match="no connection"):
                await publisher.publish(FAX_IN, "a.b", b"{}", {})
    finally:
        await end({task})


async def test_past_the_limit_in_flight_a_publish_fails_at_once(amqp_url: str) -> None:
    async with publishing(amqp_url, most_unconfirmed=10) as publisher:
        results = await asyncio.gather(
            *(publisher.publish(FAX_IN, "a.b", b"{}", {}) for _ in range(30)), return_exceptions=True
        )
    refused = [result for result in results if result is not None]
    assert len(refused) == 20
    assert all("wait for the broker's confirm already" in str(error) for error in refused)
    assert await count(amqp_url, WORK_EVENTS) == 10


async def test_a_publish_whose_caller_is_cancelled_leaves_the_others_right(amqp_url: str) -> None:
    async with publishing(amqp_url) as publisher:
        cancelled = asyncio.create_task(publisher.publish(FAX_IN, "a.b", b"1", {}))
        await asyncio.sleep(0)  # let it send
        cancelled.cancel()
        with pytest.raises(NotKept):
            await publisher.publish("fax.retry", "nowhere", b"2", {})
        await publisher.publish(FAX_IN, "a.b", b"3", {})
        await until(lambda: publisher.unconfirmed == 0, "all confirmed")


async def test_each_publish_waits_for_its_own_timeout_and_no_longer(amqp_url: str) -> None:
    async with proxied(amqp_url) as (proxy, url), publishing(url, confirm_timeout_seconds=0.6) as publisher:
        loop = asyncio.get_running_loop()

        async def seconds_until_given_up() -> float:
            sent_at = loop.time()
            with pytest.raises(NotKept, match="no confirm"):
                await publisher.publish(FAX_IN, "a.b", b"{}", {})
            return loop.time() - sent_at

        await publisher.publish(FAX_IN, "a.b", b"{}", {})  # its timer is the first, and must not stay the only one
        proxy.stall(both=False)
        given_up = []
        for _ in range(5):
            given_up.append(asyncio.create_task(seconds_until_given_up()))
            await asyncio.sleep(0.1)  # the pace of what is sent
        seconds = await asyncio.gather(*given_up)
        again = await seconds_until_given_up()  # no timer was left
    assert all(0.59 < each < 0.9 for each in (*seconds, again)), (seconds, again)


async def test_messages_that_come_while_one_waits_for_its_confirm_go_out_together_with_that_confirm(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.amqp.publisher.HOLD_SECONDS", 30.0)  # so that only a confirm sends them
    async with publishing(amqp_url) as publisher:
        written = written_by(publisher)
        await asyncio.gather(*(publisher.publish(FAX_IN, "a.b", b"%d" % number, {}) for number in range(20)))
        await publisher.publish(FAX_IN, "a.b", b"20", {})
    assert [each.count(b"a.b") for each in written] == [1, 19, 1]
    assert [int(message.body) for message in await take_all(amqp_url, WORK_EVENTS)] == list(range(21))


async def test_a_confirm_that_does_not_come_holds_up_no_other_message(amqp_url: str) -> None:
    async with publishing(amqp_url) as publisher:
        written = written_by(publisher)
        publisher._unconfirmed[0] = (asyncio.get_running_loop().create_future(), asyncio.get_running_loop().time())
        async with asyncio.timeout(1.0):
            await asyncio.gather(*(publisher.publish(FAX_IN, "a.b", b"{}", {}) for _ in range(3)))
    assert [each.count(b"a.b") for each in written] == [3]


async def test_what_was_held_when_the_connection_was_lost_is_not_kept_and_never_sent(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.amqp.publisher.HOLD_SECONDS", 30.0)
    async with proxied(amqp_url) as (proxy, url), publishing(url) as publisher:
        proxy.stall(both=False)
        results = [asyncio.create_task(publisher.publish(FAX_IN, "a.b", b"old", {})) for _ in range(5)]
        await until(lambda: publisher.unconfirmed == 5, "one sent, four held")
        proxy.cut()
        for each in results:
            with pytest.raises(NotKept, match="was lost before the confirm"):
                await each
        proxy.restore()
        await until(lambda: publisher.is_ready, "connected again")
        await asyncio.gather(*(publisher.publish(FAX_IN, "a.b", b"new", {}) for _ in range(5)))
    bodies = [message.body for message in await take_all(amqp_url, WORK_EVENTS)]
    assert (bodies.count(b"new"), bodies.count(b"old") <= 1) == (5, True)


def written_by(publisher: Publisher) -> list[bytes]:
    """Return what *publisher* writes from now on, write by write."""
    channel, written = publisher._channel, []
    assert channel is not None
    write = channel.write

    def spied(payload: bytes) -> None:
        written.append(bytes(payload))
        write(payload)

    channel.write = spied  # type: ignore[method-assign]
    return written
