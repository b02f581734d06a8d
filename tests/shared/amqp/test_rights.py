"""Each user may do what its service needs and nothing else; a right that is missing is named at start."""

import pytest
from pamqp import commands
from stores import count

from shared.amqp.channel import ChannelClosed
from shared.amqp.publisher import NotKept, Publisher
from shared.amqp.rights import RIGHTS, RightMissing, verify_rights
from shared.amqp.session import broker_session
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import FAX_DEAD, FAX_IN, FAX_RETRY, FAX_WORK, WORK_DELIVERIES, WORK_EVENTS, topology

EXCHANGES = (FAX_IN, FAX_WORK, FAX_RETRY, FAX_DEAD)
QUEUES = [queue.name for queue in topology(parse_backoff(DEFAULT_BACKOFF)).queues]
WORK = [WORK_EVENTS, WORK_DELIVERIES]
DEAD = ["dead.callbacks", "dead.events", "dead.deliveries"]
WAITING = [name for name in QUEUES if name.startswith(("retry.", "defer."))]

ALLOWED = {
    "owner": (EXCHANGES, QUEUES),
    "ingress": ((FAX_IN, FAX_DEAD), []),
    "dispatcher": ((FAX_WORK, FAX_RETRY, FAX_DEAD), WORK),
    "ops": ((FAX_IN, FAX_WORK), [*WORK, *WAITING, *DEAD]),
    "monitor": ((), []),
}


@pytest.fixture
def urls(service_stores, broker_users):
    if service_stores.api_url is None:
        pytest.skip("the stores are given without RABBITMQ_API_URL")
    return broker_users


@pytest.mark.parametrize("user", RIGHTS)
async def test_a_user_may_write_and_read_what_it_needs_and_nothing_else(amqp_url, urls, user):
    writes, reads = ALLOWED[user]
    await verify_rights(urls[user], writes, reads)
    for exchange in set(EXCHANGES) - set(writes):
        with pytest.raises(RightMissing, match=f"may not write to the exchange `{exchange}`"):
            await verify_rights(urls[user], [exchange], [])
    for queue in set(QUEUES) - set(reads):
        with pytest.raises(RightMissing, match=f"may not read the queue `{queue}`"):
            await verify_rights(urls[user], [], [queue])


@pytest.mark.parametrize("user", sorted(set(RIGHTS) - {"owner"}))
async def test_only_the_owner_declares_deletes_or_unbinds(amqp_url, urls, user):
    for request in (
        commands.Queue.Declare(queue="work.more", durable=True, arguments={"x-queue-type": "quorum"}),
        commands.Exchange.Declare(exchange="fax.more", exchange_type="direct", durable=True),
        commands.Queue.Delete(queue="retry.5m"),
        commands.Exchange.Delete(exchange=FAX_RETRY),
        commands.Queue.Unbind(queue="retry.5m", exchange=FAX_RETRY, routing_key="retry.5m"),
    ):
        async with broker_session(urls[user], "test") as broker:
            with pytest.raises(ChannelClosed, match="403"):
                await broker.call(request)


async def test_looking_for_a_right_writes_nothing_and_takes_nothing(amqp_url, urls):
    publisher = Publisher(amqp_url, "test", confirm_timeout_seconds=10.0)
    async with publisher.connected_once():
        await publisher.publish(FAX_IN, "phaxio.fax.sent", b"{}", {})
    await verify_rights(amqp_url, EXCHANGES, QUEUES)
    assert await count(amqp_url, WORK_EVENTS) == 1
    assert [await count(amqp_url, queue) for queue in QUEUES if queue != WORK_EVENTS] == [0] * (len(QUEUES) - 1)


async def test_what_is_not_there_is_named(amqp_url):
    with pytest.raises(RightMissing, match=r"no `fax\.more`: run `faxhook topology`"):
        await verify_rights(amqp_url, ["fax.more"], [])


async def test_a_publish_without_the_right_is_not_taken_for_kept(amqp_url, urls):
    publisher = Publisher(urls["monitor"], "test", confirm_timeout_seconds=10.0)
    async with publisher.connected_once():
        with pytest.raises(NotKept):
            await publisher.publish(FAX_IN, "phaxio.fax.sent", b"{}", {})
    assert await count(amqp_url, WORK_EVENTS) == 0
