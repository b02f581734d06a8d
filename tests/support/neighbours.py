"""Endpoints that are bad neighbours, and a steady load for them and for their healthy neighbours."""

import asyncio
import math
import socket
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from itertools import pairwise

from dispatchers import an_event
from raw import port_of, raw_server
from waiting import until

from shared.domain import Event, EventType

HEALTHY = 19
"""Endpoints beside the one that gets a third of the traffic: numbers 1 to 19. Number 0 gets the third while it is well."""

KINDS = ("hang", "drip", "refuse", "http_500", "name", "tls")

OPENS = frozenset({"hang", "drip", "name", "tls"})
"""Kinds that open their circuit; the others answer, or refuse at once."""

DRIP_SECONDS = 0.2


def number_of(endpoint: int) -> str:
    """Return the fax number of *endpoint*."""
    return f"+1555{endpoint:07}"


def bad_endpoint(phase: int) -> int:
    """Return the number of the endpoint that is bad in *phase*: each phase has its own, so that its circuit is closed."""
    return 1000 + phase


@asynccontextmanager
async def bad_application(kind: str) -> AsyncIterator[Callable[[int], str]]:
    """Run an application that is bad in the way of *kind*; yield what gives its URL in a phase."""
    if kind == "name":
        yield lambda phase: f"http://application-{phase}.slow.invalid/"
    elif kind == "refuse":
        with closing(socket.socket()) as unheard:
            unheard.bind(("127.0.0.1", 0))  # and never listens
            port = unheard.getsockname()[1]
            yield lambda _: f"http://127.0.0.1:{port}/"
    else:
        async with raw_server(_HANDLERS[kind]) as server:
            scheme, port = "https" if kind == "tls" else "http", port_of(server)
            yield lambda _: f"{scheme}://127.0.0.1:{port}/"


async def _read_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    (length,) = (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    await reader.readexactly(length)


async def _hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()  # until the client gives up; over TLS: without an answer to its greeting


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
    while not (reader.at_eof() or writer.is_closing()):  # a reset is no end of the input
        writer.write(b".")
        await asyncio.sleep(DRIP_SECONDS)  # what a drip is


async def _fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await _read_request(reader)
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")


_HANDLERS = {"hang": _hang, "drip": _drip, "http_500": _fail, "tls": _hang}


@dataclass
class Load:
    """Received faxes at a steady rate, every third for one endpoint, the others for the healthy ones in turn.

    *arrivals* is when each event's webhook came to a healthy endpoint, in seconds of the monotonic clock.
    """

    publish: Callable[[Event], Awaitable[None]]
    arrivals: dict[str, float]
    per_second: float
    _number: int = field(default=0)

    async def phase(self, third: int, seconds: float) -> list[float]:
        """Send for *seconds*, a third to the endpoint *third*; return how long each healthy one's webhook took."""
        sent: dict[str, float] = {}
        publishing: list[asyncio.Task[None]] = []
        began = time.monotonic()
        for tick in range(int(seconds * self.per_second)):
            await asyncio.sleep(max(0.0, began + tick / self.per_second - time.monotonic()))  # the pace of the load
            self._number += 1
            is_healthy = self._number % 3
            number = 1 + self._number % HEALTHY if is_healthy else third
            event = an_event(self._number, EventType.RECEIVED, to_number=number_of(number))
            if is_healthy:
                sent[event.id] = time.monotonic()
            publishing.append(asyncio.create_task(_publish(self.publish, event)))
        await asyncio.gather(*publishing)
        await until(lambda: self.arrivals.keys() >= sent.keys(), "the healthy endpoints told")
        return [self.arrivals[event_id] - at for event_id, at in sent.items()]


async def _publish(publish: Callable[[Event], Awaitable[None]], event: Event) -> None:
    await publish(event)


def p99(seconds: list[float]) -> float:
    """Return the 99th percentile."""
    return statistics.quantiles(seconds, n=100)[98]


def times_without(without: Sequence[float], beside: Sequence[float]) -> float:
    """Return how many times the p99 without a bad neighbour that beside one is: the median of all rounds.

    *without* has one phase more than *beside*: each of these lies between two of those.
    """
    return statistics.median(b / math.sqrt(w * v) for b, (w, v) in zip(beside, pairwise(without), strict=True))


def noise(without: Sequence[float]) -> float:
    """Return the factor by which `times_without` is off by chance, in one run of forty: two standard errors.

    Half of the steps from one phase without a bad neighbour to the next are larger than `step`, as a logarithm. So for a
    normal distribution the logarithm of one p99 has a deviation of 1.05 steps, that of a round's ratio 1.28, and that of
    the median of *n* rounds 1.6 / sqrt(*n*).

    >>> noise([0.01, 0.01, 0.01]), round(noise([0.010, 0.011, 0.010, 0.011, 0.010, 0.011]), 2)
    (1.0, 1.15)
    """
    steps = [abs(math.log(w / v)) for w, v in pairwise(without)]
    return math.exp(2 * 1.6 * statistics.median(steps) / math.sqrt(len(steps)))
