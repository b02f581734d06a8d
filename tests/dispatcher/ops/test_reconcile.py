"""`faxhook reconcile`: after every queue was lost, all that is due is put back at once, and told once."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import msgspec
import pytest
from dispatchers import DispatcherHarness, an_event
from ledgers import ADVISORY_LOCKS
from stores import count, fresh_topology, take_all
from typer.testing import CliRunner
from waiting import until

from dispatcher.ledger.locks import Lock
from dispatcher.maintenance.sweeper import Sweeper
from dispatcher.messages import DeliveryMessage
from dispatcher.metrics import Metrics
from dispatcher.ops.cli import app
from dispatcher.ops.reconcile import MOST_PER_BATCH, put_back_due
from shared.amqp.publisher import NotKept
from shared.backoff import parse_backoff
from shared.broker import FAX_RETRY, WORK_DELIVERIES, topology
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


async def faxhook(harness: DispatcherHarness, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the command in a thread, where it has a loop of its own."""
    result = await asyncio.to_thread(
        CliRunner().invoke, app, ["reconcile", *arguments], env={**harness.environment, **environment}
    )
    return result.exit_code, result.stdout, result.stderr


async def as_json(harness: DispatcherHarness, *arguments: str) -> Any:
    code, said, complained = await faxhook(harness, *arguments, "--json")
    assert code == 0, complained
    return msgspec.json.decode(said)


async def in_a_process(harness: DispatcherHarness) -> Any:
    """Run the command as a process: beside a dispatcher in this one, which writes its log to the same stdout."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dispatcher.ops", "reconcile", "--json"),
        env={**os.environ, **harness.environment},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return msgspec.json.decode(said)


async def owed(harness: DispatcherHarness, number: int, **columns: str) -> list[UUID]:
    """Owe *number* deliveries more, with *columns* set to SQL expressions."""
    first = await harness.pool.fetchval("SELECT count(*) FROM events")
    taken = await harness.take(*(an_event(each) for each in range(first, first + number)))
    ids = [each.delivery_id for each in taken.deliveries]
    values = {"lease_until": "NULL", **columns}
    assignments = ", ".join(f"{name} = {value}" for name, value in values.items())
    await harness.pool.execute(f"UPDATE deliveries SET {assignments} WHERE id = ANY($1)", ids)  # noqa: S608 - what is inserted is ours
    return ids


async def one_of_each(harness: DispatcherHarness) -> dict[str, list[UUID]]:
    await harness.endpoint()
    return {
        "due": await owed(harness, 3, due_at="now() - interval '1 second'"),
        "dead lease": await owed(harness, 2, lease_until="now() - interval '1 second'"),
        "live lease": await owed(harness, 1, lease_until="now() + interval '1 hour'"),
        "later": await owed(harness, 4, state="'retrying'", attempts="1", due_at="now() + interval '1 hour'"),
        "told": await owed(harness, 1, state="'told'", attempts="1", settled_at="now()"),
        "dead": await owed(harness, 1, state="'dead'", attempts="17", settled_at="now()"),
    }


def messages_of(taken: list[Any]) -> list[DeliveryMessage]:
    return [msgspec.json.decode(each.body, type=DeliveryMessage) for each in taken]


async def test_what_is_due_is_put_back_and_nothing_else(harness: DispatcherHarness) -> None:
    ids = await one_of_each(harness)
    report = await as_json(harness)
    assert {name: report[name] for name in ("dry_run", "put_back", "due", "leased", "later")} == {
        "dry_run": False,
        "put_back": 5,
        "due": 5,
        "leased": 1,
        "later": 4,
    }
    messages = messages_of(await take_all(harness.amqp_url, WORK_DELIVERIES))
    assert sorted(messages, key=lambda each: each.delivery_id) == [
        DeliveryMessage(delivery_id, 1) for delivery_id in sorted(ids["due"] + ids["dead lease"])
    ]
    assert (await as_json(harness))["put_back"] == 0, "put back a second time"
    sweeper = Sweeper(harness.pool, harness.publisher, Metrics(), lambda: 0.0)
    assert await sweeper.sweep() == 0, "swept what is on its way"


async def test_a_dry_run_says_what_would_be_done_and_changes_nothing(harness: DispatcherHarness) -> None:
    await one_of_each(harness)
    await harness.publisher.publish(FAX_RETRY, "retry.6h", b"{}", {})
    before = await harness.deliveries()
    report = await as_json(harness, "--dry-run")
    assert (report["dry_run"], report["due"], report["put_back"]) == (True, 5, 0)
    assert report["messages"] == {"work": 0, "delayed": 1}
    assert {(each["state"], each["due"], each["leased"], each["later"]) for each in report["owed"]} == {
        ("pending", 5, 1, 0),
        ("retrying", 0, 0, 4),
    }
    assert report["oldest_due_at"] < report["next_due_at"]
    assert await harness.deliveries() == before
    assert await count(harness.amqp_url, WORK_DELIVERIES) == 0
    _, said, _ = await faxhook(harness, "--dry-run")
    assert "5 due: would be put back now" in said
    assert "1 leased by a live process" in said
    assert "at least 3 of them have lost theirs" in said


async def test_after_every_queue_was_lost_what_was_owed_is_told_and_what_was_told_is_not_told_again(
    harness: DispatcherHarness, dispatching: Dispatching, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The broker may not tell a consumer that its queue is a new one: it registers again after a minute, here 5 s.
    monkeypatch.setattr("dispatcher.consumers.consumer.SILENCE_SECONDS", 5.0)
    await harness.endpoint()
    harness.receiver.answer = lambda received: 200 if "phaxio:1-" in received.event_id else 500
    async with dispatching():
        await harness.publish(*(an_event(number) for number in range(1, 6)))

        async def four_are_owed() -> bool:
            return [each["state"] for each in await harness.deliveries()].count("retrying") == 4

        await until(four_are_owed, "four are owed")
        await fresh_topology(harness.amqp_url, topology(parse_backoff(harness.environment["BACKOFF"])))
        # Due for less than the sweeper's grace: only reconcile looks at once.
        await harness.pool.execute("UPDATE deliveries SET due_at = now() - interval '1 s' WHERE state = 'retrying'")
        harness.receiver.answer = lambda _received: 200
        assert (await in_a_process(harness))["put_back"] == 4
        assert (await in_a_process(harness))["put_back"] == 0
        deliveries = await harness.settled(5)
    assert {each["state"] for each in deliveries} == {"told"}
    assert sorted(each.attempt for each in harness.receiver.received) == [1] * 5 + [2] * 4


class Stuck:
    """A publisher that gets stuck in the middle of a batch."""

    def __init__(self, publisher: Any, after: int) -> None:
        self._publisher = publisher
        self._left = after
        self.published = 0

    async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Any) -> None:
        self._left -= 1
        if self._left < 0:
            await asyncio.Event().wait()
        await self._publisher.publish(exchange, routing_key, body, headers)
        self.published += 1


async def test_killed_in_the_middle_and_run_again_nothing_is_missing_and_nothing_told_twice(
    harness: DispatcherHarness, dispatching: Dispatching
) -> None:
    await harness.endpoint()
    ids = await owed(harness, MOST_PER_BATCH + 50, due_at="now() - interval '1 second'")
    async with harness.pool.acquire() as connection:
        now = await connection.fetchval("SELECT now()")
        stuck = Stuck(harness.publisher, MOST_PER_BATCH + 20)
        putting_back = asyncio.create_task(put_back_due(connection, stuck, now, 1e6, lambda _count: None))
        await until(lambda: stuck.published == MOST_PER_BATCH + 20, "the middle of a batch")
        putting_back.cancel()
        await asyncio.wait({putting_back})
    assert (await as_json(harness))["put_back"] == 50
    messages = messages_of(await take_all(harness.amqp_url, WORK_DELIVERIES))
    assert {each.delivery_id for each in messages} == set(ids)
    for message in messages:
        await harness.publisher.publish("fax.work", "delivery", msgspec.json.encode(message), {})
    async with dispatching():
        await harness.settled(len(ids), seconds=30)
    assert len(harness.receiver.received) == len(ids)


async def test_a_broker_that_stops_taking_messages_ends_it_with_what_was_kept_put_back(
    harness: DispatcherHarness,
) -> None:
    await harness.endpoint()
    ids = await owed(harness, 4, due_at="now() - interval '1 second'")

    class Refusing:
        async def publish(self, exchange: str, routing_key: str, body: bytes, headers: Any) -> None:
            if str(ids[0]).encode() in body:
                raise NotKept("no")
            await harness.publisher.publish(exchange, routing_key, body, headers)

    async with harness.pool.acquire() as connection:
        now = await connection.fetchval("SELECT now()")
        with pytest.raises(NotKept):
            await put_back_due(connection, Refusing(), now, 1e6, lambda _count: None)
    assert (await as_json(harness, "--dry-run"))["due"] == 1


async def test_it_waits_for_the_sweeper_and_keeps_it_away(harness: DispatcherHarness) -> None:
    await harness.endpoint()
    await owed(harness, 1, due_at="now() - interval '1 hour'")
    async with harness.pool.acquire() as other:
        await other.execute("SELECT pg_advisory_lock($1)", Lock.SWEEP)
        command = asyncio.create_task(as_json(harness))

        async def waits() -> bool:
            return await other.fetchval(f"SELECT count(*) FROM {ADVISORY_LOCKS} WHERE NOT granted") == 1  # noqa: S608 - a constant

        await until(waits, "the command waits for its turn")
        assert await count(harness.amqp_url, WORK_DELIVERIES) == 0
        await other.execute("SELECT pg_advisory_unlock($1)", Lock.SWEEP)
    assert (await command)["put_back"] == 1


async def test_a_missing_queue_and_stores_that_are_away_are_said_in_a_sentence(
    harness: DispatcherHarness, unused_tcp_port: int
) -> None:
    code, _, complained = await faxhook(harness, AMQP_URL=f"amqp://127.0.0.1:{unused_tcp_port}/")
    assert code == 69, complained
    assert "does not answer" in complained
    code, _, complained = await faxhook(harness, DATABASE_URL=f"postgresql://127.0.0.1:{unused_tcp_port}/x")
    assert code == 69, complained
    assert json.dumps(complained).count("Traceback") == 0
