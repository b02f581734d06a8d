"""One bad endpoint among twenty, with a third of the traffic, does not delay the others, whichever way it is bad.

Phases in which the third goes to a bad endpoint and phases in which it goes to one that is well take turns, and all of
them count. Each bad phase has an endpoint of its own: it begins with a closed circuit, which opens after the timeout of
5 s. What is deferred then comes back 15 s later, which is at the end of the next bad phase: a round takes 15 s. So a bad
phase has more in it than one bad endpoint would do in the same seconds: it opens a circuit, and gets back what the last
ones deferred, and with it the probe.

Each bad phase is compared with the well ones before and after it, and these with each other: how far the p99 moves where
nothing is bad is what other work of the machine does to the measure.
"""

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from dispatchers import DispatcherHarness
from neighbours import HEALTHY, KINDS, OPENS, Load, bad_application, bad_endpoint, noise, number_of, p99, times_without
from processes import running
from receiver_process import receiver_process

from shared.backoff import DEFER_WAITS_SECONDS

pytestmark = pytest.mark.alone

EVENTS_PER_SECOND = 90.0
TIMEOUT_SECONDS = 5.0
PHASE_SECONDS = 7.0
"""420 webhooks to healthy endpoints: the p99 is about the fourth slowest."""

ROUND_SECONDS = DEFER_WAITS_SECONDS[0]
ROUND_WITHOUT_TIMEOUTS_SECONDS = 10.0
SHORT_PHASE_SECONDS = 4.5

ROUNDS = 5

MOST, MOST_WHILE_OPEN = 1.1, 1.5
"""Wanted is 1.1. Alone on two cores it was 1.10 to 1.15 beside endpoints that refuse or fail, 1.18 to 1.29 where a circuit
opens: 6 to 8 ms became 7 to 9. Before deferrals were batched it was 2.2 to 5.6 times: 27 to 51 ms became 111 to 211."""

MOST_CHANCE = 2.0
"""On a quiet machine the p99 of phases without a bad neighbour spread so far (6 to 13 ms, alone on two cores) that the
median of five rounds is off by up to 1.6 by chance. Where it may be off by more, other work has the machine, and a median
between the bound and that shows nothing."""

ERRORS = {
    "hang": "timeout",
    "drip": "timeout",
    "refuse": "refused",
    "http_500": "http_500",
    "name": "timeout",
    "tls": "timeout",
}
"""What the attempts at the bad endpoint fail with."""


@pytest.mark.parametrize("kind", KINDS)
async def test_the_p99_of_the_others_hardly_moves(harness: DispatcherHarness, kind: str) -> None:
    seconds, round_seconds = (
        (PHASE_SECONDS, ROUND_SECONDS) if kind in OPENS else (SHORT_PHASE_SECONDS, ROUND_WITHOUT_TIMEOUTS_SECONDS)
    )
    async with receiver_process() as healthy, bad_application(kind) as bad_url:
        for number in range(HEALTHY + 1):
            await harness.endpoint(scope="number", match=number_of(number), url=healthy.url)
        for phase in range(ROUNDS):
            fields = {"url": bad_url(phase), "timeout_seconds": TIMEOUT_SECONDS}
            await harness.endpoint(scope="number", match=number_of(bad_endpoint(phase)), **fields)
        load = Load(harness.publish, healthy.arrivals, EVENTS_PER_SECOND)
        support = str(Path(__file__).parents[2] / "support")
        async with running("slow_names", {**harness.environment, "OPS_PORT": "0", "PYTHONPATH": support}):
            await load.phase(0, seconds / 2)  # not counted: connections are made
            without, beside = [p99(await load.phase(0, seconds))], list[float]()
            began = time.monotonic()
            for phase in range(ROUNDS):
                await _at(began + phase * round_seconds)
                beside.append(p99(await load.phase(bad_endpoint(phase), seconds)))
                await _at(began + (phase + 1) * round_seconds - seconds)
                without.append(p99(await load.phase(0, seconds)))
        failed = await harness.pool.fetch("SELECT error FROM attempts WHERE outcome <> 'told'")
    assert {ERRORS[kind]} == Counter(each["error"] for each in failed).keys(), "it was bad in its way"
    found, chance = times_without(without, beside), noise(without)
    sys.stdout.write(
        f"{kind}: {found:.2f} times, by chance up to {chance:.2f}; {_ms(without)} without, {_ms(beside)}\n"
    )
    most = MOST_WHILE_OPEN if kind in OPENS else MOST
    if most <= found < most * chance and chance > MOST_CHANCE:
        pytest.skip(f"other work has the machine: {found:.2f} times, by chance up to {chance:.2f}")
    assert found < most * chance, (without, beside)


def _ms(seconds: list[float]) -> str:
    return " ".join(f"{each * 1e3:.1f}" for each in seconds) + " ms"


async def _at(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))  # the times of the phases are fixed
