"""What every part of the bench is given, and how a phase of load is measured."""

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from callback_load import json_callbacks
from cores import Cores
from rows import Report
from stack import Service, Stores, serving, spent
from trees import Tree
from wire import Application, post_all

from deploy.services.processes import free_port

T = TypeVar("T")

LANES = 64
HERE = Path(__file__).parent
ENOUGH_SECONDS = 240.0
AT_LEAST = 8
"""Callbacks in a phase."""


@dataclass(frozen=True)
class Sizes:
    """How much is run. Fewer rounds than five show no spread.

    Attributes:
        seconds: Of each phase at a pace.
        per_second: The pace at which our handler and the bare one are compared: a saturated bare handler is flattered.
        events: Of each phase without a pace.
        rates: Callbacks a second, for the picture.
        probes: Callbacks one by one, with nothing else under way.
        burst: Events at once for one endpoint.
        endpoints: In the ledger, from few to many; the first is what the others are compared with.
        rest_seconds: For how long a dispatcher is watched at rest.
        retries: Due within one minute.
        faxes: In the large ledger.
        hour: Events that come in an hour's worth.
    """

    rounds: int = 5
    seconds: float = 1.5
    per_second: float = 1_500.0
    events: int = 1_500
    rates: tuple[float, ...] = (50.0, 200.0, 500.0, 1_000.0)
    probes: int = 200
    burst: int = 4_000
    endpoints: tuple[int, ...] = (10, 10_000, 100_000)
    rest_seconds: float = 5.0
    retries: int = 100_000
    faxes: int = 2_000_000
    hour: int = 72_000


@dataclass
class Run:
    """One run of the bench: what is measured where, how much of it, and what was found."""

    trees: Sequence[Tree]
    stores: Stores
    cores: Cores
    sizes: Sizes
    report: Report
    with_peers: bool = False
    peer_python: str = sys.executable


@dataclass
class Phase:
    """What a phase of load showed, for each event.

    Attributes:
        cpu: Seconds of CPU by process.
        answer_seconds: Until each callback was answered, from when it was due.
        told_seconds: Until each was told.
        per_second: Events that went through in a second.
        took_seconds: All of it, from the first callback until the rest of the work was done.
    """

    cpu: dict[str, float]
    answer_seconds: list[float]
    told_seconds: list[float] = field(default_factory=list)
    per_second: float = 0.0
    took_seconds: float = 0.0

    @property
    def cost(self) -> float:
        """Seconds of CPU for each event, all processes together."""
        return sum(self.cpu.values())

    def above_rest(self, at_rest: Mapping[str, float], count: int) -> float:
        """Return the cost of each of *count* events without what the processes take *at_rest*, in CPU per second."""
        return max(0.0, self.cost - sum(at_rest[name] for name in self.cpu) * self.took_seconds / count)


@asynccontextmanager
async def bare(cores: Cores) -> AsyncIterator[Service]:
    """Run the bare handler on the measured core."""
    port = free_port()
    command = (sys.executable, str(HERE / "bare.py"), str(port))
    async with serving(command, HERE, {}, port=port, cores=cores) as service:
        yield service


async def handled(port: int, pids: Mapping[str, int], requests: Sequence[bytes], per_second: float | None) -> Phase:
    """Send *requests* to a handler; return what each cost it. A tenth of them goes ahead and is not counted."""
    ahead = max(1, len(requests) // 10)
    await post_all(port, requests[:ahead], LANES, per_second)
    before = spent(pids)
    sent = await post_all(port, requests[ahead:], LANES, per_second)
    count = len(requests) - ahead
    cpu = {name: (seconds - before[name]) / count for name, seconds in spent(pids).items()}
    return Phase(cpu, sent.seconds, per_second=count / sent.elapsed_seconds)


async def bare_cost(service: Service, sizes: Sizes, *, is_paced: bool = True) -> float:
    """Return the seconds of CPU that the bare handler takes for a JSON callback, at the pace of the comparison or dense."""
    requests = json_callbacks(max(AT_LEAST, int(sizes.per_second * sizes.seconds)))
    pace = sizes.per_second if is_paced else None
    return (await handled(service.port, {"bare": service.pid}, requests, pace)).cost


async def told(
    application: Application,
    port: int,
    pids: Mapping[str, int],
    requests: Mapping[int, bytes],
    settled: Callable[[], Awaitable[None]],
    *,
    per_second: float | None = None,
    lanes: int = LANES,
    webhooks: int = 1,
) -> Phase:
    """Send callbacks the whole way; return what each event cost.

    Args:
        application: It hears of every event *webhooks* times.
        port: Of the ingress.
        pids: The processes to count, stores included.
        requests: By the number of the fax.
        settled: Returns when the rest of the work for them is done.
        per_second: The pace; None: as fast as *lanes* allow.
        lanes: Callbacks under way at most.
        webhooks: For each event.
    """
    first, count = application.count, len(requests)
    before = spent(pids)
    sent = await post_all(port, list(requests.values()), lanes, per_second)
    began = sent.due_at[0]
    await application.got(first + count * webhooks, ENOUGH_SECONDS)
    arrivals = application.arrivals[first:]
    await settled()
    took_seconds = time.perf_counter() - began
    cpu = {name: (seconds - before[name]) / count for name, seconds in spent(pids).items()}
    due_at = dict(zip(requests, sent.due_at, strict=True))
    told_seconds = [at - due_at[number] for number, at in arrivals if number in due_at]
    if len(told_seconds) != count * webhooks:
        raise AssertionError(f"of {count} events {len(told_seconds)} webhooks came, not {count * webhooks}")
    return Phase(cpu, sent.seconds, told_seconds, count / (arrivals[-1][1] - began), took_seconds)


async def at_rest(pids: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Return what share of a core each process takes while nothing comes."""
    before, began = spent(pids), time.perf_counter()
    await asyncio.sleep(seconds)  # at rest
    elapsed = time.perf_counter() - began
    return {name: (each - before[name]) / elapsed for name, each in spent(pids).items()}


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the value that *share* of *seconds* do not exceed."""
    return sorted(seconds)[max(0, math.ceil(share * len(seconds)) - 1)]


def rotated(items: Sequence[T], turn: int) -> list[T]:
    """Return *items* beginning with another one each turn: none is always first."""
    start = turn % len(items)
    return [*items[start:], *items[:start]]


def say(line: str) -> None:
    """Tell how far it is: on the error stream, so that the result can be piped."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
