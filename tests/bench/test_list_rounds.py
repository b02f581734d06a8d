"""What came while a list was read is compared with what came between; the noise of that comparison comes from itself."""

import random

import pytest
from list_rounds import GOAL_RATIO, Round, compared, is_read_in, is_too_high, reading_seconds, undisturbed
from others import Others


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
