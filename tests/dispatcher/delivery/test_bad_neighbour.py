"""One endpoint of a hundred that hangs or drips does not delay the others.

Phases without and with the trouble alternate, so that other work of the machine disturbs both alike.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from dispatchers import DispatcherHarness, an_event
from processes import running
from raw import port_of, raw_server
from waiting import until

from shared.domain import EventType

pytestmark = pytest.mark.alone

ENDPOINTS = 100
EVENTS_PER_SECOND = 250
PHASE_SECONDS = 0.6
PHASES = 8
ROUNDS = 3
"""Other work makes the machine noisy: one of these rounds must show no delay. A delay by the bad endpoint would be in
every round."""

MOST = 1.1


@dataclass
class BadEndpoint:
    """An application that hangs or drips (*how*) while `be(well=False)`, and answers 200 otherwise."""

    how: str
    port: int = 0
    under_way: int = 0
    told: int = 0
    _well: asyncio.Event = field(default_factory=asyncio.Event)

    def be(self, *, well: bool) -> None:
        if well:
            self._well.set()
        else:
            self._well.clear()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            (length,) = (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            await reader.readexactly(length)
            self.under_way += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n" if self.how == "drip" else b"")
            sent = 0
            while not self._well.is_set():
                if self.how == "drip":
                    writer.write(b".")
                    sent += 1
                try:
                    async with asyncio.timeout(1.0):
                        await self._well.wait()
                except TimeoutError:
                    continue
            if self.how == "drip":
                writer.write(b"." * (60 - sent))
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            self.under_way -= 1
            self.told += 1


@asynccontextmanager
async def bad_endpoint(how: str) -> AsyncIterator[BadEndpoint]:
    bad = BadEndpoint(how)
    async with raw_server(bad.handle) as server:
        bad.port = port_of(server)
        yield bad


class Load:
    """Received faxes at a steady rate, each for one endpoint by its number; every tenth is the bad one's."""

    def __init__(self, harness: DispatcherHarness) -> None:
        self._harness = harness
        self._number = 0
        self.sent: dict[str, float] = {}
        self.bad = 0

    async def phase(self) -> list[float]:
        """Send for a while; return how long each healthy endpoint's webhook took, in seconds."""
        sent: list[str] = []
        publishing: list[asyncio.Task[None]] = []
        began = time.monotonic()
        for tick in range(int(PHASE_SECONDS * EVENTS_PER_SECOND)):
            await asyncio.sleep(max(0.0, began + tick / EVENTS_PER_SECOND - time.monotonic()))  # the pace of the load
            self._number += 1
            which = 0 if self._number % 10 == 0 else 1 + self._number % (ENDPOINTS - 1)
            event = an_event(self._number, EventType.RECEIVED, to_number=number_of(which))
            self.sent[event.id] = time.monotonic()
            publishing.append(asyncio.create_task(self._harness.publish(event)))
            if which:
                sent.append(event.id)
            else:
                self.bad += 1
        await asyncio.gather(*publishing)
        received: dict[str, float] = {}

        def all_told() -> bool:
            received.update({each.event_id: each.at for each in self._harness.receiver.received})
            self._harness.receiver.received.clear()
            return received.keys() >= set(sent)

        await until(all_told, "the healthy endpoints told")
        return [received[event_id] - self.sent[event_id] for event_id in sent]


def number_of(endpoint: int) -> str:
    return f"+1555{endpoint:07}"


def p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


def undisturbed(phases: list[float]) -> float:
    """Return the mean of the best phases, in which the machine did little else. A bad endpoint would disturb every phase."""
    best = sorted(phases)[: PHASES // 2]
    return statistics.mean(best)


@pytest.mark.parametrize("how", ["hang", "drip"])
async def test_the_p99_of_the_others_moves_by_less_than_a_tenth(harness: DispatcherHarness, how: str) -> None:
    async with bad_endpoint(how) as bad:
        await harness.endpoint(
            scope="number", match=number_of(0), url=f"http://127.0.0.1:{bad.port}/", timeout_seconds=60
        )
        for number in range(1, ENDPOINTS):
            await harness.endpoint(scope="number", match=number_of(number))
        bad.be(well=True)
        load = Load(harness)
        quotients = []
        environment = {**harness.environment, "OPS_PORT": "0"}
        async with running("dispatcher", environment):
            await load.phase()  # connections are made
            while len(quotients) < ROUNDS and min(quotients, default=MOST) >= MOST:
                without, with_trouble = [], []
                for _ in range(PHASES):
                    without.append(p99(await load.phase()))
                    bad.be(well=False)
                    with_trouble.append(p99(await load.phase()))
                    assert bad.under_way == 8, "as many as it may have at once are under way"
                    bad.be(well=True)
                    await until(lambda: bad.told == load.bad, "the rest of it told")
                quotients.append(undisturbed(with_trouble) / undisturbed(without))
    assert min(quotients) < MOST, quotients
