"""The topology on a real broker: delays are exact, and every dead letter reaches its queue."""

import aio_pika
import pytest
from stores import count, take_all
from waiting import until

from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import Topology, TopologyError, declare, topology, verify

FAX_TABLE = topology(parse_backoff(DEFAULT_BACKOFF))


def test_the_fax_table_makes_five_retry_queues_with_exactly_its_waits() -> None:
    waits = {q.name: q.arguments["x-message-ttl"] for q in FAX_TABLE.queues if q.name.startswith("retry.")}
    assert waits == {
        "retry.5m": 300_000,
        "retry.10m": 600_000,
        "retry.20m": 1_200_000,
        "retry.30m": 1_800_000,
        "retry.6h": 21_600_000,
    }


async def test_the_broker_holds_every_queue_with_exactly_its_arguments(amqp_url: str) -> None:
    # The broker accepts a second declaration only if every argument is the same.
    async with await aio_pika.connect(amqp_url) as connection:
        for queue in FAX_TABLE.queues:
            channel = await connection.channel()
            await channel.declare_queue(queue.name, durable=True, arguments=queue.all_arguments())
            other = {**queue.all_arguments(), "x-message-ttl": 12_345}
            with pytest.raises(aio_pika.exceptions.ChannelPreconditionFailed):
                await channel.declare_queue(queue.name, durable=True, arguments=other)


async def test_declaring_twice_changes_nothing(amqp_url: str) -> None:
    await declare(amqp_url, FAX_TABLE)
    await declare(amqp_url, FAX_TABLE)


async def test_a_queue_that_exists_with_other_arguments_is_named_and_left_alone(amqp_url: str) -> None:
    (queue,) = [each for each in FAX_TABLE.queues if each.name == "retry.5m"]
    changed = type(queue)(queue.name, queue.exchange, queue.key, {**queue.arguments, "x-message-ttl": 1})
    with pytest.raises(TopologyError, match=r"retry\.5m"):
        await declare(amqp_url, Topology(FAX_TABLE.exchanges, (changed,)))
    await declare(amqp_url, FAX_TABLE)


async def test_what_is_missing_is_named_with_the_command_that_makes_it(amqp_url: str) -> None:
    await verify(amqp_url, ["fax.in"], ["work.events"])
    with pytest.raises(TopologyError, match=r"no queue `retry\.7m`: run `faxhook topology`"):
        await verify(amqp_url, ["fax.in"], ["retry.7m"])
    with pytest.raises(TopologyError, match=r"no exchange `fax\.on`"):
        await verify(amqp_url, ["fax.on"], [])


@pytest.mark.parametrize(
    ("exchange", "key", "queue", "dead"),
    [
        ("fax.in", "telnyx.fax.sending", "work.events", "dead.events"),
        ("fax.work", "delivery", "work.deliveries", "dead.deliveries"),
    ],
)
async def test_a_message_rejected_from_a_work_queue_lies_in_its_dead_queue(
    amqp_url: str, exchange: str, key: str, queue: str, dead: str
) -> None:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        await (await channel.get_exchange(exchange)).publish(aio_pika.Message(b"poison"), key)
        rejected = await (await channel.get_queue(queue)).get()
        await rejected.reject(requeue=False)
    await until(lambda: count(amqp_url, dead), f"the message in {dead}")
    (found,) = await take_all(amqp_url, dead)
    assert found.body == b"poison"


class TestAScaledTable:
    @pytest.fixture
    def backoff(self) -> str:
        return "0.3s,0.6s"

    async def test_what_waited_long_enough_comes_to_the_deliveries_whichever_queue_it_waited_in(
        self, amqp_url: str
    ) -> None:
        async with await aio_pika.connect(amqp_url) as connection:
            exchange = await (await connection.channel()).get_exchange("fax.retry")
            await exchange.publish(aio_pika.Message(b"later"), "retry.0.6s")
            await exchange.publish(aio_pika.Message(b"sooner"), "retry.0.3s")

        async def both() -> bool:
            return await count(amqp_url, "work.deliveries") == 2

        await until(both, "both in work.deliveries")
        assert [message.body for message in await take_all(amqp_url, "work.deliveries")] == [b"sooner", b"later"]
