"""A test gets empty stores, whatever the one before it did with them."""

import itertools
import os
from collections.abc import AsyncIterator

import aio_pika
import asyncpg
import pytest
from databases import Databases
from stores import Stores, count, fresh_topology, with_database

from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import topology

TOPOLOGY = topology(parse_backoff(DEFAULT_BACKOFF))
AN_ENTRY = "INSERT INTO audit (at, who, what, subject, details) VALUES (now(), 'one', 'does', 'it', '{}')"
_numbers = itertools.count(1)


@pytest.fixture
async def ledgers(service_stores: Stores, database_template: str) -> AsyncIterator[Databases]:
    """Ledgers for this test alone, by names that no other has."""
    prefix = f"faxhook_stores_{os.getpid()}_{next(_numbers)}"
    made = Databases(service_stores.database_url, database_template, prefix)
    yield made
    await made.close()


async def oid_of(url: str) -> int:
    """Return what stays the same as long as it is the same database, whatever it is called."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
    finally:
        await connection.close()


async def test_a_ledger_with_rows_is_emptied_and_given_to_the_next_test_by_another_name(
    ledgers: Databases,
) -> None:
    first = await ledgers.take()
    oid = await oid_of(first)
    left_open = await asyncpg.connect(first)
    await left_open.execute(AN_ENTRY)
    await ledgers.give_back(first)
    assert left_open.is_closed()
    second = await ledgers.take()
    assert second != first
    assert await oid_of(second) == oid
    connection = await asyncpg.connect(second)
    assert await connection.fetchval("SELECT count(*) FROM audit") == 0
    assert await connection.fetchval(f"{AN_ENTRY} RETURNING id") == 1
    assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    await connection.close()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(first)
    await ledgers.give_back(second)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE more ()",
        "DROP TABLE line_hours",
        "ALTER TABLE audit RENAME TO audit_away",
        "ALTER TABLE audit ALTER at DROP NOT NULL",
        "ALTER TABLE audit SET (fillfactor = 50)",
        "CREATE INDEX ON audit (who)",
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "GRANT SELECT ON audit TO PUBLIC",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        f"{AN_ENTRY}; ANALYZE audit",
        "UPDATE alembic_version SET version_num = '0001'",
        "SELECT nextval('audit_id_seq')",
    ],
)
async def test_a_ledger_in_which_more_than_rows_was_changed_is_given_to_no_other_test(
    ledgers: Databases, change: str
) -> None:
    first = await ledgers.take()
    oid = await oid_of(first)
    connection = await asyncpg.connect(first)
    await connection.execute(change)
    await connection.close()
    await ledgers.give_back(first)
    second = await ledgers.take()
    assert await oid_of(second) != oid
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(with_database(first, first.rpartition("/")[2]))
    await ledgers.give_back(second)


@pytest.mark.parametrize("is_read", [False, True])
async def test_what_waits_in_a_queue_or_is_held_by_a_reader_is_gone(amqp_url: str, *, is_read: bool) -> None:
    async with await aio_pika.connect(amqp_url, timeout=10) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        for queue in TOPOLOGY.queues:
            for _ in range(2):
                await channel.default_exchange.publish(aio_pika.Message(b"left"), routing_key=queue.name)
        if is_read:
            held = await channel.get_queue("work.events")
            async with held.iterator() as messages:
                await anext(messages)
                await fresh_topology(amqp_url, TOPOLOGY)
        else:
            await fresh_topology(amqp_url, TOPOLOGY)
    assert [await count(amqp_url, queue.name) for queue in TOPOLOGY.queues] == [0] * len(TOPOLOGY.queues)


async def test_a_queue_that_is_gone_or_another_one_is_declared_and_bound(amqp_url: str) -> None:
    async with await aio_pika.connect(amqp_url, timeout=10) as connection:
        channel = await connection.channel()
        await channel.queue_delete("work.events")
        await channel.queue_delete("dead.events")
        await channel.declare_queue("dead.events", durable=True, arguments={"x-queue-type": "quorum"})
        await fresh_topology(amqp_url, TOPOLOGY)
        for exchange, key in (("fax.in", "phaxio.fax.delivered"), ("fax.dead", "event")):
            told = await (await channel.get_exchange(exchange)).publish(aio_pika.Message(b"new"), routing_key=key)
            assert told is not None
    assert await count(amqp_url, "work.events") == 1
    assert await count(amqp_url, "dead.events") == 1
