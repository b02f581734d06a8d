"""What happens to the broker, the database, the media store, and the connections to them."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Callable
from typing import Final

import aio_pika
import aiohttp
import applications
import asyncpg
import msgspec
from fault import Fault, it_lasts
from plan import Plan
from stack_under_fault import BACKOFF, MOST_AT_ONCE, StackUnderFault
from waiting import until

from dispatcher.messages import DeliveryMessage
from shared.backoff import parse_backoff
from shared.broker import FAX_WORK, WORK_DELIVERIES, WORK_KEY, topology

_LONG_LEASES: Final = {("dispatcher", index): Plan(lease_margin_seconds=30.0) for index in (0, 1)}
"""Leases outlive the fault, as they do with the waits of production."""

NO_HELP: Final = {("dispatcher", index): Plan(grace_seconds=120.0, lease_margin_seconds=30.0) for index in (0, 1)}
"""The sweeper does not help either: nothing may be lost that only it would find."""


def proxy_fault(name: str, which: str, do: Callable[[object], None], seconds: float) -> Fault:
    async def act(stack: StackUnderFault, _dice: random.Random) -> None:
        proxy = stack.amqp_proxy if which == "broker" else stack.database_proxy
        do(proxy)
        await it_lasts(seconds)
        proxy.restore()

    return Fault(f"{which}'s connections {name}", act, _LONG_LEASES)


async def fail_into_a_black_hole(stack: StackUnderFault, _dice: random.Random) -> None:
    """Let attempts fail while nothing gets through to the broker: their retries must not count as published."""
    stack.applications.seconds = 0.5
    await until(lambda: stack.applications.answering.total() >= MOST_AT_ONCE // 2, "applications are asked", 30)
    stack.applications.misbehaviour = applications.close_early
    stack.amqp_proxy.stall()
    await it_lasts(2.0)
    stack.applications.seconds = 0.0
    stack.applications.misbehaviour = None
    stack.amqp_proxy.restore()


async def close_all_connections(stack: StackUnderFault, _dice: random.Random) -> None:
    assert stack.services.rabbitmq_api_url is not None
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            async with http.get(f"{stack.services.rabbitmq_api_url}/api/connections") as response:
                connections = await response.json()
            for connection in connections:
                url = f"{stack.services.rabbitmq_api_url}/api/connections/{connection['name']}"
                async with http.delete(url):
                    pass
            await it_lasts(0.5)


def store_ends(store: str, number: signal.Signals, name: str) -> Fault:
    """End the `broker` or the `database` by a signal, and start it again."""
    service = {"broker": "RabbitMQ", "database": "PostgreSQL"}[store]

    async def act(stack: StackUnderFault, _dice: random.Random) -> None:
        await asyncio.to_thread(stack.stores.end, service, number)
        await asyncio.to_thread(stack.stores.up)

    return Fault(f"{store} {name} and started", act)


async def broker_hangs(stack: StackUnderFault, _dice: random.Random) -> None:
    pid = await asyncio.to_thread(stack.stores.pid, "RabbitMQ")
    _signal(pid, signal.SIGSTOP)
    await it_lasts(3.0)
    _signal(pid, signal.SIGCONT)


async def broker_out_of_memory(stack: StackUnderFault, _dice: random.Random) -> None:
    await asyncio.to_thread(stack.stores.rabbitmqctl, "set_vm_memory_high_watermark", "0.00001")
    await it_lasts(2.0)
    await asyncio.to_thread(stack.stores.rabbitmqctl, "set_vm_memory_high_watermark", "0.4")


def _signal(pid: int, number: signal.Signals) -> None:
    os.kill(pid, number)


def delete_queues(*names: str, when_taken: bool = False) -> Fault:
    async def act(stack: StackUnderFault, _dice: random.Random) -> None:
        async with await aio_pika.connect(stack.amqp_url, timeout=10) as connection:
            channel = await connection.channel()
            for name in names:
                await channel.queue_delete(name)
        await it_lasts(0.5)
        await stack.declare()

    what = "every queue" if len(names) > 3 else " and ".join(names)
    are_dead_queues_kept = "dead.deliveries" not in names
    return Fault(f"{what} deleted", act, after_traffic=when_taken, are_dead_queues_kept=are_dead_queues_kept)


async def replace_work_deliveries(stack: StackUnderFault, _dice: random.Random) -> None:
    """Delete `work.deliveries` and declare it before the broker has told its consumers, which then get no message of it."""
    (work,) = [queue for queue in topology(parse_backoff(BACKOFF)).queues if queue.name == WORK_DELIVERIES]
    async with await aio_pika.connect(stack.amqp_url, timeout=10) as connection:
        channel = await connection.channel()
        await channel.queue_delete(work.name)
        declared = await channel.declare_queue(work.name, durable=True, arguments=work.all_arguments())
        await declared.bind(work.exchange, work.key)


SHORT_SILENCE: Final = {("dispatcher", index): Plan(anew_seconds=2.0) for index in (0, 1)}
"""A consumer's minute of silence, scaled like the other waits."""

ALL_QUEUES: Final = (
    "work.events",
    "work.deliveries",
    *(f"retry.{wait}" for wait in dict.fromkeys(BACKOFF.split(","))),
    *(f"defer.{wait}s" for wait in (1, 2, 3, 4)),
    "dead.events",
    "dead.deliveries",
)


async def repeat_messages(stack: StackUnderFault, _dice: random.Random) -> None:
    """Publish copies of every delivery's messages, stale and early ones, which the claim must refuse."""
    async with await aio_pika.connect(stack.amqp_url, timeout=10) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(FAX_WORK, ensure=False)
        for _ in range(6):
            rows = await stack.pool.fetch("SELECT id, attempts FROM deliveries ORDER BY created_at DESC LIMIT 60")
            for row in rows:
                for attempt in range(1, row["attempts"] + 2):
                    body = msgspec.json.encode(DeliveryMessage(row["id"], attempt))
                    await exchange.publish(aio_pika.Message(body, delivery_mode=2), WORK_KEY)
            await it_lasts(0.3)


async def database_hangs(stack: StackUnderFault, _dice: random.Random) -> None:
    rows = await stack.pool.fetch("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
    own = {row["pid"] for row in await stack.pool.fetch("SELECT pg_backend_pid() AS pid")}
    backends = [row["pid"] for row in rows if row["pid"] not in own]
    try:
        for pid in backends:
            _signal_backend(pid, signal.SIGSTOP)
        await it_lasts(3.0)
    finally:
        for pid in backends:
            _signal_backend(pid, signal.SIGCONT)


def _signal_backend(pid: int, number: signal.Signals) -> None:
    # A session may end between the look at all of them and this signal; those that were stopped must go on all the same.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def database_full(stack: StackUnderFault, _dice: random.Random) -> None:
    """Take every connection that the database has, and end those of the services."""
    taken: list[asyncpg.Connection] = []
    try:
        await stack.pool.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        for _ in range(400):
            try:
                taken.append(await asyncpg.connect(stack.services.database_url))
            except (asyncpg.PostgresError, OSError):
                break
        await it_lasts(1.0)
    finally:
        await asyncio.gather(*(connection.close() for connection in taken))


async def media_away(stack: StackUnderFault, _dice: random.Random) -> None:
    away = stack.media.with_name("media.away")
    stack.media.rename(away)
    stack.media.write_text("a file where the folder should be")
    await it_lasts(1.5)
    stack.media.unlink()
    away.rename(stack.media)


async def media_full(stack: StackUnderFault, _dice: random.Random) -> None:
    """Put a disk without a free byte in its place (as root on Linux only)."""
    await _mount("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(stack.media))
    try:
        with contextlib.suppress(OSError), (stack.media / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        await it_lasts(1.5)
    finally:
        await _mount("umount", "--lazy", str(stack.media))


async def _mount(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, f"{command[0]} wants root"
