"""Reading a long list leaves live callbacks alone; 100,000 faxes have a minute and 200 MB. What is compared is of the same seconds."""

import asyncio
import json
import random
import sys
from pathlib import Path

import pytest
from lists import (
    GOAL_BYTES,
    GOAL_RATIO,
    GOAL_SECONDS,
    Round,
    compared,
    is_read_in,
    is_too_high,
    reading_seconds,
    undisturbed,
)
from others import Others

BENCH = Path(__file__).with_name("lists.py")
FAXES = 24_000


@pytest.mark.alone
async def test_a_list_that_is_read_delays_live_callbacks_by_no_more_than_such_a_comparison_shows_by_itself(
    amqp_url: str, database_url: str, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(BENCH), "--faxes", str(FAXES), "--rounds", "1", "--most-rounds", "4"),
        *("--json", str(tmp_path / "figures")),
        *("--amqp-url", amqp_url, "--database-url", database_url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode in {0, 1}, said.decode()
    figures = json.loads((tmp_path / "figures").read_text())
    assert figures["seconds"] * 100_000 / FAXES < GOAL_SECONDS, said.decode()
    assert figures["bytes"] < GOAL_BYTES, said.decode()
    # A p99 of some thousand events in so few seconds is that of a dozen. So the goal is met unless it is missed by more than
    # chance explains in 99 of 100 runs; then more rounds are measured, and all count: once in hundred is too often for a test,
    # and a difference that is there stays. Before the pace of readings was bounded, the goal was missed by 3 to 6 times.
    assert figures["ratio"] < GOAL_RATIO * figures["noise"], said.decode()


def test_the_pauses_of_the_provider_are_compared_with_its_answers_and_with_each_other() -> None:
    taken = {phase: [0.02 if is_read_in(phase) else 0.01] * 100 for phase in range(40)}
    assert compared([Round(4.0, taken, [])])[:2] == pytest.approx((0.02, 0.01))
    assert compared([Round(4.0, taken, [0.05] * 100)])[0] == pytest.approx(0.05)


def test_the_noise_of_a_comparison_is_found_from_its_own_phases() -> None:
    dice = random.Random(1)

    def phases(slower: float) -> dict[int, list[float]]:
        return {
            phase: [dice.lognormvariate(-5.0, 0.5) * (slower if is_read_in(phase) else 1.0) for _ in range(75)]
            for phase in range(60)
        }

    ratios = []
    for _ in range(20):
        during, paused, noise = compared([Round(30.0, phases(1.0), [])])
        ratios.append(during / paused / noise)
        assert 1.0 < noise < 1.6
    assert sum(ratio < 1.0 for ratio in ratios) >= 18
    during, paused, noise = compared([Round(30.0, phases(2.0), [])])
    assert during / paused > GOAL_RATIO * noise


def test_phases_in_which_other_programs_were_busy_do_not_count_unless_hardly_any_other_is_left() -> None:
    others = Others(1.0)
    rounds = [Round(4.0, {phase: [0.01] for phase in range(8)}, [])]
    for busy, left in ((2, 6), (6, 2), (7, 8)):
        others.shares = dict.fromkeys(range(busy), 0.5) | dict.fromkeys(range(busy, 8), 0.01)
        assert len(undisturbed(rounds, others)[0].taken) == left


def test_a_goal_that_is_missed_within_the_noise_is_not_missed() -> None:
    assert [is_too_high(during, 0.010, 1.2) for during in (0.010, 0.013, 0.0135)] == [False, False, True]


def test_the_time_of_a_reading_is_that_in_which_the_provider_answered() -> None:
    assert reading_seconds(0.5, 4.25) == pytest.approx(0.5 + 1.0 + 0.25)
