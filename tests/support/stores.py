"""Real RabbitMQ and PostgreSQL for the tests: given by URL, in containers, or started by deploy/local.py."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import asyncpg
from pamqp import commands
from waiting import until

from deploy.services import control
from deploy.services.container import has_engine
from shared.amqp.channel import ChannelClosed
from shared.amqp.session import broker_session
from shared.broker import FAX_DEAD, FAX_IN, FAX_RETRY, FAX_WORK, Topology, declare
from shared.sql.migrate import migrate


@dataclass(frozen=True)
class Stores:
    """Where the stores of this test run are. *amqp_url* names a vhost that belongs to the tests."""

    amqp_url: str
    database_url: str
    api_url: str | None


def are_given() -> bool:
    """Return whether the environment names both stores."""
    return bool(os.environ.get("AMQP_URL") and os.environ.get("DATABASE_URL"))


@contextmanager
def stores() -> Iterator[Stores]:
    """Yield the given stores, else containers where Docker is, else private ones."""
    if are_given():
        api_url = os.environ.get("RABBITMQ_API_URL") or None
        yield Stores(os.environ["AMQP_URL"], os.environ["DATABASE_URL"], api_url)
        return
    with ExitStack() as stack:
        yield stack.enter_context(_in_containers() if has_engine() else _private())


def stores_up() -> Callable[[], None]:
    """Start the private stores if `stores` will yield them and they do not run; return what stops those it started."""
    if are_given() or has_engine() or any(status.condition == "running" for status in control.status()):
        return lambda: None
    control.up()
    return control.down


@contextmanager
def _private() -> Iterator[Stores]:
    down = stores_up()
    services = control.up()
    vhost = f"test-{os.getpid()}"
    has_own_broker = services.rabbitmq_api_url is not None
    amqp_url = services.add_vhost(vhost) if has_own_broker else services.amqp_url
    try:
        yield Stores(amqp_url, services.database_url, services.rabbitmq_api_url)
    finally:
        if has_own_broker:
            services.delete_vhost(vhost)
        down()


@contextmanager
def _in_containers() -> Iterator[Stores]:
    from testcontainers.postgres import PostgresContainer  # noqa: PLC0415 - only where Docker is
    from testcontainers.rabbitmq import RabbitMqContainer  # noqa: PLC0415 - only where Docker is

    with RabbitMqContainer("rabbitmq:4-management") as broker, PostgresContainer("postgres:17") as database:
        host, port = broker.get_container_host_ip(), broker.get_exposed_port(5672)
        yield Stores(
            f"amqp://{broker.username}:{broker.password}@{host}:{port}/",
            database.get_connection_url(driver=None),
            None,
        )


async def fresh_topology(amqp_url: str, wanted: Topology) -> None:
    """Declare *wanted* with empty queues.

    Those of an earlier test are emptied: a quorum queue that is deleted and declared costs several times that, and half
    the suite begins with this. What cannot be emptied for certain is deleted.
    """
    if not await _emptied(amqp_url, wanted):
        await _delete(amqp_url, wanted)
        await declare(amqp_url, wanted)


async def _emptied(amqp_url: str, wanted: Topology) -> bool:
    """Declare *wanted* and purge its queues; return False if one is another, or someone still reads it."""
    async with broker_session(amqp_url, "fresh topology") as broker:
        for each in wanted.exchanges:
            await broker.call(commands.Exchange.Declare(exchange=each.name, exchange_type=each.kind, durable=True))
        for queue in wanted.queues:
            arguments: Any = queue.all_arguments()
            try:
                found = await broker.call(commands.Queue.Declare(queue=queue.name, durable=True, arguments=arguments))
            except ChannelClosed:
                return False
            if found.consumer_count:  # what it holds unacknowledged would come back
                return False
            await broker.call(commands.Queue.Bind(queue=queue.name, exchange=queue.exchange, routing_key=queue.key))
        # First those whose messages go on into others.
        for queue in sorted(wanted.queues, key=lambda queue: _EXCHANGES_IN_ORDER.index(queue.exchange)):
            await broker.call(commands.Queue.Purge(queue=queue.name))
    return True


_EXCHANGES_IN_ORDER = (FAX_RETRY, FAX_IN, FAX_WORK, FAX_DEAD)
"""A message goes from a queue of the first to one of a later one by itself."""


async def _delete(amqp_url: str, wanted: Topology) -> None:
    """Delete the queues of *wanted*, each on a channel of its own, all at once.

    All are gone before the first is declared: a queue that is there again at once keeps the broker from telling
    consumers.
    """
    async with await aio_pika.connect(amqp_url, timeout=10) as connection:
        channels = await asyncio.gather(*(connection.channel() for _ in wanted.queues))
        pairs = zip(channels, wanted.queues, strict=True)
        await asyncio.gather(*(channel.queue_delete(queue.name) for channel, queue in pairs))


async def count(amqp_url: str, queue: str) -> int:
    """Return the number of ready messages in *queue*."""
    async with await aio_pika.connect(amqp_url, timeout=10) as connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


async def count_unconsumed(amqp_url: str, queue: str) -> int:
    """Return the number of messages in *queue* once it has no consumer: what a dead one held is ready again by then."""
    async with await aio_pika.connect(amqp_url, timeout=10) as connection:
        channel = await connection.channel()

        async def unconsumed() -> tuple[int] | None:
            declared = (await channel.declare_queue(queue, passive=True)).declaration_result
            return None if declared.consumer_count else (declared.message_count or 0,)

        (messages,) = await until(unconsumed, f"{queue} has no consumer")
        return int(messages)


async def take_all(amqp_url: str, queue: str) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """Remove and return the ready messages of *queue*."""
    taken = []
    async with await aio_pika.connect(amqp_url, timeout=10) as connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, passive=True)
        while (message := await declared.get(no_ack=True, fail=False)) is not None:
            taken.append(message)
    return taken


def with_database(database_url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return urlunsplit(urlsplit(database_url)._replace(path=f"/{name}"))


@contextmanager
def migrated_template(database_url: str) -> Iterator[str]:
    """Yield the name of a migrated database, which each test clones: tens of milliseconds instead of a migration."""
    name, role = f"faxhook_template_{os.getpid()}", application_role()
    asyncio.run(_admin(database_url, f'DROP DATABASE IF EXISTS "{name}"', f'CREATE DATABASE "{name}"'))
    asyncio.run(make_application_role(database_url))
    asyncio.run(migrate(with_database(database_url, name), role))
    try:
        yield name
    finally:
        asyncio.run(_admin(database_url, f'DROP DATABASE "{name}" WITH (FORCE)', f'DROP ROLE "{role}"'))


def application_role() -> str:
    """Return the name and password of the role that may read and write the rows of this run's ledgers, and no more."""
    return f"faxhook_application_{os.getpid()}"


async def make_application_role(database_url: str) -> None:
    """Create the role; `migrate` grants it what it needs."""
    role = application_role()
    await _admin(database_url, f'DROP ROLE IF EXISTS "{role}"', f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")


def as_application(database_url: str) -> str:
    """Return the URL with that role."""
    parts = urlsplit(database_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{application_role()}:{application_role()}@{host}"))


async def clone(database_url: str, template: str, name: str) -> str:
    """Create database *name* from *template*; return its URL."""
    await _admin(database_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return with_database(database_url, name)


async def drop(database_url: str, name: str) -> None:
    """Remove a database, and end its connections."""
    await _admin(database_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _admin(database_url: str, *statements: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
