"""The broker dies under load: 503 in time, no hang, back by itself, and nothing that got a 200 is missing.

On a private broker node of this module's own, because the others share theirs.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import callbacks
import pytest
from broker_users import users_of
from processes import running
from running_stack import RunningStack
from stores import fresh_topology
from waiting import until

from deploy.services import control
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import topology

pytestmark = pytest.mark.alone


@dataclass
class OwnBroker:
    """A private node that a test may kill. The environment names a database, so that only the broker is started."""

    data: Path
    environment: dict[str, str] = field(default_factory=lambda: {**os.environ, "AMQP_URL": "", "DATABASE_URL": "given"})

    def up(self) -> control.Services:
        return control.up(self.data, environ=self.environment)

    @property
    def pid(self) -> int:
        (status,) = [each for each in control.status(self.data, environ=self.environment) if each.name == "RabbitMQ"]
        assert status.pid is not None
        return status.pid

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnBroker]:
    broker = OwnBroker(tmp_path_factory.mktemp("broker") / "local")
    broker.up()
    yield broker
    control.reset(broker.data)


@pytest.fixture(scope="module")
def broker_users(own_broker: OwnBroker) -> Iterator[dict[str, str]]:
    services = own_broker.up()
    with users_of(services.amqp_url, services.rabbitmq_api_url) as urls:
        yield urls
        own_broker.up()


@pytest.fixture
async def amqp_url(own_broker: OwnBroker) -> str:
    url = own_broker.up().amqp_url
    await fresh_topology(url, topology(parse_backoff(DEFAULT_BACKOFF)))
    return url


@dataclass
class Load:
    """Numbered callbacks, one after another in a few lanes, until told to stop."""

    url: str
    accepted: set[str] = field(default_factory=set)
    refused: int = 0
    slowest_seconds: float = 0.0
    other: list[object] = field(default_factory=list)
    stopping: bool = False
    _number: int = 1000

    async def run(self, lanes: int = 4) -> None:
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(self._lane(session) for _ in range(lanes)))

    async def _lane(self, session: aiohttp.ClientSession) -> None:
        while not self.stopping:
            self._number += 1
            outgoing = callbacks.phaxio(self._number)
            started = time.monotonic()
            status, answer = await outgoing.send(session, self.url)
            self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - started)
            if status == 200:
                self.accepted.add(answer["event_id"])
            elif status == 503:
                self.refused += 1
                await asyncio.sleep(0.05)  # the pause before a provider sends again; a real one waits longer
            else:
                self.other.append((status, answer))


@pytest.fixture
async def load_on(running_stack: RunningStack) -> AsyncIterator[Load]:
    await running_stack.endpoint()
    async with (
        running("ingress", running_stack.ingress) as ingress,
        running("dispatcher", running_stack.dispatcher) as dispatcher,
    ):
        load = Load(ingress.url)
        task = asyncio.create_task(load.run())
        await until(lambda: len(load.accepted) > 100, "load is running")
        try:
            yield load
        finally:
            load.stopping = True
            await task
        await until(ingress.is_ready, "ingress ready again")
        await until(dispatcher.is_ready, "dispatcher ready again")
        await until(
            lambda: load.accepted <= {each.event_id for each in running_stack.receiver.received}, "all told", 40
        )


async def test_killed_and_started_again_under_load_nothing_accepted_is_missing(
    running_stack: RunningStack, own_broker: OwnBroker, load_on: Load
) -> None:
    await asyncio.to_thread(own_broker.kill)
    load_on.slowest_seconds = 0.0
    await until(lambda: load_on.refused > 20, "callbacks are refused")
    before = len(load_on.accepted)
    await asyncio.to_thread(own_broker.up)
    back = time.monotonic()
    await until(lambda: len(load_on.accepted) > before + 50, "callbacks are accepted again")
    assert time.monotonic() - back < 10
    load_on.stopping = True
    assert load_on.other == []
    assert load_on.slowest_seconds < 2.0
    await until(lambda: load_on.accepted <= {each.event_id for each in running_stack.receiver.received}, "all told", 40)
    event_ids = [each.event_id for each in running_stack.receiver.received]
    assert len(event_ids) == len(set(event_ids)), "told twice"


async def test_a_broker_that_hangs_is_answered_503_within_two_seconds(
    running_stack: RunningStack, own_broker: OwnBroker, load_on: Load
) -> None:
    # Asking for the pid asks the broker too, and would stop this loop, and its clock, for as long as it hangs.
    pid = await asyncio.to_thread(lambda: own_broker.pid)
    load_on.slowest_seconds = 0.0
    os.kill(pid, signal.SIGSTOP)
    try:
        await until(lambda: load_on.refused > 20, "callbacks are refused", seconds=30)
    finally:
        os.kill(pid, signal.SIGCONT)
    before = len(load_on.accepted)
    await until(lambda: len(load_on.accepted) > before + 50, "callbacks are accepted again", seconds=30)
    load_on.stopping = True
    assert load_on.other == []
    assert load_on.slowest_seconds < 2.0
