"""The faults: each is done to a plant under traffic, and mended; a seed decides what is left to chance."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import aio_pika
import aiohttp
import applications
import asyncpg
import msgspec
from plan import Plan
from plant import BACKOFF, MOST_AT_ONCE, Kept, Plant
from waiting import until

from dispatcher.messages import DeliveryMessage
from shared.broker import FAX_WORK, WORK_KEY

Act = Callable[[Plant, random.Random], Awaitable[None]]

INGRESS_POINTS: Final = (
    "media.before",
    "media.after",
    "event.before_publish",
    "event.written",
    "event.confirmed",
    "dead.before_publish",
    "dead.written",
    "dead.confirmed",
)
DISPATCHER_POINTS: Final = (
    "intake.before_commit",
    "intake.between_commits",
    "intake.after_commit",
    "events.before_ack",
    "events.after_ack",
    "attempt.before",
    "attempt.after",
    "record.before",
    "record.after",
    "retry.before_publish",
    "retry.written",
    "retry.confirmed",
    "claim.before",
    "claim.after",
    "deliveries.before_ack",
    "deliveries.after_ack",
    "dead.before_publish",
    "dead.written",
    "dead.confirmed",
)
STOPPING_POINTS: Final = ("release.before", "release.after", "work.written", "work.confirmed")
"""Passed when a dispatcher ends while deliveries wait in its lanes."""

SWEEPER_POINTS: Final = ("sweep.before", "sweep.after")
"""Passed by whoever puts back what another left."""


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes:
        plans: What is planned for which process: (`ingress` or `dispatcher`, 0 or 1).
        repeats: A process is killed that may have told without recording it; only then may anything be told twice.
        after_traffic: It strikes when all is accepted and taken into the ledger.
        are_letters_kept: False if it takes the dead-letter queues away.
        may_refuse: What an ingress may rightly answer beside 200 and 503.
    """

    name: str
    act: Act
    plans: dict[tuple[str, int], Plan] = field(default_factory=dict)
    repeats: bool = False
    after_traffic: bool = False
    are_letters_kept: bool = True
    may_refuse: frozenset[str] = frozenset()


async def _it_lasts(seconds: float) -> None:
    """Let a fault strike for so long: its length is part of it, and there is nothing else to wait for."""
    await asyncio.sleep(seconds)


def _of(plant: Plant, kind: str, index: int) -> Kept:
    return (plant.ingresses if kind == "ingress" else plant.dispatchers)[index]


def kill_at(*victims: tuple[str, int, str], seed: int = 0) -> Fault:
    """Kill processes (kind, index, point), each at its point."""
    dice = random.Random(f"{victims} {seed}")
    plans = {
        (kind, index): Plan(kill_at=point, passing=1 if point.startswith("dead") else dice.randint(1, 2))
        for kind, index, point in victims
    }

    async def act(plant: Plant, _dice: random.Random) -> None:
        for kind, index, point in victims:
            victim = _of(plant, kind, index)
            await until(lambda v=victim: v.ends, f"{kind} passes {point}", 40)

    name = ", ".join(f"{kind} killed at {point}" for kind, _, point in victims)
    return Fault(name, act, plans, repeats=any(kind == "dispatcher" for kind, _, _ in victims))


def kill_stopping(point: str) -> Fault:
    """Kill a dispatcher at a point that it passes while it ends."""

    async def act(plant: Plant, _dice: random.Random) -> None:
        victim = plant.dispatchers[0]
        plant.applications.seconds = 1.0

        async def some_wait_in_lanes() -> bool:
            return await victim.measured("faxhook_leased_deliveries") > MOST_AT_ONCE

        try:
            await until(some_wait_in_lanes, "some wait in their lanes", 30)
            victim.send(signal.SIGTERM)
            await until(lambda: victim.ends, f"a stopping dispatcher passes {point}", 40)
        finally:
            plant.applications.seconds = 0.0
        assert victim.ends[-1] == -signal.SIGKILL, f"it never passed {point}"

    return Fault(f"stopping dispatcher killed at {point}", act, {("dispatcher", 0): Plan(kill_at=point)}, repeats=True)


def kill_sweeping(point: str) -> Fault:
    """Kill one dispatcher in the middle of its deliveries, and the other as it puts them back."""

    async def act(plant: Plant, _dice: random.Random) -> None:
        first, other = plant.dispatchers
        # Acked and under way: nobody but a sweeper knows of these.
        plant.applications.seconds = 1.0
        await until(lambda: plant.applications.answering.total() >= MOST_AT_ONCE - 1, "every lane is full", 30)
        first.hold()  # whoever is started anew might sweep before the other
        try:
            first.send(signal.SIGKILL)
            await until(lambda: first.ends, "a dispatcher dies", 40)
            plant.applications.seconds = 0.0
            await until(lambda: other.ends, f"the other passes {point}", 40)
        finally:
            plant.applications.seconds = 0.0
            first.go_on()

    return Fault(f"sweeping dispatcher killed at {point}", act, {("dispatcher", 1): Plan(kill_at=point)}, repeats=True)


def kill_at_random(kind: str) -> Fault:
    """Kill a process at any moment."""

    async def act(plant: Plant, dice: random.Random) -> None:
        await _it_lasts(dice.uniform(0.0, 1.5))
        victim = _of(plant, kind, dice.randint(0, 1))
        victim.send(signal.SIGKILL)
        await until(lambda: victim.ends, f"{kind} is killed")

    return Fault(f"{kind} killed at random", act, repeats=kind == "dispatcher")


def stop_one(kind: str) -> Fault:
    """SIGTERM in the middle; the platform starts another."""

    async def act(plant: Plant, dice: random.Random) -> None:
        victim = _of(plant, kind, dice.randint(0, 1))
        victim.send(signal.SIGTERM)
        await until(lambda: victim.ends, f"{kind} ends", 40)
        assert victim.ends[-1] == 0, victim.ends

    return Fault(f"{kind} stopped by SIGTERM", act)


# --- connections ------------------------------------------------------------------------------------------------------


def _proxy_fault(name: str, which: str, do: Callable[[object], None], seconds: float) -> Fault:
    async def act(plant: Plant, _dice: random.Random) -> None:
        proxy = plant.amqp_proxy if which == "broker" else plant.database_proxy
        do(proxy)
        await _it_lasts(seconds)
        proxy.mend()

    return Fault(f"{which}'s connections {name}", act, _LONG_LEASES)


async def _fail_into_a_black_hole(plant: Plant, _dice: random.Random) -> None:
    """Let attempts fail while nothing gets through to the broker: their retries must not be taken for kept."""
    plant.applications.seconds = 0.5
    await until(lambda: plant.applications.answering.total() >= MOST_AT_ONCE // 2, "applications are asked", 30)
    plant.applications.misbehaviour = applications.close_early
    plant.amqp_proxy.stall()
    await _it_lasts(2.0)
    plant.applications.seconds = 0.0
    plant.applications.misbehaviour = None
    plant.amqp_proxy.mend()


_LONG_LEASES: Final = {("dispatcher", index): Plan(lease_margin_seconds=30.0) for index in (0, 1)}
"""Leases outlive the fault, as they do when waits are not scaled."""

_NO_HELP: Final = {("dispatcher", index): Plan(grace_seconds=120.0, lease_margin_seconds=30.0) for index in (0, 1)}
"""The sweeper shall not help either: nothing is lost that it would have to find."""


async def _close_all_connections(plant: Plant, _dice: random.Random) -> None:
    assert plant.services.rabbitmq_api_url is not None
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            async with http.get(f"{plant.services.rabbitmq_api_url}/api/connections") as response:
                connections = await response.json()
            for connection in connections:
                url = f"{plant.services.rabbitmq_api_url}/api/connections/{connection['name']}"
                async with http.delete(url):
                    pass
            await _it_lasts(0.5)


# --- the broker -------------------------------------------------------------------------------------------------------


def _broker_ends(number: signal.Signals, name: str) -> Fault:
    async def act(plant: Plant, _dice: random.Random) -> None:
        await asyncio.to_thread(plant.stores.end, "RabbitMQ", number)
        await asyncio.to_thread(plant.stores.up)

    return Fault(f"broker {name} and started", act)


async def _broker_hangs(plant: Plant, _dice: random.Random) -> None:
    pid = await asyncio.to_thread(plant.stores.pid, "RabbitMQ")
    _signal(pid, signal.SIGSTOP)
    await _it_lasts(3.0)
    _signal(pid, signal.SIGCONT)


async def _broker_out_of_memory(plant: Plant, _dice: random.Random) -> None:
    await asyncio.to_thread(plant.stores.rabbitmqctl, "set_vm_memory_high_watermark", "0.00001")
    await _it_lasts(2.0)
    await asyncio.to_thread(plant.stores.rabbitmqctl, "set_vm_memory_high_watermark", "0.4")


def _signal(pid: int, number: signal.Signals) -> None:
    os.kill(pid, number)


def _delete_queues(*names: str, when_taken: bool = False) -> Fault:
    async def act(plant: Plant, _dice: random.Random) -> None:
        async with await aio_pika.connect(plant.amqp_url, timeout=10) as connection:
            channel = await connection.channel()
            for name in names:
                await channel.queue_delete(name)
        await _it_lasts(0.5)
        await plant.declare()

    what = "every queue" if len(names) > 3 else " and ".join(names)
    are_letters_kept = "dead.deliveries" not in names
    return Fault(f"{what} deleted", act, after_traffic=when_taken, are_letters_kept=are_letters_kept)


ALL_QUEUES: Final = (
    "work.events",
    "work.deliveries",
    *(f"retry.{wait}" for wait in dict.fromkeys(BACKOFF.split(","))),
    *(f"defer.{wait}s" for wait in (1, 2, 3, 4)),
    "dead.events",
    "dead.deliveries",
)


async def _repeat_messages(plant: Plant, _dice: random.Random) -> None:
    """Publish copies of every delivery's messages, stale and early ones: a message is only a reason to look."""
    async with await aio_pika.connect(plant.amqp_url, timeout=10) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(FAX_WORK, ensure=False)
        for _ in range(6):
            rows = await plant.pool.fetch("SELECT id, attempts FROM deliveries ORDER BY created_at DESC LIMIT 60")
            for row in rows:
                for attempt in range(1, row["attempts"] + 2):
                    body = msgspec.json.encode(DeliveryMessage(row["id"], attempt))
                    await exchange.publish(aio_pika.Message(body, delivery_mode=2), WORK_KEY)
            await _it_lasts(0.3)


# --- the database -----------------------------------------------------------------------------------------------------


def _database_ends(number: signal.Signals, name: str) -> Fault:
    async def act(plant: Plant, _dice: random.Random) -> None:
        await asyncio.to_thread(plant.stores.end, "PostgreSQL", number)
        await asyncio.to_thread(plant.stores.up)

    return Fault(f"database {name} and started", act)


async def _database_hangs(plant: Plant, _dice: random.Random) -> None:
    pids = await plant.pool.fetch("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
    own = {row["pid"] for row in await plant.pool.fetch("SELECT pg_backend_pid() AS pid")}
    for row in pids:
        if row["pid"] not in own:
            _signal(row["pid"], signal.SIGSTOP)
    await _it_lasts(3.0)
    for row in pids:
        _signal(row["pid"], signal.SIGCONT)


async def _database_full(plant: Plant, _dice: random.Random) -> None:
    """Take every connection there is, and cut those that the services hold."""
    taken: list[asyncpg.Connection] = []
    try:
        await plant.pool.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        for _ in range(400):
            try:
                taken.append(await asyncpg.connect(plant.services.database_url))
            except (asyncpg.PostgresError, OSError):
                break
        await _it_lasts(1.0)
    finally:
        await asyncio.gather(*(connection.close() for connection in taken))


# --- the rest ---------------------------------------------------------------------------------------------------------


async def _media_away(plant: Plant, _dice: random.Random) -> None:
    away = plant.media.with_name("media.away")
    plant.media.rename(away)
    plant.media.write_text("a file where the folder should be")
    await _it_lasts(1.5)
    plant.media.unlink()
    away.rename(plant.media)


async def _media_full(plant: Plant, _dice: random.Random) -> None:
    """Put a disk without a free byte in its place (as root on Linux only)."""
    await _mount("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(plant.media))
    try:
        with contextlib.suppress(OSError), (plant.media / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        await _it_lasts(1.5)
    finally:
        await _mount("umount", "--lazy", str(plant.media))


async def _mount(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, f"{command[0]} wants root"


def _clock_jumps(kind: str, seconds: float) -> Fault:
    async def act(plant: Plant, _dice: random.Random) -> None:
        for kept in plant.ingresses if kind == "ingress" else plant.dispatchers:
            kept.send(signal.SIGUSR2)
        await _it_lasts(1.0)

    plans = {(kind, index): Plan(clock_seconds=seconds) for index in (0, 1)}
    # With a clock that is an hour wrong, a signed time is an hour old.
    may_refuse = frozenset({"timestamp_expired"}) if kind == "ingress" else frozenset()
    return Fault(f"{kind}'s clock jumps {seconds / 3600:+.0f} h", act, plans, may_refuse=may_refuse)


def _application(manner: applications.Manner, name: str) -> Fault:
    async def act(plant: Plant, _dice: random.Random) -> None:
        plant.applications.misbehaviour = manner
        await _it_lasts(4.0)
        plant.applications.misbehaviour = None

    return Fault(f"an application {name}", act)


def every_fault() -> list[Fault]:
    """Return all rows of the table."""
    return [
        *(kill_at(("ingress", 0, point)) for point in INGRESS_POINTS),
        *(kill_at(("dispatcher", 0, point)) for point in DISPATCHER_POINTS),
        *(kill_stopping(point) for point in STOPPING_POINTS),
        *(kill_sweeping(point) for point in SWEEPER_POINTS),
        *other_faults(),
    ]


def other_faults() -> list[Fault]:
    """Return those that are not a kill at a point."""
    return [
        kill_at_random("ingress"),
        kill_at_random("dispatcher"),
        stop_one("ingress"),
        stop_one("dispatcher"),
        _proxy_fault("are reset", "broker", lambda proxy: proxy.cut(), 1.0),
        _proxy_fault("lead into a black hole", "broker", lambda proxy: proxy.stall(), 3.0),
        _proxy_fault("are half open", "broker", lambda proxy: proxy.stall(both=False), 3.0),
        Fault("attempts fail while the broker's connections lead into a black hole", _fail_into_a_black_hole, _NO_HELP),
        Fault("broker closes all connections", _close_all_connections),
        _broker_ends(signal.SIGTERM, "stopped"),
        _broker_ends(signal.SIGKILL, "killed"),
        Fault("broker hangs", _broker_hangs),
        Fault("broker out of memory", _broker_out_of_memory),
        _delete_queues("work.events", when_taken=True),
        _delete_queues("work.deliveries"),
        _delete_queues("retry.1s"),
        _delete_queues(*ALL_QUEUES, when_taken=True),
        Fault("messages repeated, stale and early", _repeat_messages),
        _proxy_fault("are reset", "database", lambda proxy: proxy.cut(), 1.0),
        _proxy_fault("lead into a black hole", "database", lambda proxy: proxy.stall(), 2.0),
        _proxy_fault("are half open", "database", lambda proxy: proxy.stall(both=False), 2.0),
        _database_ends(signal.SIGINT, "stopped"),
        _database_ends(signal.SIGQUIT, "killed"),
        Fault("database hangs", _database_hangs),
        Fault("database out of connections", _database_full),
        Fault("media store away", _media_away),
        *([Fault("media store full", _media_full)] if sys.platform == "linux" and os.geteuid() == 0 else []),
        _clock_jumps("ingress", 3600.0),
        _clock_jumps("ingress", -3600.0),
        _clock_jumps("dispatcher", 3600.0),
        _clock_jumps("dispatcher", -3600.0),
        _application(applications.hang, "hangs"),
        _application(applications.drip, "drips"),
        _application(applications.flood, "answers with a gigabyte"),
        _application(applications.close_early, "closes early"),
        _application(applications.redirect, "redirects"),
    ]


def short_set() -> list[Fault]:
    """Return what every test run does: every point of both services, several in one run, and the gravest of the rest."""
    half = (len(DISPATCHER_POINTS) + 1) // 2
    kills = []
    for number in range(half):
        victims = [("dispatcher", index, point) for index, point in enumerate(DISPATCHER_POINTS[number::half])]
        victims += [("ingress", 0, point) for point in INGRESS_POINTS[number : number + 1]]
        kills.append(kill_at(*victims))
    grave = (
        "dispatcher stopped by SIGTERM",
        "broker's connections lead into a black hole",
        "broker killed and started",
        "every queue deleted",
        "messages repeated, stale and early",
        "database killed and started",
        "an application hangs",
    )
    return [*kills, *(fault for fault in other_faults() if fault.name in grave)]


PRECAUTIONS: Final = {
    "confirm": "broker's connections lead into a black hole",
    "commit before ack": "dispatcher killed at intake.before_commit",
    "claim": "messages repeated, stale and early",
    "sweeper": "dispatcher killed at attempt.before",
    "retry confirm": "attempts fail while the broker's connections lead into a black hole",
}
"""What keeps things from being lost or told twice, and the fault that shows it when it is left out."""
